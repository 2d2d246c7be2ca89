"""Networks whose weights lie in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from optvis.data.files import is_file
from optvis.errors import warn_user
from optvis.models.checkpoint import explain_misfit, list_names, match_names, read_state_dict
from optvis.models.classifier import Classifier
from optvis.models.infer import (
    NORMALIZE,
    SIZE,
    as_classifier,
    check_normalization,
    infer_classifier,
    warn_assumed,
    with_input,
)
from optvis.models.normalize import INFER, Normalizer

WEIGHT_FILES = (".pth", ".pt", ".bin", ".safetensors", ".ckpt", ".pth.tar", ".tar", ".pkl")
ON_COMMAND_LINE = {SIZE: "--input-size", NORMALIZE: "--normalize"}


def load_weight_file(
    path: Path,
    architecture: str | nn.Module | None,
    labels: tuple[str, ...] | None,
    load_by_name: Callable[..., Classifier],
    key: str | None = None,
    size: int | tuple[int, int] | None = None,
    normalize: Normalizer | str = INFER,
) -> Classifier:
    """Load a network of an architecture with the weights of a file; see `optvis.load`.

    Args:
        path: of the file.
        architecture: the network that the weights are of, by name or as a module.
        labels: a text per class.
        load_by_name: builds a network by name: (name, weights, labels, **options).
        key: where in the file the weights are; see `read_state_dict`.
        size: side, or (height, width), of the images that it was trained on, in pixels.
        normalize: how these were normalised.
    """
    if not is_file(path):
        raise FileNotFoundError(f"no file {str(path)!r}")
    weights = read_state_dict(path, key)
    if architecture is None:
        raise ValueError(
            f"{path.name} holds weights alone; name the network that they are of: "
            f"load({str(path)!r}, architecture='resnet50'), on the command line --architecture resnet50"
        )
    classifier = with_input(_build_architecture(architecture, labels, normalize, load_by_name), size, normalize)
    own = classifier.network.state_dict()
    state, left_over = match_names(weights, own)
    try:
        classifier.network.load_state_dict(state)
    except RuntimeError as error:
        reason = explain_misfit(own, state, left_over, classifier.name, labels)
        raise ValueError(f"the weights in {path.name} do not fit {classifier.name}: {reason}") from error
    if left_over:
        warn_user(f"{path.name} holds more than {classifier.name} has, which is left out: {list_names(left_over)}")
    classifier.network.eval()
    unknown = {SIZE: size is None and not classifier.fixed_size, NORMALIZE: isinstance(normalize, str)}
    assumed = [option for option, is_unknown in unknown.items() if is_unknown]
    options = " and ".join(ON_COMMAND_LINE[option] for option in assumed)
    like = f"published weights of {classifier.name}"
    warn_assumed(classifier, path.name, like, assumed, f"; on the command line {options}")
    return classifier


def _build_architecture(
    architecture: str | nn.Module,
    labels: tuple[str, ...] | None,
    normalize: Normalizer | str,
    load_by_name: Callable[..., Classifier],
) -> Classifier:
    """Build the network that the weights are for."""
    if isinstance(architecture, str):
        options: dict[str, Any] = {} if labels is None else {"num_classes": len(labels)}
        return load_by_name(architecture, None, labels, **options)
    check_normalization(normalize)
    is_given = not isinstance(normalize, str)
    known = as_classifier(architecture, normalize) if is_given else infer_classifier(architecture)
    if known is None:
        raise ValueError(
            f"{type(architecture).__name__} does not say how its input is normalised; give "
            "normalize=Normalize(mean, std), IMAGENET, or None if it takes [0, 1] as it is, and size=pixels"
        )
    return known if labels is None else replace(known, labels=labels)
