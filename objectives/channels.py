"""Single channels: their mean over positions, weighted sums of them, their value at one position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from optvis.objectives.layout import channels_first, pick, positions
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_index, as_vectors

Index = int | Iterable[int] | Tensor


def channel_mean(a: Tensor, index: Tensor, channel_axis: int | None = None) -> Tensor:
    """Mean over positions of each image's own channel.  a (B, C, ...), index (B,) or (1,) -> (B,)"""
    return pick(positions(a, channel_axis).mean(2), index)


def mean_dot_product(a: Tensor, weights: Tensor, channel_axis: int | None = None) -> Tensor:
    """Σ_c w_c ⟨A_c⟩.  a (B, C, ...), weights (B, C) or (1, C) -> (B,)"""
    means = positions(a, channel_axis).mean(2)
    if weights.shape[1] != means.shape[1]:
        raise ValueError(f"{weights.shape[1]} weights for a layer of {means.shape[1]} channels")
    return (means * weights.to(means.dtype)).sum(1)


def neuron_value(
    a: Tensor, index: Tensor, y: Tensor | None = None, x: Tensor | None = None, channel_axis: int | None = None
) -> Tensor:
    """Each image's own channel at its own position, the middle one by default.  a (B, C, H, W) -> (B,)"""
    plane = pick(channels_first(a, channel_axis), index)
    return at_position(plane.unsqueeze(1), y, x).squeeze(1)


def at_position(a: Tensor, y: Tensor | None, x: Tensor | None) -> Tensor:
    """The values at one position an image, the middle one by default.  a (B, C, H, W), (B, C, T) or (B, C) -> (B, C)"""
    given = [place for place in (y, x) if place is not None]
    axes = a.dim() - 2
    if given and len(given) != axes:
        wanted = {1: "y alone", 2: "y and x"}.get(axes, "neither y nor x")
        raise ValueError(f"positions of this layer are {tuple(a.shape[2:])}: give {wanted}, or none for the middle one")
    for place in given if given else [None] * axes:
        a = a[:, :, a.shape[2] // 2] if place is None else pick(a, place, axis=2)
    return a


def channel(layer: str, index: Index, *, channel_axis: int | None = None) -> Objective:
    """The mean activation of a channel: ⟨A_c⟩ over positions.

    The standard feature visualization objective (Olah et al., "Feature Visualization", Distill 2017,
    doi:10.23915/distill.00007).

    Args:
        layer: name as in `layers(net)`.
        index: one channel, or one per image (any sequence of integers); an image is made for each.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        TypeError: `index` is no integer or sequence of integers.
        IndexError: at the first step, a channel that the layer does not have.

    Example:
        >>> channel("mixed3", range(64)).batch
        64
    """
    return make_objective("channel", (layer,), channel_mean, as_index(index, "channel"), channel_axis=channel_axis)


def channel_weights(layer: str, weights: Any, *, channel_axis: int | None = None) -> Objective:
    """Several channels of a layer at once, weighted: Σ_c w_c ⟨A_c⟩.

    Args:
        layer: name as in `layers(net)`.
        weights: w, a number for each channel, (C,), or such a row per image, (B, C).
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        ValueError: weights with no axis or more than two; at the first step, another number than there are channels.

    Example:
        >>> import torch
        >>> channel_weights("mixed3", [1.0, -0.5])({"mixed3": torch.ones(1, 2, 4, 4)})
        tensor([0.5000])
    """
    rows = as_vectors(weights, "weights")
    return make_objective("channel_weights", (layer,), mean_dot_product, rows, channel_axis=channel_axis)


def neuron(
    layer: str, index: Index, y: Index | None = None, x: Index | None = None, *, channel_axis: int | None = None
) -> Objective:
    """One channel at one position; the middle one, (H // 2, W // 2), by default.

    Args:
        layer: name as in `layers(net)`.
        index: one channel, or one per image.
        y: row of the position (of T tokens: its place), or one per image.
        x: column of the position, or one per image.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        TypeError: an index is no integer or sequence of integers.
        ValueError: `x` without `y`; at the first step, `y` without `x` where there are columns, `x` where there are
            none.
        IndexError: at the first step, a channel or position that the layer does not have.

    Example:
        >>> neuron("mixed3", 17, 2, 3)
        neuron('mixed3', 17, 2, 3)
    """
    if y is None and x is not None:
        raise ValueError("neuron() got x without y; give both, or neither for the middle position")
    places = [as_index(place, word) for word, place in (("y", y), ("x", x)) if place is not None]
    return make_objective(
        "neuron", (layer,), neuron_value, as_index(index, "channel"), *places, channel_axis=channel_axis
    )
