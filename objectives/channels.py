"""Objectives on single channels: their mean over positions, weighted sums of means, the value at one position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from optvis.objectives.layout import PositionError, channels_first, pick, positions
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_index, as_vectors

Index = int | Iterable[int] | Tensor


def channel_mean(a: Tensor, index: Tensor, channel_axis: int | None = None) -> Tensor:
    """Average one channel per image over positions.  a (B, C, ...), index (B,) or (1,) -> (B,)"""
    return pick(positions(a, channel_axis).mean(2), index)


def mean_dot_product(a: Tensor, weights: Tensor, channel_axis: int | None = None) -> Tensor:
    """Compute Σ_c w_c ⟨A_c⟩.  a (B, C, ...), weights (B, C) or (1, C) -> (B,)"""
    means = positions(a, channel_axis).mean(2)
    if weights.shape[1] != means.shape[1]:
        raise ValueError(f"{weights.shape[1]} weights for a layer of {means.shape[1]} channels")
    return (means * weights.to(means.dtype)).sum(1)


def neuron_value(
    a: Tensor, index: Tensor, y: Tensor | None = None, x: Tensor | None = None, channel_axis: int | None = None
) -> Tensor:
    """Select one channel at one position per image, by default in the centre.  a (B, C, H, W) -> (B,)"""
    plane = pick(channels_first(a, channel_axis), index)
    return at_position(plane.unsqueeze(1), y, x).squeeze(1)


def at_position(a: Tensor, y: Tensor | None, x: Tensor | None) -> Tensor:
    """Select the values at one position, by default the centre.  a (B, C), (B, C, T) or (B, C, H, W) -> (B, C)

    y and x, (B,) or (1,), are the index on the first axis of positions and on the second.
    """
    indices = [index for index in (y, x) if index is not None]
    axes = a.dim() - 2
    if indices and len(indices) != axes:
        expected = {1: "y alone", 2: "y and x"}.get(axes, "neither y nor x")
        raise ValueError(f"positions of this layer are {tuple(a.shape[2:])}; give {expected}, or none for the centre")
    sides = " × ".join(map(str, a.shape[2:]))
    for index in indices if indices else [None] * axes:
        try:
            a = a[:, :, a.shape[2] // 2] if index is None else pick(a, index, axis=2)
        except IndexError as error:
            raise PositionError(f"position {str(error).removeprefix('index ')}, the map is {sides}") from error
    return a


def channel(layer: str, index: Index, *, channel_axis: int | None = None, tokens: str | None = None) -> Objective:
    """Maximise the mean activation of a channel: ⟨A_c⟩ over positions.

    The standard objective of feature visualization (Olah et al., "Feature Visualization", Distill 2017,
    doi:10.23915/distill.00007).

    Args:
        layer: name as in `layers(model)`.
        index: one channel, or one per image (any sequence of integers): then there is an image for each.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        TypeError: `index` is no integer or sequence of integers.
        IndexError: at the first step, a channel that the layer does not have.

    Example:
        >>> channel("mixed3", range(64)).batch
        64
    """
    return make_objective(
        "channel", layer, channel_mean, as_index(index, "channel"), channel_axis=channel_axis, tokens=tokens
    )


def channel_weights(
    layer: str, weights: Any, *, channel_axis: int | None = None, tokens: str | None = None
) -> Objective:
    """Maximise a weighted sum of a layer's channels: Σ_c w_c ⟨A_c⟩.

    Args:
        layer: name as in `layers(model)`.
        weights: w, a number for each channel, (C,), or a row of them per image, (B, C).
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError: weights with no axis or more than two; at the first step, weights for another number of channels.

    Example:
        >>> import torch
        >>> channel_weights("mixed3", [1.0, -0.5])({"mixed3": torch.ones(1, 2, 4, 4)})
        tensor([0.5000])
    """
    rows = as_vectors(weights, "weights")
    return make_objective("channel_weights", layer, mean_dot_product, rows, channel_axis=channel_axis, tokens=tokens)


def neuron(
    layer: str,
    index: Index,
    y: Index | None = None,
    x: Index | None = None,
    *,
    channel_axis: int | None = None,
    tokens: str | None = None,
) -> Objective:
    """Maximise one channel at one position, by default the centre, (H // 2, W // 2).

    Args:
        layer: name as in `layers(model)`.
        index: one channel, or one per image.
        y: row of the position, or one per image; of tokens, the index of the token.
        x: column of the position, or one per image.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        TypeError: an index is no integer or sequence of integers.
        ValueError: `x` without `y`; at the first step, `y` without `x` for a layer with columns, or `x` for a layer
            without columns.
        IndexError: at the first step, a channel or position that the layer does not have.

    Example:
        >>> neuron("mixed3", 17, 2, 3)
        neuron('mixed3', 17, 2, 3)
    """
    position = position_targets("neuron", y, x)
    return make_objective(
        "neuron", layer, neuron_value, as_index(index, "channel"), *position, channel_axis=channel_axis, tokens=tokens
    )


def position_targets(factory: str, y: Index | None, x: Index | None) -> tuple[Tensor, ...]:
    """Check the position that an objective got: () for the centre, (y,) or (y, x).

    Raises:
        TypeError: an index is no integer or sequence of integers.
        ValueError: `x` without `y`.
    """
    if y is None and x is not None:
        raise ValueError(f"{factory}() got x without y; give both, or neither for the centre")
    return tuple(as_index(index, name) for name, index in (("y", y), ("x", x)) if index is not None)
