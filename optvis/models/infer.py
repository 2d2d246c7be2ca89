"""How bare networks are fed: a Classifier made of what a network says of itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

from optvis.data.crop import ResizeCrop
from optvis.data.images import RGB
from optvis.errors import warn_user
from optvis.interrupts import ignore_warnings
from optvis.models.adapted.needs import DEFAULT_SIZE, find_size, first_channels
from optvis.models.adapted.normalizer import is_detector
from optvis.models.borrow import require_weights
from optvis.models.classifier import Classifier, unwrap
from optvis.models.normalize import IMAGENET, INFER, Normalize, Normalizer

IMAGENET_TAG = re.compile(r"(in|imagenet)[-_]?(1k|12k|21k|22k)", re.IGNORECASE)  # of timm's weights
_WARNED: WeakSet[nn.Module] = WeakSet()  # networks of which a warning was given

SIZE, NORMALIZE = "size", "normalize"  # options that say how a network is fed
OWN = {SIZE: "pixels", NORMALIZE: "Normalize(mean, std)"}  # what they may be


def as_classifier(
    model: nn.Module | Classifier, normalize: Normalizer | str = INFER, *, on_meta: bool = False
) -> Classifier:
    """Make a Classifier of a bare network; return a Classifier as it is, or with another normalisation.

    A bare network of torchvision may be trained on other images than its published weights; a warning says so once.

    Args:
        model: a network, or a Classifier.
        normalize: see `render`.
        on_meta: whether the weights may be on the device "meta", which holds no numbers.

    Raises:
        TypeError: the model is neither.
        ValueError: a bare network whose normalisation is neither given nor known; weights that are lazy or on the
            device "meta".
    """
    check_normalization(normalize)
    model = unwrap(model)
    network = model.network if isinstance(model, Classifier) else model
    if isinstance(network, nn.Module):
        require_weights(network, on_meta)
    if isinstance(model, Classifier):
        return model if isinstance(normalize, str) else _with_normalization(model, normalize)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; expected an nn.Module or a Classifier, e.g. load(name)")
    inferred = infer_classifier(model)
    if isinstance(normalize, str):
        if inferred is None:
            raise ValueError(
                f"{type(model).__name__} does not say how its input is normalised; give normalize=IMAGENET, "
                "normalize=Normalize(mean, std), a function, or None if it takes [0, 1] as it is "
                f"(from optvis import IMAGENET, Normalize){_tell_config(model)}"
            )
        if inferred.normalize is not None and not hasattr(model, "pretrained_cfg"):
            warn_assumed(inferred, type(model).__name__, "torchvision's published weights", [NORMALIZE])
        return inferred
    return _with_normalization(inferred, normalize) if inferred else Classifier(model, normalize)


def check_normalization(normalize: Normalizer | str) -> None:
    """Raise ValueError for a text that is no normalisation; "infer" is the network's own."""
    if isinstance(normalize, str) and normalize != INFER:
        raise ValueError(f"normalize is {normalize!r}; expected Normalize(mean, std), a function or None")


def with_input(
    classifier: Classifier, size: int | tuple[int, int] | None = None, normalize: Normalizer | str = INFER
) -> Classifier:
    """The same network, fed with images of another size or normalisation.

    Args:
        classifier: the network and how it is fed.
        size: side, or (height, width), in pixels; None for its own. The shorter side of images is resized to it.
        normalize: see `as_classifier`; a `Normalize` with a single mean is for all channels.

    Raises:
        ValueError: another size of a network that takes one size only.

    Example:
        >>> with_input(Classifier(nn.Conv2d(3, 4, 3), None, 224), 96).size
        (96, 96)
    """
    check_normalization(normalize)
    if not isinstance(normalize, str):
        classifier = _with_normalization(classifier, normalize)
    sides = classifier.resolve_size(size)
    if sides == classifier.size:
        return classifier
    if classifier.fixed_size:
        raise ValueError(
            f"size is {size}, and {classifier.name} takes images of {' × '.join(map(str, classifier.size))} px only; "
            "build it for another size, and give it as it is, or as the architecture of its file"
        )
    return replace(classifier, size=sides)


def _with_normalization(classifier: Classifier, normalize: Normalizer) -> Classifier:
    if isinstance(normalize, Normalize) and len(normalize.mean) == 1:
        normalize = normalize.with_channels(classifier.channels)
    channels = None if isinstance(normalize, Normalize) else classifier.channels
    return replace(classifier, normalize=normalize, channels=channels)  # type: ignore[arg-type]


def _tell_config(network: nn.Module) -> str:
    """How a network of transformers becomes a Classifier, for an error message."""
    if not hasattr(getattr(network, "config", None), "id2label"):
        return ""
    size = find_size(network)
    return (
        "; with its size and labels: Classifier(network, Normalize(processor.image_mean, processor.image_std), "
        f"{size[0] if size and size[0] == size[1] else size or 'size'}, network.config.id2label)"
    )


def infer_classifier(network: nn.Module) -> Classifier | None:
    """Infer how a bare network is fed: timm says it in its config, torchvision in its published weights' transforms.

    Detectors of torchvision normalise images themselves. None where nothing says it.
    """
    if isinstance(getattr(network, "pretrained_cfg", None), dict):
        return classifier_from_timm(network)
    if is_detector(network):
        return Classifier(network, None, DEFAULT_SIZE, channels=RGB)
    published = _published_normalizations(network)
    if len(published) != 1:
        return None
    size = find_size(network)
    (normalize,) = published
    normalize = normalize.with_channels(first_channels(network, (DEFAULT_SIZE, DEFAULT_SIZE)))
    return Classifier(network, normalize, size or DEFAULT_SIZE, fixed_size=size is not None)


def warn_assumed(classifier: Classifier, name: str, like: str, options: Sequence[str], more: str = "") -> None:
    """Warn once of each network that it is fed as published weights are, since nothing says how it was trained.

    Args:
        classifier: the network, and how it is fed.
        name: of the network or its file in the message.
        like: what is fed in the same way.
        options: what is assumed: SIZE, NORMALIZE or both.
        more: a clause at the end.
    """
    if not options or classifier.network in _WARNED:
        return
    _WARNED.add(classifier.network)
    height, width = classifier.size
    normalize = "IMAGENET" if classifier.normalize == IMAGENET else repr(classifier.normalize)
    assumed = {SIZE: str(height if height == width else (height, width)), NORMALIZE: normalize}
    own = " and ".join(f"{option}={OWN[option]}" for option in options)
    same = " and ".join(f"{option}={assumed[option]}" for option in options)
    warn_user(f"{name} is fed as {like} are; if it was trained otherwise, give its own {own}, else {same}{more}")


def _published_normalizations(network: nn.Module) -> set[Normalize]:
    """How images are normalised for torchvision's published weights of this architecture."""
    if not type(network).__module__.startswith("torchvision.models."):
        return set()
    from torchvision import models

    names = [name for name in models.list_models() if _returned_type(models.get_model_builder(name)) is type(network)]
    found = {name: _image_presets(models.get_model_weights(name), _has_head(network)) for name in names}
    usual = set[Normalize]()
    if counts := Counter(preset for presets in found.values() for preset in presets):
        usual = {counts.most_common(1)[0][0]}
    others = (presets for name, presets in found.items() if presets - usual and _is_architecture(network, name))
    return next(others, usual)


def _returned_type(builder: Callable[..., nn.Module]) -> Any:
    return builder.__annotations__.get("return")


def _image_presets(weights: Iterable[Any], has_head: bool) -> set[Normalize]:
    """The normalisations of weights that take single images, and that have a trained head, or have none."""
    presets = [entry.transforms() for entry in weights if _has_accuracy(entry) == has_head]
    kinds = ("ImageClassification", "SemanticSegmentation")
    return {Normalize(preset.mean, preset.std) for preset in presets if type(preset).__name__ in kinds}


def _has_accuracy(entry: Any) -> bool:
    """Whether published weights classify: weights of features alone have an accuracy of NaN, and a head of NaN."""
    metrics = entry.meta.get("_metrics", {}).values()
    return not any(isnan(value) for metric in metrics for value in metric.values())


def _has_head(network: nn.Module) -> bool:
    *_, last = network.parameters()
    return last.is_meta or not bool(last.isnan().any())


def _is_architecture(network: nn.Module, name: str) -> bool:
    """Whether a network has the weights of one of torchvision's, by name and shape; its last child may differ."""
    from torchvision import models

    with ignore_warnings(), torch.device("meta"):  # of slow random weights
        expected = models.get_model(name, weights=None)
    *_, head = (child for child, _ in expected.named_children())
    own, other = (
        {key: value.shape for key, value in one.state_dict().items() if not key.startswith(f"{head}.")}
        for one in (network, expected)
    )
    return own == other


def classifier_from_timm(network: nn.Module, name: str = "") -> Classifier:
    """Make a Classifier of a timm network, with the mean, std, size, crop and labels of its own config."""
    from timm.data import resolve_model_data_config

    config: dict[str, Any] = resolve_model_data_config(network)
    height, width = find_size(network) or config["input_size"][1:]
    covering = int(height / config["crop_pct"]), int(width / config["crop_pct"])
    keeps_aspect = config["crop_mode"] != "squash" and height == width
    return Classifier(
        network,
        Normalize(config["mean"], config["std"]).with_channels(first_channels(network, (height, width))),
        (height, width),
        labels_from_timm(network),
        ResizeCrop(covering[0] if keeps_aspect else covering, (height, width), config["interpolation"]),
        name,
        fixed_size=_has_fixed_size(network),
    )


def _has_fixed_size(network: Any) -> bool:
    """Whether a network of timm takes one size only; `dynamic_img_size=True` makes it take others too."""
    embed = getattr(network, "patch_embed", None)
    is_dynamic = getattr(network, "dynamic_img_size", False) or getattr(embed, "dynamic_img_pad", False)
    return bool(network.pretrained_cfg.get("fixed_input_size", False)) and not is_dynamic


def labels_from_timm(network: Any) -> tuple[str, ...]:
    """The labels of a timm network: those in its config, else ImageNet's where its weights' tag says so, else none.

    The config of somebody's fine-tuned network may still have the tag of the weights that training began with. So a
    tag counts for timm's own weights alone.
    """
    from timm.data import ImageNetInfo, infer_imagenet_subset

    config, count = network.pretrained_cfg, _count_outputs(network)
    names = config.get("label_names") or ()
    descriptions = config.get("label_descriptions") or {}
    own = tuple(str(descriptions.get(name, name)) for name in names)
    if own or not count:
        return own if len(own) == count else ()
    if config.get("num_classes") != count or IMAGENET_TAG.search(config.get("tag") or "") is None or _is_other(config):
        return ()
    subset = infer_imagenet_subset(network)
    labels = ImageNetInfo(subset).label_descriptions() if subset else ()
    return tuple(labels) if len(labels) == count else ()


def _is_other(config: Mapping[str, Any]) -> bool:
    """Whether weights come from a folder, or from a repository that is not timm's own."""
    source, repository = config.get("source"), str(config.get("hf_hub_id") or "")
    return source == "local-dir" or (source == "hf-hub" and not repository.startswith("timm/"))


def _count_outputs(network: Any) -> int:
    """How many classes a timm network has; 0 without class head. Its head may have been replaced."""
    head = network.get_classifier() if hasattr(network, "get_classifier") else None
    return int(getattr(head, "out_features", getattr(network, "num_classes", 0)))
