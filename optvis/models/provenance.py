"""What made a result: the part of the recipe that is the same for every method."""

from __future__ import annotations

import platform
from typing import Any

import torch

from optvis.models.classifier import Classifier
from optvis.version import __version__


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
