"""What made a result: the part of the recipe that is the same for every method."""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from optvis.data.dataset import ImageDataset
from optvis.data.files import is_file
from optvis.formatting.version import __version__
from optvis.models.classifier import Classifier

DIGEST_IMAGES = 64  # evenly spaced images whose content is part of a digest
DIGEST_LENGTH = 16  # hexadecimal digits


def provenance(classifier: Classifier, method: str, **options: Any) -> dict[str, Any]:
    """Return the recipe of a result, in JSON's types.

    Args:
        classifier: the network that took part.
        method: the function that made the result, e.g. "render".
        options: all that it was given, in JSON's types.

    Returns:
        Method, network, normalisation, dtype and device, then the options, then the versions of optvis, torch and
        Python.

    Example:
        >>> from torch import nn
        >>> recipe = provenance(Classifier(nn.Conv2d(3, 4, 3), None, 16), "render", steps=64)
        >>> recipe["method"], recipe["network"], recipe["steps"]
        ('render', 'Conv2d', 64)
    """
    return {
        "method": method,
        "network": classifier.name,
        "normalize": repr(classifier.normalize),
        "dtype": str(classifier.image_dtype),
        "device": str(classifier.device),
        **options,
        "optvis": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def digest_weights(classifier: Classifier) -> str:
    """A digest of the numbers of a network, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(classifier.network.state_dict().items()):
        digest.update(name.encode() + _to_bytes(tensor))
    return digest.hexdigest()[:DIGEST_LENGTH]


def _to_bytes(value: Any) -> bytes:
    """The bytes of a tensor's numbers; of what else a state dict may hold, such as packed int8 weights, too."""
    if isinstance(value, tuple | list):
        return b"".join(map(_to_bytes, value))
    if not isinstance(value, Tensor):
        return repr(value).encode()
    numbers = value.detach().dequantize() if value.is_quantized else value.detach()
    return bytes(numbers.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())


def digest_images(dataset: ImageDataset, classifier: Classifier) -> str:
    """A digest of images, as hexadecimal digits.

    Of the names of all images and the sizes of their files; and of 64 of them, evenly spaced, of the label and of the
    bytes of the file, or of the pixels where there is none.
    """
    digest = hashlib.sha256("\n".join(dataset.names).encode())
    files = dataset.files
    digest.update(repr([_file_size(path) for path in files or ()]).encode())
    for index in sorted({n * len(dataset) // DIGEST_IMAGES for n in range(DIGEST_IMAGES)}):
        try:
            if files is None:
                pixels = dataset.load([index], classifier.load_batch)
                digest.update(repr(dataset.label(index)).encode() + _to_bytes(pixels))
            else:
                path = Path(files[index])
                digest.update(path.read_bytes() if is_file(path) else b"unreadable")
        except (ValueError, OSError):  # `batches` leaves this image out with a warning
            digest.update(b"unreadable")
    return digest.hexdigest()[:DIGEST_LENGTH]


def _file_size(path: str | os.PathLike[str]) -> int | None:
    with suppress(OSError, ValueError):
        return Path(path).stat().st_size
    return None
