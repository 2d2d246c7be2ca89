"""Objectives on norms of a layer, of one channel, of one position, or of the image."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.objectives.channels import Index, at_position, position_targets
from optvis.objectives.layout import IMAGE, channels_first, pick, positions
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_index

LUCID_EPSILON = 1e-6  # keeps the gradient of the root finite at 0 (lucid.optvis.objectives.L2, 2017)


def norm(a: Tensor, index: Tensor | None = None, p: float = 2.0, channel_axis: int | None = None) -> Tensor:
    """Compute (Σ|A|^p)^(1/p) over a whole layer, or over one channel per image.  a (B, C, ...) -> (B,)"""
    values = a if index is None else pick(positions(a, channel_axis), index)
    norms: Tensor = torch.linalg.vector_norm(values.flatten(1), ord=p, dim=1)
    return norms


def mean_of_squares(a: Tensor) -> Tensor:
    """Average A² over a whole layer.  a (B, ...) -> (B,)"""
    return a.flatten(1).square().mean(1)


def sum_of_distances(a: Tensor, constant: float = 0.0) -> Tensor:
    """Compute Σ|A − k|.  a (B, ...) -> (B,)"""
    return (a - constant).abs().flatten(1).sum(1)


def root_of_squares(a: Tensor, constant: float = 0.0, epsilon: float = LUCID_EPSILON) -> Tensor:
    """Compute √(ε + Σ(A − k)²).  a (B, ...) -> (B,)"""
    return ((a - constant).square().flatten(1).sum(1) + epsilon).sqrt()


def norm_at(a: Tensor, y: Tensor | None = None, x: Tensor | None = None, channel_axis: int | None = None) -> Tensor:
    """Compute ‖a‖₂ of the activations at one position.  a (B, C, H, W) -> (B,)"""
    norms: Tensor = torch.linalg.vector_norm(at_position(channels_first(a, channel_axis), y, x), dim=1)
    return norms


def position_norm(
    layer: str,
    y: Index | None = None,
    x: Index | None = None,
    *,
    channel_axis: int | None = None,
    tokens: str | None = None,
) -> Objective:
    """Maximise the norm of the activations at one position, ‖A[y, x]‖₂, by default at the centre, (H // 2, W // 2).

    `attribute` with this objective shows which positions of a lower layer contribute to this one (Olah et al., "The
    Building Blocks of Interpretability", Distill 2018, doi:10.23915/distill.00010).

    Args:
        layer: name as in `layers(model)`.
        y: row of the position, or one per image; of tokens, the index of the token.
        x: column of the position, or one per image.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError, IndexError: as in `neuron`.

    Example:
        >>> position_norm("mixed4", 2, 3)({"mixed4": torch.ones(1, 4, 6, 6)})
        tensor([2.])
    """
    position = position_targets("position_norm", y, x)
    return make_objective("position_norm", layer, norm_at, *position, channel_axis=channel_axis, tokens=tokens)


def layer_norm(
    layer: str,
    index: Index | None = None,
    *,
    p: float = 2.0,
    channel_axis: int | None = None,
    tokens: str | None = None,
) -> Objective:
    """Maximise the p-norm of a layer, (Σ|A|^p)^(1/p): strengthens everything that the layer detects.

    The objective of DeepDream, with p = 2 (Mordvintsev et al., "Inceptionism", Google Research blog, 2015).

    Args:
        layer: name as in `layers(model)`.
        index: one channel, or one per image; None takes the whole layer.
        p: the power, at least 1; `float("inf")` is the largest absolute value.
        channel_axis: axis of the channels in the layer's output; only used with `index`.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError: `p` under 1.

    Example:
        >>> import torch
        >>> layer_norm("mixed4")({"mixed4": torch.tensor([[3.0, 4.0]])})
        tensor([5.])
    """
    if not p >= 1:
        raise ValueError(f"p is {p}; a norm needs p >= 1")
    targets = () if index is None else (as_index(index, "channel"),)
    return make_objective("layer_norm", layer, norm, *targets, p=p, channel_axis=channel_axis, tokens=tokens)


def mean_square(layer: str) -> Objective:
    """Maximise the mean of A² over a layer: Lucid's `deepdream` objective.

    Example:
        >>> import torch
        >>> mean_square("mixed4")({"mixed4": torch.tensor([[3.0, 4.0]])})
        tensor([12.5000])
    """
    return make_objective("mean_square", layer, mean_of_squares)


def l1(layer: str = IMAGE, *, constant: float = 0.0) -> Objective:
    """Measure Σ|A − k| over the image or a layer. Subtract it to pull values towards the constant k.

    Args:
        layer: name as in `layers(model)`; by default the image before transforms, in [0, 1].
        constant: k.

    Example:
        >>> import torch
        >>> l1(constant=0.5)({IMAGE: torch.tensor([[0.0, 1.0]])})
        tensor([1.])
    """
    return make_objective("l1", layer, sum_of_distances, constant=constant)


def l2(layer: str = IMAGE, *, constant: float = 0.0, epsilon: float = LUCID_EPSILON) -> Objective:
    """Measure √(ε + Σ(A − k)²) over the image or a layer. Subtract it to pull values towards the constant k.

    Args:
        layer: name as in `layers(model)`; by default the image before transforms, in [0, 1].
        constant: k.
        epsilon: ε; keeps the gradient finite where A = k.

    Example:
        >>> import torch
        >>> l2(constant=0.5)({IMAGE: torch.tensor([[0.5, 1.0]])})
        tensor([0.5000])
    """
    return make_objective("l2", layer, root_of_squares, constant=constant, epsilon=epsilon)
