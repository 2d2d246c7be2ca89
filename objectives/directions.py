"""Objectives on directions in a layer's channel space: dot products, cosines, and products of the two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.objectives.channels import Index, at_position, position_targets
from optvis.objectives.layout import channels_first, positions
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_rows, as_vectors
from optvis.objectives.whitening import whiten

# lucid.optvis.objectives_util._dot_cossim, 2017
LUCID_EPSILON = 1e-4  # added to each norm
MIN_COSINE = 0.1  # smaller cosines count as this


def dot_and_cosine(a: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """Compute a·v and the cosine of a and v per position.  a (B, C, P), vector (B or 1, C, P or 1) -> (B, P) twice"""
    if vector.shape[1] != a.shape[1]:
        raise ValueError(f"a direction of {vector.shape[1]} numbers in a layer of {a.shape[1]} channels")
    vector = vector.to(a.dtype)
    dot = (vector.mT @ a).squeeze(1) if vector.shape[2] == 1 else (vector * a).sum(1)
    norms = torch.linalg.vector_norm(a, dim=1), torch.linalg.vector_norm(vector, dim=1)
    return dot, dot / ((LUCID_EPSILON + norms[0]) * (LUCID_EPSILON + norms[1]))


def direction_score(a: Tensor, vector: Tensor, power: float) -> Tensor:
    """Compute (a·v) · max(0.1, cos)^power per position.  a (B, C, P), vector (B or 1, C, P or 1) -> (B, P)"""
    dot, cos = dot_and_cosine(a, vector)
    return dot if power == 0 else dot * cos.clamp(min=MIN_COSINE).pow(power)


def mean_direction_score(a: Tensor, vector: Tensor, power: float = 0.0, channel_axis: int | None = None) -> Tensor:
    """Average `direction_score` over positions.  a (B, C, ...), vector (B, C) or (1, C) -> (B,)"""
    return direction_score(positions(a, channel_axis), vector.unsqueeze(2), power).mean(1)


def direction_score_at(
    a: Tensor,
    vector: Tensor,
    y: Tensor | None = None,
    x: Tensor | None = None,
    power: float = 0.0,
    channel_axis: int | None = None,
) -> Tensor:
    """Compute `direction_score` at one position.  a (B, C, H, W), vector (B, C) or (1, C) -> (B,)"""
    here = at_position(channels_first(a, channel_axis), y, x)
    return direction_score(here.unsqueeze(2), vector.unsqueeze(2), power).squeeze(1)


def center_direction_score(a: Tensor, tensor: Tensor, power: float = 0.0, channel_axis: int | None = None) -> Tensor:
    """Average `direction_score` over the central h × w positions.  a (B, C, H, W), tensor (B or 1, C, h, w) -> (B,)"""
    a, tensor = channels_first(a, channel_axis), channels_first(tensor, channel_axis)
    if a.dim() != 4 or any(side > whole for side, whole in zip(tensor.shape[2:], a.shape[2:], strict=True)):
        raise ValueError(
            f"a tensor of {tuple(tensor.shape[1:])} in a layer of {tuple(a.shape[1:])}, channels first; "
            "expected no more rows and columns than the layer's"
        )
    (h, w), (height, width) = tensor.shape[2:], a.shape[2:]
    top, left = (height - h) // 2, (width - w) // 2
    center = a[:, :, top : top + h, left : left + w]
    return direction_score(center.flatten(2), tensor.flatten(2), power).mean(1)


def mean_cosine(a: Tensor, vector: Tensor, channel_axis: int | None = None) -> Tensor:
    """Average the cosine of a and v over positions.  a (B, C, ...), vector (B, C) or (1, C) -> (B,)"""
    return dot_and_cosine(positions(a, channel_axis), vector.unsqueeze(2))[1].mean(1)


def direction(
    layer: str,
    vector: Any,
    *,
    power: float = 0.0,
    whitening: Any = None,
    channel_axis: int | None = None,
    tokens: str | None = None,
) -> Objective:
    """Maximise the mean of (a·v) · max(0.1, cos)^p over positions: activation along a direction.

    With p = 0 it is the plain dot product ⟨a·v⟩; a larger p suppresses other directions. The exponent, the floor of
    0.1 and ε = 1e-4 on each norm are Lucid's (Olah et al., "The Building Blocks of Interpretability", Distill 2018,
    doi:10.23915/distill.00010).

    Args:
        layer: name as in `layers(model)`.
        vector: v, (C,), or one per image, (B, C).
        power: p; 0 is the dot product, 1 to 4 give purer images.
        whitening: S, (C, C), as `whitening` measures it: the direction is then v S.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError: a vector with no axis or more than two, a negative power, an S of another size; at the first
            step, a vector of another length than the layer has channels.

    Example:
        >>> import torch
        >>> direction("mixed3", [1.0, 0.0])({"mixed3": torch.ones(1, 2, 4, 4)})
        tensor([1.])
    """
    rows, power = _vector(vector, whitening), check_power(power)
    return make_objective(
        "direction", layer, mean_direction_score, rows, power=power, channel_axis=channel_axis, tokens=tokens
    )


def direction_neuron(
    layer: str,
    vector: Any,
    y: Index | None = None,
    x: Index | None = None,
    *,
    power: float = 0.0,
    whitening: Any = None,
    channel_axis: int | None = None,
    tokens: str | None = None,
) -> Objective:
    """Maximise `direction` at one position, by default the centre, (H // 2, W // 2).

    Args:
        layer: name as in `layers(model)`.
        vector: v, (C,), or one per image, (B, C).
        y: row of the position, or one per image.
        x: column of the position, or one per image.
        power: p, as in `direction`.
        whitening: S, as in `direction`.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError: as in `direction` and `neuron`.
        IndexError: at the first step, a position that the layer does not have.

    Example:
        >>> import torch
        >>> direction_neuron("mixed3", [0.0, 1.0])({"mixed3": torch.ones(1, 2, 4, 4)})
        tensor([1.])
    """
    targets = _vector(vector, whitening), *position_targets("direction_neuron", y, x)
    options: dict[str, Any] = {"power": check_power(power), "channel_axis": channel_axis}
    return make_objective("direction_neuron", layer, direction_score_at, *targets, **options, tokens=tokens)


def cosine(
    layer: str, vector: Any, *, whitening: Any = None, channel_axis: int | None = None, tokens: str | None = None
) -> Objective:
    """Maximise the mean cosine between activations and a direction over positions, whatever their norm.

    Args:
        layer: name as in `layers(model)`.
        vector: v, (C,), or one per image, (B, C).
        whitening: S, as in `direction`.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError: as in `direction`.

    Example:
        >>> import torch
        >>> cosine("mixed3", [3.0, 4.0])({"mixed3": torch.tensor([[30.0, 40.0]])}).round(decimals=3)
        tensor([1.])
    """
    return make_objective(
        "cosine", layer, mean_cosine, _vector(vector, whitening), channel_axis=channel_axis, tokens=tokens
    )


def tensor_direction(
    layer: str, tensor: Any, *, power: float = 0.0, channel_axis: int | None = None, tokens: str | None = None
) -> Objective:
    """Maximise `direction` with a vector for each of h × w positions in the centre of the layer.

    The mean of (a·v) · max(0.1, cos)^p over these positions; the first row is the layer's row (H − h) // 2. The same
    as Lucid's `tensor_direction`.

    Args:
        layer: name as in `layers(model)`.
        tensor: v, (C, h, w), or one per image, (B, C, h, w); channels last with `channel_axis=-1`.
        power: p, as in `direction`.
        channel_axis: axis of the channels in the layer's output; by default axis 1.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError: a tensor with other axes, a negative power; at the first step, a tensor that is larger than the
            layer or has another number of channels.

    Example:
        >>> import torch
        >>> tensor_direction("mixed3", torch.ones(2, 3, 3))({"mixed3": torch.ones(1, 2, 4, 4)})
        tensor([2.])
    """
    rows = as_rows(tensor, 4, "tensor", "(C, h, w), or one per image, (B, C, h, w)")
    return make_objective(
        "tensor_direction",
        layer,
        center_direction_score,
        rows,
        power=check_power(power),
        channel_axis=channel_axis,
        tokens=tokens,
    )


def check_power(power: float) -> float:
    """Return the exponent of a cosine if it is 0 or more.

    Raises:
        ValueError: a negative exponent.
    """
    check_minimum(0, power=power)
    return power


def _vector(vector: Any, whitening: Any) -> Tensor:
    """v, or v S where there is a whitening matrix S."""
    rows = as_vectors(vector, "direction")
    return rows if whitening is None else whiten(rows, whitening)
