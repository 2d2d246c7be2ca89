"""Priors: penalties whose gradient is a share of the score's, so that one weight fits all networks and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from optvis.models.classifier import Classifier
from optvis.objectives import Objective
from optvis.rendering.optimizers import root_mean_square
from optvis.rendering.setup import resolve_objective


@dataclass(frozen=True, eq=False)
class Prior:
    """A penalty that is minimised beside the score, with a share of the score's gradient.

    At each step and for each image, the penalty's gradient with respect to the image is scaled to `share` times the
    root mean square of the score's gradient. So a share means the same for every network, objective and image size.

    Args:
        penalty: what is minimised, e.g. `total_variation()` or `batchnorm_statistics(per="batch")`.
        share: root mean square of its gradient, in that of the score's; 0 or more.
        level: the value of the penalty to hold an image at; None for as small as possible. The share is in proportion
            to how far the penalty is above half of the level: `share` at the level, nothing below its half, and at
            most twice as much, from one and a half times the level on.

    Raises:
        ValueError: a negative share, or one that is not finite; a level that is not positive.

    Example:
        >>> from optvis.objectives import total_variation
        >>> Prior(total_variation(), 0.05)
        Prior(total_variation(), 0.05)
        >>> Prior(total_variation(mean=True), 0.05, level=0.03).choose_share(torch.tensor([0.01, 0.03, 0.3]))
        tensor([0.0000, 0.0500, 0.1000])
    """

    penalty: Objective
    share: float
    level: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.share < math.inf:
            raise ValueError(f"Prior got a share of {self.share}; expected a number of 0 or more")
        if self.level is not None and not 0 < self.level < math.inf:
            raise ValueError(f"Prior got a level of {self.level}; expected a positive value of the penalty, or None")

    def resolve(self, classifier: Classifier) -> Prior:
        """Replace labels and statistics that the penalty takes from a network, and move it to its device."""
        penalty = resolve_objective(self.penalty, classifier)
        return replace(self, penalty=penalty.to(classifier.device, classifier.image_dtype))

    def with_penalty(self, penalty: Objective) -> Prior:
        """The same share for another penalty."""
        return replace(self, penalty=penalty)

    def choose_share(self, penalty: Tensor) -> Tensor:
        """Choose the share for each image, from the values of the penalty, (B,) -> (B,)."""
        if self.level is None:
            return torch.full_like(penalty, self.share)
        return self.share * (2 * penalty / self.level - 1).clamp(0, 2)

    def __repr__(self) -> str:
        level = "" if self.level is None else f", level={self.level:g}"
        return f"Prior({self.penalty!r}, {self.share:g}{level})"


def add_priors(score: Tensor, penalties: Sequence[Tensor], shares: Sequence[Tensor]) -> Tensor:
    """Add gradients of penalties to those of the score, each scaled to a share of the score's root mean square.

    Args:
        score: gradient of the loss, the negative score, with respect to the images, (B, C, H, W).
        penalties: gradients of the penalties, of the same shape. One that is zero adds nothing.
        shares: one per penalty, (B,) each.
    """
    total, size = score, _size(score)
    for penalty, share in zip(penalties, shares, strict=True):
        own = _size(penalty)
        factor = share.view_as(own) * size / own.clamp(min=torch.finfo(own.dtype).tiny)
        total = total + penalty * torch.where(own > 0, factor, 0)
    return total


def _size(gradient: Tensor) -> Tensor:
    """Root mean square of each image's gradient, (B, 1, ...); 0 where the gradient is zero."""
    mean = root_mean_square(gradient)
    is_zero = ~gradient.flatten(1).any(1).view_as(mean)
    return mean.masked_fill(is_zero, 0)
