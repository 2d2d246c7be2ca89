"""Objectives on Gram matrices: which channels are active together, wherever they are. For textures and styles."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from optvis.objectives.layout import positions
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_rows


def gram_matrix(a: Tensor, channel_axis: int | None = None) -> Tensor:
    """Compute the Gram matrix of a layer, FFᵀ / P: the mean product of each two channels over P positions.

    It is divided by the number of positions, so that images of different sizes are comparable
    (Gatys et al. 2016, "Image Style Transfer Using Convolutional Neural Networks", CVPR; arXiv:1508.06576).

    Args:
        a: (B, C, ...).
        channel_axis: axis of the channels; by default axis 1, or axis 2 of three.

    Returns:
        (B, C, C).

    Example:
        >>> import torch
        >>> gram_matrix(torch.ones(1, 2, 4, 4))
        tensor([[[1., 1.],
                 [1., 1.]]])
    """
    f = positions(a, channel_axis)
    return f @ f.mT / f.shape[2]


def gram_sum(a: Tensor, channel_axis: int | None = None) -> Tensor:
    """Sum FFᵀ over all channel pairs, as Σ_p (Σ_c F)²: the same number without the matrix.  a (B, C, ...) -> (B,)"""
    return positions(a, channel_axis).sum(1).square().sum(1)


def gram_difference(a: Tensor, target: Tensor, power: float = 1.0, channel_axis: int | None = None) -> Tensor:
    """Average |G − target|^power over channel pairs.  a (B, C, ...), target (B, C, C) or (1, C, C) -> (B,)"""
    matrix = gram_matrix(a, channel_axis)
    if matrix.shape[1] != target.shape[1]:
        raise ValueError(f"a Gram matrix of {target.shape[1]} channels for a layer of {matrix.shape[1]}")
    difference = (matrix - target).abs()
    return (difference if power == 1 else difference.pow(power)).flatten(1).mean(1)


def gram(layer: str, *, channel_axis: int | None = None, tokens: str | None = None) -> Objective:
    """Maximise the sum of a layer's Gram matrix FFᵀ over all channel pairs, not divided by positions: for dreams.

    Args:
        layer: name as in `layers(model)`.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Example:
        >>> import torch
        >>> gram("mixed3")({"mixed3": torch.ones(1, 2, 4, 4)})
        tensor([64.])
    """
    return make_objective("gram", layer, gram_sum, channel_axis=channel_axis, tokens=tokens)


def gram_distance(
    layer: str, target: Any, *, power: float = 1.0, channel_axis: int | None = None, tokens: str | None = None
) -> Objective:
    """Measure the distance of a layer's Gram matrix from a target: `mean |G − target|^power`. Subtract it for a style.

    Args:
        layer: name as in `layers(model)`.
        target: a Gram matrix from `gram_matrix`, (C, C), or one per image, (B, C, C).
        power: 1 for the mean absolute difference (Lucid), 2 for the mean square (Gatys et al. 2016,
            arXiv:1508.06576).
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError: a target that is not square, a power that is not positive; at the first step, a target of another
            number of channels than the layer has.

    Example:
        >>> import torch
        >>> style = gram_matrix(torch.rand(1, 3, 8, 8))
        >>> -1.0 * gram_distance("mixed3", style, power=2)
        -gram_distance('mixed3', ..., power=2)
    """
    rows = as_rows(target, axes=3)
    if rows.dim() != 3 or rows.shape[1] != rows.shape[2]:
        raise ValueError(f"target Gram matrix is {tuple(rows.shape)}; expected (C, C), or one per image, (B, C, C)")
    if not power > 0:
        raise ValueError(f"power is {power}; expected more than 0")
    return make_objective(
        "gram_distance", layer, gram_difference, rows, power=power, channel_axis=channel_axis, tokens=tokens
    )
