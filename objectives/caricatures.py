"""Caricatures: images whose activations exaggerate a given image's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from optvis.objectives.directions import MIN_COSINE, direction_score, power_option
from optvis.objectives.layout import positions
from optvis.objectives.objective import Objective, make_objective
from optvis.objectives.target_tensors import as_rows

LUCID_EPSILON = 1e-6  # added to a norm (lucid.recipes.caricature.dot_compare, 2018)


def sum_direction_score(a: Tensor, target: Tensor, power: float = 0.0, channel_axis: int | None = None) -> Tensor:
    """Σ over positions of (a₀·a) · max(0.1, cos)^power.  a (B, C, ...), target (B, C, ...) or (1, C, ...) -> (B,)"""
    _check_shape(a, target)
    return direction_score(positions(a, channel_axis), positions(target, channel_axis), power).sum(1)


def layer_direction_score(a: Tensor, target: Tensor, power: float = 0.0) -> Tensor:
    """ΣA₀A · max(0.1, cos)^power, the cosine being of whole layers.  a (B, ...), target (B, ...) or (1, ...) -> (B,)"""
    _check_shape(a, target)
    found, given = a.flatten(1), target.flatten(1).to(a.dtype)
    dot = (found * given).sum(1)
    norms = torch.linalg.vector_norm(found, dim=1), torch.linalg.vector_norm(given, dim=1)
    cos = dot / ((LUCID_EPSILON + norms[0]) * (LUCID_EPSILON + norms[1]))
    return dot if power == 0 else dot * cos.clamp(min=MIN_COSINE).pow(power)


def caricature(
    layer: str, target: Any, *, attribution: Any = None, power: float = 0.0, channel_axis: int | None = None
) -> Objective:
    """What a layer makes of an image, exaggerated: Σ (a₀·a) · max(0.1, cos(a₀, a))^p over positions.

    a₀ is the given image's activations at a position, a the new image's, cos(a₀, a) = a₀·a / ((ε + ‖a₀‖)(ε + ‖a‖))
    with ε = 1e-4, as in `direction`. Feature inversion with a dot product, after Lucid's recipe `caricature`, which
    divides by one of the norms only; here by both. Lucid's one cosine for the whole layer is `dot_compare`.

    Args:
        layer: name as in `layers(net)`.
        target: a₀ as the layer gives it, (1, ...) or one per image, (B, ...): `activations(net, photo, [layer])[layer]`
            of a photograph of the canvas's size.
        attribution: for a class, of each of those activations, e.g. a₀ times the gradient of its logit: then a₀ is
            weighted by its positive part. Any shape that multiplies `target`.
        power: p; 0 is the dot product, 1 to 4 ask for purer images.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        ValueError: a negative power, an attribution of another shape; at the first step, activations of another shape.

    Example:
        >>> photo = torch.ones(1, 2, 4, 4)
        >>> caricature("mixed3", photo)({"mixed3": 0.5 * photo})
        tensor([16.])
    """
    rows = _weight_by_attribution(target, attribution)
    return make_objective(
        "caricature", (layer,), sum_direction_score, rows, power=power_option(power), channel_axis=channel_axis
    )


def dot_compare(layer: str, target: Any, *, attribution: Any = None, power: float = 0.0) -> Objective:
    """`caricature` with one cosine for the whole layer: ΣA₀A · max(0.1, cos(A₀, A))^p.

    Lucid's `dot_compare`, except that cos(A₀, A) = ΣA₀A / ((ε + ‖A₀‖)(ε + ‖A‖)), ε = 1e-6, is divided by both norms.
    With p = 0 it is `caricature`.

    Args:
        layer: name as in `layers(net)`.
        target: A₀ as the layer gives it, (1, ...) or one per image, (B, ...).
        attribution: see `caricature`.
        power: p.

    Raises:
        ValueError: as in `caricature`.

    Example:
        >>> photo = torch.ones(1, 2, 4, 4)
        >>> dot_compare("mixed3", photo, power=2)({"mixed3": 0.5 * photo})
        tensor([16.0000])
    """
    rows = _weight_by_attribution(target, attribution)
    return make_objective("dot_compare", (layer,), layer_direction_score, rows, power=power_option(power))


def _weight_by_attribution(target: Any, attribution: Any) -> Tensor:
    """A₀, weighted by the positive part of an attribution where there is one."""
    rows = as_rows(target)
    if rows.dim() < 2:
        raise ValueError(f"target is {tuple(rows.shape)}; expected activations as a layer gives them, (1, C, ...)")
    if attribution is None:
        return rows
    weights = as_rows(attribution).clamp(min=0)
    try:
        weighted = rows * weights
    except RuntimeError:
        weighted = rows.new_empty(0)
    if weighted.shape[1:] != rows.shape[1:]:
        raise ValueError(f"attribution is {tuple(weights.shape)}; expected the target's shape, {tuple(rows.shape)}")
    return weighted


def _check_shape(a: Tensor, target: Tensor) -> None:
    if a.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"a caricature of activations {tuple(target.shape[1:])} in a layer of {tuple(a.shape[1:])}; take them "
            "from an image of the canvas's size, at this layer"
        )
