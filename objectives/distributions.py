"""Priors on the distribution of activations: each channel as strong, and as often, as on given images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from optvis.objectives.layout import positions, restore_layout
from optvis.objectives.objective import Objective
from optvis.objectives.statistics_term import as_layer_weights
from optvis.objectives.target_tensors import as_rows
from optvis.objectives.term import Term, own_options


def sorted_distance(*inputs: Tensor, relative: bool = False, channel_axis: int | None = None) -> Tensor:
    """Compute Σ_layers w mean_{c, p} (sort_p(A_c) − target_c)².

    Args:
        inputs: the activations of L layers, (B, C, ...); for each, the target's sorted values in the same layout,
            with one image and all positions on one axis; the weights of the layers, (1, L); where `relative`, the
            scales of the layers, (1, L).
        relative: whether there are scales; a layer's distance is divided by its scale.
        channel_axis: axis of the channels in all layers.

    Returns:
        (B,).
    """
    *layers, weights = inputs[: len(inputs) - relative]
    count = len(layers) // 2
    distances = [
        _layer_distance(positions(a, channel_axis), positions(target, channel_axis))
        for a, target in zip(layers[:count], layers[count:], strict=True)
    ]
    return (torch.stack(distances, 1) * (weights / inputs[-1] if relative else weights)).sum(1)


def _layer_distance(f: Tensor, target: Tensor) -> Tensor:
    """Average (sort(F) − target)² over channels and positions.  f (B, C, P), target (1, C, Q) -> (B,)"""
    if f.shape[1] != target.shape[1]:
        raise ValueError(f"a distribution of {target.shape[1]} channels for a layer of {f.shape[1]}")
    quantiles = resample(target, f.shape[2]).to(f.dtype)
    return (f.sort(2).values - quantiles).square().flatten(1).mean(1)


def resample(quantiles: Tensor, count: int) -> Tensor:
    """Read sorted values at the quantiles (k + ½) / count, linearly interpolated.  (1, C, Q) -> (1, C, count)

    Example:
        >>> resample(torch.tensor([[[0.0, 1.0, 2.0, 3.0]]]), 2)
        tensor([[[0.5000, 2.5000]]])
    """
    if count == quantiles.shape[2]:
        return quantiles
    return torch.nn.functional.interpolate(quantiles, count, mode="linear", align_corners=False)


def match_distribution(
    references: Mapping[str, Any],
    *,
    weights: Sequence[float] | None = None,
    relative: bool = False,
    channel_axis: int | None = None,
) -> Objective:
    """Measure how far the distribution of each channel's activations is from that of a few images. Subtract it.

    Σ_layers w mean_{c, p} (sort_p(A_c) − q_c)², where q_c are the sorted activations of channel c in each of the
    references, averaged over these: sort matching. It is the squared 2-Wasserstein distance of the two distributions of
    a channel, averaged over channels. VITAL (Gorgun et al., ICCV 2025, arXiv:2503.22399) matches the activations of a
    network to those of about ten photographs of the class, without weighting channels by their relevance here. Where
    the image is larger or smaller than the references, q_c is interpolated linearly between quantiles (k + ½) / P.

    Args:
        references: by layer, the activations of N images in the layer's own layout, (N, C, ...):
            `activations(model, images, layers)`.
        weights: a weight w per layer; 1 by default.
        relative: divide each layer's distance by the mean variance of its channels in q. Then a weight fits all layers
            and networks.
        channel_axis: axis of the channels in these layers; by default axis 1, or axis 2 of three.

    Raises:
        TypeError: references that hold no numbers.
        ValueError: no references; weights that are not one per layer; at the first step, references of another number
            of channels than the layer has.

    Example:
        >>> photos = torch.tensor([[[[1.0, 5.0]]], [[[3.0, 1.0]]]])
        >>> match_distribution({"mixed3": photos})({"mixed3": torch.tensor([[[[4.0, 1.0]]], [[[4.0, 3.0]]]])})
        tensor([0., 2.])
    """
    if not isinstance(references, Mapping) or not references:
        raise ValueError(f"references are {references!r}; expected {{layer: activations}}, (N, C, ...)")
    targets = [_average_sorted(layer, rows, channel_axis) for layer, rows in references.items()]
    scales = [torch.stack([positions(q, channel_axis).var(2, correction=0).mean(1) for q in targets], 1)]
    if relative and not bool((scales[0] > 0).all()):
        raise ValueError("a layer whose references do not vary has no relative distance; leave it out")
    term = Term(
        "match_distribution",
        tuple(references),
        sorted_distance,
        (*targets, as_layer_weights(weights, len(targets)), *(scales if relative else [])),
        own_options(sorted_distance, relative=relative, channel_axis=channel_axis),
        factory="match_distribution",
    )
    return Objective((term,))


def _average_sorted(layer: str, activations: Any, channel_axis: int | None) -> Tensor:
    """Sort each channel of each image, and average over images; in the layer's layout, with one image."""
    rows = as_rows(activations)
    rows = rows if rows.is_floating_point() else rows.float()
    if rows.dim() < 2:
        raise ValueError(f"references of {layer!r} are {tuple(rows.shape)}; expected activations, (N, C, ...)")
    quantiles = positions(rows, channel_axis).sort(2).values.mean(0, keepdim=True)
    shaped = quantiles.reshape(*quantiles.shape[: rows.dim()], *[1] * (rows.dim() - 3))
    return restore_layout(shaped, rows, channel_axis)
