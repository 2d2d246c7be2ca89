"""Objectives that compare the images of a batch with each other. Such a batch cannot be split."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.objectives.layout import positions
from optvis.objectives.objective import Objective, make_objective

MAX_DISTANCE = 4  # images farther apart in the batch are not compared (lucid.optvis.objectives.alignment, 2018)
LUCID_EPSILON = 1e-5  # the least norm of a Gram matrix (the root of diversity's 1e-10, likewise)


def neighbor_similarity(a: Tensor, decay_ratio: float = 2.0) -> Tensor:
    """Compute −½ Σ_{d=±1…±4} mean (A_i − A_{i+d})² / r^|d| for each image i.  a (B, ...) -> (B,)"""
    scores = a.new_zeros(len(a))
    for d in range(1, min(MAX_DISTANCE, len(a) - 1) + 1):
        halves = 0.5 * (a[d:] - a[:-d]).square().flatten(1).mean(1) / decay_ratio**d
        scores = scores - torch.nn.functional.pad(halves, (d, 0)) - torch.nn.functional.pad(halves, (0, d))
    return scores


def gram_similarity(a: Tensor, channel_axis: int | None = None, group_size: int | None = None) -> Tensor:
    """Compute Σ_{j≠i} ⟨Ĝ_i, Ĝ_j⟩ for each image i, with Ĝ = FFᵀ / ‖FFᵀ‖ and j in its group.  a (B, C, ...) -> (B,)"""
    f = positions(a, channel_axis)
    size = len(f) if group_size is None else group_size
    if len(f) % size:
        raise ValueError(f"diversity with group_size={size} got {len(f)} images; expected a multiple of {size}")
    _, channels, places = f.shape
    groups = f.reshape(-1, size, channels, places)
    by_positions = size * places**2 < channels**2  # the smaller of the two matrices
    cosines = _cosines_by_positions(groups) if by_positions else _cosines_by_channels(groups)
    return cosines.flatten()


def _cosines_by_channels(f: Tensor) -> Tensor:
    """Sum the cosines of Gram matrices with the others of the group.  f (N, G, C, P) -> (N, G)"""
    g = torch.nn.functional.normalize((f @ f.mT).flatten(2), dim=2, eps=LUCID_EPSILON)
    return (g * (g.sum(1, keepdim=True) - g)).sum(2)


def _cosines_by_positions(f: Tensor) -> Tensor:
    """Sum the same cosines by ⟨F_iF_iᵀ, F_jF_jᵀ⟩ = ‖F_iᵀF_j‖², faster for few positions.  f (N, G, C, P) -> (N, G)"""
    count, size, _, places = f.shape
    columns = f.movedim(2, 1).flatten(2)
    between = (columns.mT @ columns).view(count, size, places, size, places)
    products = between.square().sum((2, 4))
    own = torch.linalg.vector_norm(between.diagonal(dim1=1, dim2=3), dim=(1, 2)).clamp(min=LUCID_EPSILON)
    others = 1 - torch.eye(size, dtype=f.dtype, device=f.device)
    cosines: Tensor = products * others / (own.unsqueeze(1) * own.unsqueeze(2))
    return cosines.sum(2)


def alignment(layer: str, *, decay_ratio: float = 2.0) -> Objective:
    """Maximise the similarity of neighbouring images: −Σ_{d=1…4} Σ_i mean (A_i − A_{i+d})² / r^d.

    Add it to an objective for several images, e.g. to `interpolate`. Lucid's `alignment`, after Olah et al., "Feature
    Visualization", Distill 2017, doi:10.23915/distill.00007. The mean is over channels and positions. Each of two
    compared images gets half of their difference, so that the scores sum to the formula. The batch cannot be split.

    Args:
        layer: name as in `layers(model)`; "<image>" compares pixels.
        decay_ratio: r; a pair of images d apart in the batch has the weight r^-d.

    Raises:
        ValueError: a ratio that is not positive.

    Example:
        >>> alignment("mixed3")({"mixed3": torch.tensor([[0.0], [2.0]])})
        tensor([-1., -1.])
    """
    if not decay_ratio > 0:
        raise ValueError(f"decay_ratio is {decay_ratio}; expected more than 0")
    return make_objective("alignment", layer, neighbor_similarity, couples_images=True, decay_ratio=decay_ratio)


def diversity(
    layer: str, *, group_size: int | None = None, channel_axis: int | None = None, tokens: str | None = None
) -> Objective:
    """Measure how similar the images' styles are: Σ_{j≠i} ⟨Ĝ_i, Ĝ_j⟩ for image i. Subtract it, with a weight near 100.

    Ĝ is the Gram matrix FFᵀ of an image's activations, divided by its L2 norm (Olah et al., "Feature Visualization",
    Distill 2017, doi:10.23915/distill.00007). The batch cannot be split; with `group_size`, it can be split between
    groups.

    Args:
        layer: name as in `layers(model)`.
        group_size: compare images only within groups of this many successive ones, so that a batch holds several
            groups; by default the whole batch is one group.
        channel_axis: axis of the channels in the layer's output; by default axis 1, or axis 2 of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.

    Raises:
        ValueError: `group_size` under 1; at the first step, a number of images that is no multiple of it.

    Example:
        >>> diversity("mixed3")({"mixed3": torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0]])})
        tensor([0., 1., 1.])
    """
    check_minimum(1, group_size=group_size)
    return make_objective(
        "diversity",
        layer,
        gram_similarity,
        couples_images=True,
        group_size=group_size,
        channel_axis=channel_axis,
        tokens=tokens,
    )
