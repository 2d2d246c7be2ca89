"""Directions in a layer's space of channels: dot products, cosines, and their product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from optvis.objectives.channels import Index, at_position
from optvis.objectives.layout import channels_second, positions
from optvis.objectives.objective import Objective, made
from optvis.objectives.targets import as_index, as_rows

LUCID_EPSILON = 1e-4  # added to each norm, and
LUCID_FLOOR = 0.1  # the least cosine that counts (lucid.optvis.objectives_util._dot_cossim, 2017)


def dot_and_cosine(a: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """a·v and its cosine at each position.  a (B, C, P), vector (B, C) or (1, C) -> (B, P) twice"""
    if vector.shape[-1] != a.shape[1]:
        raise ValueError(f"a direction of {vector.shape[-1]} numbers in a layer of {a.shape[1]} channels")
    vector = vector.to(a.dtype)
    dot = (vector.unsqueeze(1) @ a).squeeze(1)
    norms = torch.linalg.vector_norm(a, dim=1), torch.linalg.vector_norm(vector, dim=1, keepdim=True)
    return dot, dot / ((LUCID_EPSILON + norms[0]) * (LUCID_EPSILON + norms[1]))


def alignment(a: Tensor, vector: Tensor, power: float) -> Tensor:
    """(a·v) · max(0.1, cos)^power at each position.  a (B, C, P), vector (B, C) or (1, C) -> (B, P)"""
    dot, cos = dot_and_cosine(a, vector)
    return dot if power == 0 else dot * cos.clamp(min=LUCID_FLOOR).pow(power)


def mean_alignment(a: Tensor, vector: Tensor, power: float = 0.0, channel_axis: int | None = None) -> Tensor:
    """Mean over positions of (a·v) · max(0.1, cos)^power.  a (B, C, ...) -> (B,)"""
    return alignment(positions(a, channel_axis), vector, power).mean(1)


def alignment_at(
    a: Tensor,
    vector: Tensor,
    y: Tensor | None = None,
    x: Tensor | None = None,
    power: float = 0.0,
    channel_axis: int | None = None,
) -> Tensor:
    """(a·v) · max(0.1, cos)^power at one position.  a (B, C, H, W) -> (B,)"""
    here = at_position(channels_second(a, channel_axis), y, x)
    return alignment(here.unsqueeze(2), vector, power).squeeze(1)


def mean_cosine(a: Tensor, vector: Tensor, channel_axis: int | None = None) -> Tensor:
    """Mean over positions of the cosine between a and v.  a (B, C, ...) -> (B,)"""
    return dot_and_cosine(positions(a, channel_axis), vector)[1].mean(1)


def direction(layer: str, vector: Any, *, power: float = 0.0, channel_axis: int | None = None) -> Objective:
    """The mean of (a·v) · max(0.1, cos)^p over positions: how much of a direction there is, and how purely.

    With p = 0 it is the plain dot product ⟨a·v⟩. The exponent, the floor and ε = 1e-4 on each norm are Lucid's
    (Olah et al., "The Building Blocks of Interpretability", Distill 2018, doi:10.23915/distill.00010).

    Args:
        layer: name as in `layers(net)`.
        vector: v, (C,), or one per image, (B, C).
        power: p; 0 is the dot product, 1 to 4 ask for purer images.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        ValueError: a vector with no axis or more than two, a negative power; at the first step, a vector of another
            length than the layer has channels.

    Example:
        >>> import torch
        >>> direction("mixed3", [1.0, 0.0])({"mixed3": torch.ones(1, 2, 4, 4)})
        tensor([1.])
    """
    power_option = None if power == 0 else _checked_power(power)
    return made("direction", (layer,), mean_alignment, _vector(vector), power=power_option, channel_axis=channel_axis)


def direction_neuron(
    layer: str,
    vector: Any,
    y: Index | None = None,
    x: Index | None = None,
    *,
    power: float = 0.0,
    channel_axis: int | None = None,
) -> Objective:
    """`direction` at one position; the middle one, (H // 2, W // 2), by default.

    Args:
        layer: name as in `layers(net)`.
        vector: v, (C,), or one per image, (B, C).
        y: row of the position, or one per image.
        x: column of the position, or one per image.
        power: p, as in `direction`.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        ValueError: as in `direction` and `neuron`.
        IndexError: at the first step, a position that the layer does not have.

    Example:
        >>> import torch
        >>> direction_neuron("mixed3", [0.0, 1.0])({"mixed3": torch.ones(1, 2, 4, 4)})
        tensor([1.])
    """
    if y is None and x is not None:
        raise ValueError("direction_neuron() got x without y; give both, or neither for the middle position")
    places = [as_index(place, word) for word, place in (("y", y), ("x", x)) if place is not None]
    power_option = None if power == 0 else _checked_power(power)
    return made(
        "direction_neuron",
        (layer,),
        alignment_at,
        _vector(vector),
        *places,
        power=power_option,
        channel_axis=channel_axis,
    )


def cosine(layer: str, vector: Any, *, channel_axis: int | None = None) -> Objective:
    """The mean cosine between activations and a direction over positions, whatever their strength.

    Args:
        layer: name as in `layers(net)`.
        vector: v, (C,), or one per image, (B, C).
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        ValueError: as in `direction`.

    Example:
        >>> import torch
        >>> cosine("mixed3", [3.0, 4.0])({"mixed3": torch.tensor([[30.0, 40.0]])}).round(decimals=3)
        tensor([1.])
    """
    return made("cosine", (layer,), mean_cosine, _vector(vector), channel_axis=channel_axis)


def _vector(vector: Any) -> Tensor:
    rows = as_rows(vector, axes=2)
    if rows.dim() != 2 or rows.numel() == 0:
        raise ValueError(f"direction is {tuple(rows.shape)}; expected (C,), or one per image, (B, C)")
    return rows if rows.is_floating_point() else rows.to(torch.get_default_dtype())


def _checked_power(power: float) -> float:
    if not power >= 0:
        raise ValueError(f"power is {power}; expected 0 or more")
    return power
