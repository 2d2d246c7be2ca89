"""Caricatures: images whose activations exaggerate those of a given image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from optvis.objectives.directions import MIN_COSINE, check_power, direction_score
from optvis.objectives.layout import positions
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_rows

LUCID_EPSILON = 1e-6  # added to a norm (lucid.recipes.caricature.dot_compare, 2018)


def sum_direction_score(a: Tensor, target: Tensor, power: float = 0.0, channel_axis: int | None = None) -> Tensor:
    """Sum (a₀·a) · max(0.1, cos)^power over positions.  a (B, C, ...), target (B, C, ...) or (1, C, ...) -> (B,)"""
    _check_shape(a, target)
    return direction_score(positions(a, channel_axis), positions(target, channel_axis), power).sum(1)


def layer_direction_score(a: Tensor, target: Tensor, power: float = 0.0) -> Tensor:
    """Compute ΣA₀A · max(0.1, cos)^power, cos of the whole layers.  a (B, ...), target (B, ...) or (1, ...) -> (B,)"""
    _check_shape(a, target)
    rows, target_rows = a.flatten(1), target.flatten(1).to(a.dtype)
    dot = (rows * target_rows).sum(1)
    norms = torch.linalg.vector_norm(rows, dim=1), torch.linalg.vector_norm(target_rows, dim=1)
    cos = dot / ((LUCID_EPSILON + norms[0]) * (LUCID_EPSILON + norms[1]))
    return dot if power == 0 else dot * cos.clamp(min=MIN_COSINE).pow(power)


def caricature(
    layer: str,
    target: Any,
    *,
    attribution: Any = None,
    power: float = 0.0,
    channel_axis: int | None = None,
    tokens: str | None = None,
) -> Objective:
    """Exaggerate an image as a layer represents it: Σ (a₀·a) · max(0.1, cos(a₀, a))^p over positions.

    a₀ are the activations of the given image at a position, a those of the new image, and
    cos(a₀, a) = a₀·a / ((ε + ‖a₀‖)(ε + ‖a‖)) with ε = 1e-4, as in `direction`. This is feature inversion with a dot
    product, after Lucid's recipe `caricature`, which divides by one of the norms; here the cosine divides by both.
    `dot_compare` takes Lucid's one cosine of the whole layer.

    Args:
        layer: name as in `layers(model)`.
        target: a₀ in the layer's own layout, (1, ...) or one per image, (B, ...):
            `activations(model, image, [layer])[layer]` at the canvas's size, which is the network's by default.
        attribution: of a class to each activation of `target`, whose positive part weights a₀: of an Attribution its
            `values`, `attribute(model, image, layer, logit(label)).values`. Any shape that multiplies `target`.
        power: p; 0 is the dot product, 1 to 4 give purer images.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError: a negative power, an attribution of another shape; at the first step, activations of another shape.

    Example:
        >>> target = torch.ones(1, 2, 4, 4)
        >>> caricature("mixed3", target)({"mixed3": 0.5 * target})
        tensor([16.])
    """
    rows = _weight_by_attribution(target, attribution)
    return make_objective(
        "caricature",
        layer,
        sum_direction_score,
        rows,
        power=check_power(power),
        channel_axis=channel_axis,
        tokens=tokens,
    )


def dot_compare(layer: str, target: Any, *, attribution: Any = None, power: float = 0.0) -> Objective:
    """Maximise `caricature` with one cosine for the whole layer: ΣA₀A · max(0.1, cos(A₀, A))^p.

    Lucid's `dot_compare`, except that cos(A₀, A) = ΣA₀A / ((ε + ‖A₀‖)(ε + ‖A‖)), ε = 1e-6, divides by both norms.
    With p = 0 it is `caricature`.

    Args:
        layer: name as in `layers(model)`.
        target: A₀ in the layer's own layout, (1, ...) or one per image, (B, ...).
        attribution: see `caricature`.
        power: p.

    Raises:
        ValueError: as in `caricature`.

    Example:
        >>> target = torch.ones(1, 2, 4, 4)
        >>> dot_compare("mixed3", target, power=2)({"mixed3": 0.5 * target})
        tensor([16.0000])
    """
    rows = _weight_by_attribution(target, attribution)
    return make_objective("dot_compare", layer, layer_direction_score, rows, power=check_power(power))


def _weight_by_attribution(target: Any, attribution: Any) -> Tensor:
    """Multiply A₀ by the positive part of an attribution, if there is one."""
    rows = as_rows(target)
    if rows.dim() < 2:
        raise ValueError(f"target is {tuple(rows.shape)}; expected activations in the layer's layout, (1, C, ...)")
    if attribution is None:
        return rows
    weights = as_rows(attribution).clamp(min=0)
    try:
        product = rows * weights
    except RuntimeError:
        product = rows.new_empty(0)
    if product.shape[1:] != rows.shape[1:]:
        raise ValueError(f"attribution is {tuple(weights.shape)}; expected the target's shape, {tuple(rows.shape)}")
    return product


def _check_shape(a: Tensor, target: Tensor) -> None:
    if a.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"target activations are {tuple(target.shape[1:])} and the layer's {tuple(a.shape[1:])}; compute the "
            "target at the canvas's size, activations(dataclasses.replace(classifier, size=...), image, layer)"
        )
