"""Terms on the statistics of activations: the formula, and what stands for a network's own statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from optvis.objectives.channel_moments import moments
from optvis.objectives.layout import channels_first
from optvis.objectives.product import factors, product
from optvis.objectives.target_tensors import as_vectors
from optvis.objectives.term import Term, own_options

Statistics: TypeAlias = Mapping[str, tuple[Any, Any]]  # by layer: the mean and the variance of its channels
Reader: TypeAlias = Callable[[Sequence[str] | None], Statistics]  # of some layers of a network, or of all
Per: TypeAlias = Literal["image", "batch"]
MIN_VARIANCE = 1e-3  # added to what differences are divided by, as a share of the layer's mean variance


@dataclass(frozen=True)
class RunningStatistics:
    """Stands for the running statistics of a network's BatchNorm layers, until the network is known.

    Args:
        layers: their names; None for all.
        weights: a weight per layer; None for 1.
        relative: see `activation_statistics`.
    """

    layers: tuple[str, ...] | None = None
    weights: tuple[float, ...] | None = None
    relative: bool = False

    def __len__(self) -> int:
        return 1

    def __getitem__(self, images: slice) -> RunningStatistics:
        return self


def statistics_distance(
    *inputs: Tensor,
    channels: Sequence[int],
    per: Per = "image",
    relative: bool = False,
    channel_axis: int | None = None,
) -> Tensor:
    """Compute Σ_layers w (‖(mean − target) / scale‖₂ + ‖(variance − target) / scale‖₂).

    Args:
        inputs: the activations of L layers, (B, C, ...). Then the target means and the target variances of the
            channels of all layers, one layer after the other, (B, ΣC) or (1, ΣC); the weights, (1, L); where
            `relative`, the scales of means and variances, (B, 2, ΣC) or (1, 2, ΣC).
        channels: C of each layer.
        per: "image" for the statistics of each image, "batch" for those of all together.
        relative: whether there are scales.
        channel_axis: axis of the channels in all layers.

    Returns:
        (B,).
    """
    activations, (means, variances, weights, *scales) = inputs[: len(channels)], inputs[len(channels) :]
    for a, count in zip(activations, channels, strict=True):
        found = channels_first(a, channel_axis).shape[1]
        if found != count:
            raise ValueError(f"statistics of {count} channels for a layer of {found}, {tuple(a.shape)}")
    values = torch.cat([moments(a, channel_axis) for a in activations], 2)
    values = values.to(torch.promote_types(values.dtype, means.dtype))  # a sum of squares leaves half precision
    differences = (values if per == "image" else pool(values)) - torch.stack([means, variances], 1)
    squares = (differences / scales[0] if relative else differences).square()
    sums = torch.stack([part.sum(2) for part in torch.split(squares, list(channels), 2)], 2)
    distances = (_root(sums).sum(1) * weights).sum(1)
    return distances.expand(len(values))


def pool(values: Tensor) -> Tensor:
    """Turn the moments of images of one size, (B, 2, C), into those of all together, (1, 2, C).

    The variance of all is the mean of the variances, plus the variance of the means.
    """
    means, variances = values.unbind(1)
    mean = means.mean(0)
    return torch.stack([mean, variances.mean(0) + (means - mean).square().mean(0)]).unsqueeze(0)


def _root(squares: Tensor) -> Tensor:
    """The root, with a gradient of 0 at 0."""
    positive = squares > 0
    return torch.where(positive, squares, 1).sqrt() * positive


def check_per(per: str) -> None:
    """Raise ValueError for what statistics cannot be of."""
    if per not in get_args(Per):
        raise ValueError(f"per is {per!r}; expected 'image' or 'batch'")


def statistics_term(
    statistics: Statistics,
    weights: Sequence[float] | None,
    per: Per,
    relative: bool,
    channel_axis: int | None,
    name: str,
) -> Term:
    """Build the term that compares the activations of layers with given statistics. See `activation_statistics`."""
    check_per(per)
    if not isinstance(statistics, Mapping) or not statistics:
        raise ValueError(f"statistics are {statistics!r}; expected {{layer: (mean, variance)}}, both (C,)")
    pairs = [_as_pair(layer, pair) for layer, pair in statistics.items()]
    images = max(len(rows) for pair in pairs for rows in pair)
    if per == "batch" and images > 1:
        raise ValueError(f"statistics of {images} images with per='batch'; expected one mean per channel, (C,)")
    means, variances = (torch.cat([pair[i].expand(images, -1) for pair in pairs], 1) for i in (0, 1))
    layer_weights = as_layer_weights(weights, len(pairs))
    scales = [torch.cat([_scale(variance) for _, variance in pairs], 2) * len(pairs)] if relative else []
    channels = tuple(mean.shape[1] for mean, _ in pairs)
    return Term(
        name,
        tuple(statistics),
        statistics_distance,
        (means, variances, layer_weights, *scales),
        own_options(statistics_distance, channels=channels, per=per, relative=relative, channel_axis=channel_axis),
        couples_images=per == "batch",
        pools_images=per == "batch",
        factory="activation_statistics",
    )


def fill(term: Term, read: Reader) -> Term:
    """Replace what stands for a network's running statistics, also in the factors of a product."""
    parts = factors(term)
    if not any(reads_network(part) for part in parts):
        return term
    filled = reduce(product, [_fill_factor(part, read) for part in parts])
    return replace(filled, name=term.name, weight=term.weight, schedules=term.schedules)


def reads_network(term: Term) -> bool:
    """Whether a term, or a factor of it, stands for a network's running statistics."""
    return any(isinstance(target, RunningStatistics) for target in term.targets)


def _fill_factor(term: Term, read: Reader) -> Term:
    for target in term.targets:
        if isinstance(target, RunningStatistics):
            per = dict(term.options).get("per", "image")
            statistics = read(target.layers)
            return statistics_term(statistics, target.weights, per, target.relative, 1, term.name)
    return term


def _as_pair(layer: str, pair: Any) -> tuple[Tensor, Tensor]:
    """The mean and the variance of a layer, both (B, C) or (1, C)."""
    try:
        mean, variance = pair
    except (TypeError, ValueError) as error:
        raise ValueError(f"statistics of {layer!r} are {type(pair).__name__}; expected (mean, variance)") from error
    rows = as_vectors(mean, "mean"), as_vectors(variance, "variance")
    if rows[0].shape[1] != rows[1].shape[1]:
        raise ValueError(f"{layer!r} has {rows[0].shape[1]} means and {rows[1].shape[1]} variances; expected C of each")
    if bool((rows[1] < 0).any()):
        raise ValueError(f"a variance of {layer!r} is {float(rows[1].min()):g}; expected 0 or more")
    return rows


def as_layer_weights(weights: Sequence[float] | None, layers: int) -> Tensor:
    """The weight of each layer, (1, L); by default 1."""
    ones = torch.ones(1, layers, dtype=torch.float32, device="cpu")
    rows = ones if weights is None else as_vectors(weights, "weights")
    if rows.shape != (1, layers):
        raise ValueError(f"{rows.shape[1]} weights for {layers} layers; expected one per layer")
    return rows


def _scale(variance: Tensor) -> Tensor:
    """What differences of means and of variances are divided by, times the root of C.  (B, C) -> (B, 2, C)"""
    typical = variance.mean(1, keepdim=True)
    if not bool((typical > 0).all()):
        raise ValueError("a layer without variance has no relative distance; leave it out, or take relative=False")
    scale = variance + MIN_VARIANCE * typical
    return torch.stack([scale.sqrt(), scale], 1) * math.sqrt(scale.shape[1])
