"""Objectives that compare the images of a batch with each other, which is therefore never split."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.objectives.layout import positions
from optvis.objectives.objective import Objective, made

REACH = 4  # how far apart images are still compared (lucid.optvis.objectives.alignment, 2018)
LUCID_EPSILON = 1e-5  # the least norm of a Gram matrix (the root of diversity's 1e-10, likewise)


def likeness_to_neighbours(a: Tensor, decay_ratio: float = 2.0) -> Tensor:
    """−½ Σ_{d=±1…±4} mean (A_i − A_{i+d})² / r^|d| of each image i.  a (B, ...) -> (B,)"""
    scores = a.new_zeros(len(a))
    for d in range(1, min(REACH, len(a) - 1) + 1):
        halves = 0.5 * (a[d:] - a[:-d]).square().flatten(1).mean(1) / decay_ratio**d
        scores = scores - torch.nn.functional.pad(halves, (d, 0)) - torch.nn.functional.pad(halves, (0, d))
    return scores


def summed_cosines(a: Tensor, channel_axis: int | None = None) -> Tensor:
    """Σ_{j≠i} ⟨Ĝ_i, Ĝ_j⟩ of each image i, with Ĝ = FFᵀ / ‖FFᵀ‖.  a (B, C, ...) -> (B,)"""
    f = positions(a, channel_axis)
    g = torch.nn.functional.normalize((f @ f.mT).flatten(1), dim=1, eps=LUCID_EPSILON)
    return (g * (g.sum(0) - g)).sum(1)


def alignment(layer: str, *, decay_ratio: float = 2.0) -> Objective:
    """How alike neighbouring images are: −Σ_{d=1…4} Σ_i mean (A_i − A_{i+d})² / r^d. Add it, e.g. to `interpolate`.

    Lucid's `alignment`, after Olah et al., "Feature Visualization", Distill 2017, doi:10.23915/distill.00007. The
    mean is over channels and positions. Each of two images that are compared gets half of what they differ by, so that
    the scores sum to the formula. Images see each other: they are never split into chunks.

    Args:
        layer: name as in `layers(net)`; "<image>" compares pixels.
        decay_ratio: r; images d apart count r^-d.

    Raises:
        ValueError: a ratio that is not positive.

    Example:
        >>> alignment("mixed3")({"mixed3": torch.tensor([[0.0], [2.0]])})
        tensor([-1., -1.])
    """
    if not decay_ratio > 0:
        raise ValueError(f"decay_ratio is {decay_ratio}; expected more than 0")
    ratio = None if decay_ratio == 2 else decay_ratio
    return made("alignment", (layer,), likeness_to_neighbours, coupled=True, decay_ratio=ratio)


def diversity(layer: str, *, channel_axis: int | None = None) -> Objective:
    """How alike the images are in style: Σ_{j≠i} ⟨Ĝ_i, Ĝ_j⟩ for image i. Subtract it, about a hundred times.

    Ĝ is the Gram matrix FFᵀ of an image's activations, divided by its L2 norm (Olah et al., "Feature Visualization",
    Distill 2017, doi:10.23915/distill.00007). Images see each other: they are never split into chunks.

    Args:
        layer: name as in `layers(net)`.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Example:
        >>> diversity("mixed3")({"mixed3": torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 3.0]])})
        tensor([0., 1., 1.])
    """
    return made("diversity", (layer,), summed_cosines, coupled=True, channel_axis=channel_axis)
