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

    Raises:
        ValueError: a negative share, or one that is not finite.

    Example:
        >>> from optvis.objectives import total_variation
        >>> Prior(total_variation(), 0.05)
        Prior(total_variation(), 0.05)
    """

    penalty: Objective
    share: float

    def __post_init__(self) -> None:
        if not isinstance(self.penalty, Objective):
            raise TypeError(f"Prior got {self.penalty!r}; expected an objective, e.g. total_variation()")
        if not 0 <= self.share < math.inf:
            raise ValueError(f"Prior got a share of {self.share}; expected a number of 0 or more")

    def resolve(self, classifier: Classifier) -> Prior:
        """Replace labels and statistics that the penalty takes from a network, and move it to its device."""
        penalty = resolve_objective(self.penalty, classifier)
        return replace(self, penalty=penalty.to(classifier.device, classifier.image_dtype))

    def with_penalty(self, penalty: Objective) -> Prior:
        """The same share for another penalty."""
        return replace(self, penalty=penalty)

    def __repr__(self) -> str:
        return f"Prior({self.penalty!r}, {self.share:g})"


def add_priors(score: Tensor, penalties: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Add gradients of penalties to those of the score, each scaled to a share of the score's root mean square.

    Args:
        score: gradient of the loss, the negative score, with respect to the images, (B, C, H, W).
        penalties: gradients of the penalties, of the same shape. One that is zero adds nothing.
        shares: one per penalty.
    """
    total, size = score, _size(score)
    for penalty, share in zip(penalties, shares, strict=True):
        own = _size(penalty)
        total = total + penalty * torch.where(own > 0, share * size / own.clamp(min=torch.finfo(own.dtype).tiny), 0)
    return total


def _size(gradient: Tensor) -> Tensor:
    """Root mean square of each image's gradient, (B, 1, ...); 0 where the gradient is zero."""
    mean = root_mean_square(gradient)
    is_zero = ~gradient.flatten(1).any(1).view_as(mean)
    return mean.masked_fill(is_zero, 0)
