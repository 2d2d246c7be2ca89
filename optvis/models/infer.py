"""How bare networks are fed: a Classifier made of what a network says of itself."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from torch import nn

from optvis.data.crop import ResizeCrop
from optvis.models.classifier import Classifier, unwrap
from optvis.models.normalize import IMAGENET, INFER, Normalize, Normalizer

IMAGENET_TAG = re.compile(r"(in|imagenet)[-_]?(1k|12k|21k|22k)", re.IGNORECASE)  # of timm's weights
DEFAULT_SIZE = 224  # pixels; the input side of nearly all published ImageNet networks


def as_classifier(model: nn.Module | Classifier, normalize: Normalizer | str = INFER) -> Classifier:
    """Make a Classifier of a bare network; return a Classifier as it is, or with another normalisation.

    Raises:
        TypeError: the model is neither.
        ValueError: a bare network whose normalisation is neither given nor known.
    """
    model = unwrap(model)
    if isinstance(model, Classifier):
        return model if isinstance(normalize, str) else replace(model, normalize=normalize)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; expected an nn.Module or a Classifier, e.g. load(name)")
    inferred = infer_classifier(model)
    if isinstance(normalize, str):
        if normalize != INFER:
            raise ValueError(f"normalize is {normalize!r}; expected Normalize(mean, std), a function or None")
        if inferred is None:
            raise ValueError(
                f"{type(model).__name__} does not say how its input is normalised; give normalize=IMAGENET, "
                "normalize=Normalize(mean, std), a function, or None if it takes [0, 1] as it is "
                "(from optvis import IMAGENET, Normalize)"
            )
        return inferred
    return replace(inferred, normalize=normalize) if inferred else Classifier(model, normalize, DEFAULT_SIZE)


def infer_classifier(network: nn.Module) -> Classifier | None:
    """Infer how a bare network is fed: timm says it in its config, torchvision by the class's module."""
    if isinstance(getattr(network, "pretrained_cfg", None), dict):
        return classifier_from_timm(network)
    if type(network).__module__.startswith("torchvision.models."):
        side = getattr(network, "image_size", None)
        return Classifier(network, IMAGENET, side if side else DEFAULT_SIZE, fixed_size=side is not None)
    return None


def classifier_from_timm(network: nn.Module, name: str = "") -> Classifier:
    """Make a Classifier of a timm network, with the mean, std, size, crop and labels of its own config."""
    from timm.data import resolve_model_data_config

    config: dict[str, Any] = resolve_model_data_config(network)
    height, width = config["input_size"][1:]
    covering = int(height / config["crop_pct"]), int(width / config["crop_pct"])
    keeps_aspect = config["crop_mode"] != "squash" and height == width
    return Classifier(
        network,
        Normalize(config["mean"], config["std"]),
        (height, width),
        labels_from_timm(network),
        ResizeCrop(covering[0] if keeps_aspect else covering, (height, width), config["interpolation"]),
        name,
        fixed_size=bool(network.pretrained_cfg.get("fixed_input_size", False)),  # type: ignore[union-attr, operator]
    )


def labels_from_timm(network: Any) -> tuple[str, ...]:
    """The labels of a timm network: those in its config, else ImageNet's where its weights' tag says so, else none."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    config, count = network.pretrained_cfg, _count_outputs(network)
    names = config.get("label_names") or ()
    descriptions = config.get("label_descriptions") or {}
    own = tuple(str(descriptions.get(name, name)) for name in names)
    if own or not count:
        return own if len(own) == count else ()
    if config.get("num_classes") != count or IMAGENET_TAG.search(config.get("tag") or "") is None:
        return ()
    subset = infer_imagenet_subset(network)
    labels = ImageNetInfo(subset).label_descriptions() if subset else ()
    return tuple(labels) if len(labels) == count else ()


def _count_outputs(network: Any) -> int:
    """How many classes a timm network has; 0 without class head. Its head may have been replaced."""
    head = network.get_classifier() if hasattr(network, "get_classifier") else None
    return int(getattr(head, "out_features", getattr(network, "num_classes", 0)))
