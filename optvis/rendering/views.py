"""Several views of each image at each step: the same image under several draws of the transforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from optvis.objectives import Objective
from optvis.params.streams import MAX_IMAGES

SEED_STRIDE = 1_000_003  # between the seeds of an image's views


class SumOfGradients(nn.Module):
    """A parameterization that sums up the absolute gradients of its images over backward passes.

    The sum is the transparency map of MACO (Fel et al. 2023, arXiv:2306.06805).

    Example:
        >>> from optvis.params import pixel_image
        >>> param = SumOfGradients(pixel_image(8, seeds=(0, 1)))
        >>> (3 * param()).sum().backward()
        >>> param.total.shape, param.total.unique()
        (torch.Size([2, 3, 8, 8]), tensor([3.]))
    """

    def __init__(self, param: nn.Module) -> None:
        super().__init__()
        self.param, self.total = param, torch.zeros((), dtype=torch.float32, device="cpu")

    def forward(self) -> Tensor:
        images: Tensor = self.param()
        if images.requires_grad:
            images.register_hook(self._add)  # type: ignore[no-untyped-call]
        return images.view_as(images)  # a gradient of the output alone, as priors take it, does not pass the hook

    def _add(self, gradient: Tensor) -> None:
        self.total = self.total.to(gradient) + gradient.detach().abs()


def repeat_for_views(objective: Objective, count: int) -> Objective:
    """Repeat an objective for `count` views of each image, and divide it by their number."""
    if count == 1:
        return objective
    if any(term.couples_images and not term.pools_images for term in objective.terms):
        raise ValueError(f"{objective!r} compares images; expected one view of each, got {count} views")
    terms = objective.repeat_each(count).terms
    return Objective(tuple(replace(term, weight=term.weight / count) for term in terms))


def view_seeds(seeds: Sequence[int], count: int) -> tuple[int, ...]:
    """A seed for each view, those of an image one after the other; the first is the image's own.

    >>> view_seeds((7, 8), 2)
    (7, 1000010, 8, 1000011)
    """
    if len(seeds) * count > MAX_IMAGES:
        raise ValueError(f"{count} views of {len(seeds)} images; expected at most {MAX_IMAGES:,} together")
    return tuple(seed + SEED_STRIDE * view for seed in seeds for view in range(count))
