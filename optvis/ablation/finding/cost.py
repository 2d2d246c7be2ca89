"""What blinding is worth and what it costs: the target's evidence against the margins of all that must stay."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.ablation.finding.case import Case

# Measured: the settings under which every photograph left out of the search went, or stayed, as it should.
UNITS_A_MARGIN = 8  # a margin of average size is eight units
FLOOR = 4  # units; a margin under it does not count as more precious than one of four
BEYOND = 3  # units by which the target shall lie under the best other class


class Price:
    """How good a set of switched-off units is: a number that falls as the target goes and rises as others suffer.

    For an image of the target it is the share of its evidence that is left, the target's logit above the mean of all,
    and a softplus of its margin. For an image that must stay it is the share of its margin that is lost. Nothing is
    credited for margins that grow, since other images may not have that luck.

    Args:
        case: the images.
        before: the network's answers to them, (B, classes).
        harm: what losing the whole margin of what stays is worth, against all evidence of the target.
        hurry: what a unit of the target's margin is worth, against all of its evidence.
    """

    def __init__(self, case: Case, before: Tensor, harm: float, hurry: float) -> None:
        self.target, self.harm, self.hurry = case.target, harm, hurry
        self.shows, self.called = case.shows, torch.where(case.shows, case.target, case.called)
        self.right = case.called == self.called
        self.margins = margins(before, self.called)
        self.unit = self.margins[self.right].mean().clamp(min=1e-12) / UNITS_A_MARGIN
        own = self._evidence(before)
        self.evidence = own.clamp(min=float(own[self.right[self.shows]].median()) / 2)

    def __call__(self, logits: Tensor) -> Tensor:
        """The sum for a set of units, from the answers without them."""
        seen = self._evidence(logits) / self.evidence
        ahead = margins(logits, self.called)[self.shows] / self.unit
        gone = (seen + self.hurry * F.softplus(ahead + BEYOND)).mean()
        lost = self.lost(logits)[~self.shows]
        return gone + (self.harm * lost.mean() if len(lost) else 0)

    def mistakes(self, logits: Tensor) -> float:
        """The share of the target's images that are still called so, and of the others that no longer are."""
        leads = margins(logits, self.called)[self.right] > 0
        shows = self.shows[self.right]
        return float(leads[shows].float().mean() + (~leads[~shows]).float().mean())

    def lost(self, logits: Tensor) -> Tensor:
        """The share of each image's margin that is lost, (B,), 0 where it grew."""
        return ((self.margins - margins(logits, self.called)) / self.scale).relu()

    @property
    def scale(self) -> Tensor:
        """What counts as the whole margin of each image, (B,)."""
        return self.margins.clamp(min=FLOOR * float(self.unit))

    def _evidence(self, logits: Tensor) -> Tensor:
        shown = logits[self.shows]
        return shown[:, self.target] - shown.mean(1)


def margins(logits: Tensor, classes: Tensor) -> Tensor:
    """By how much each image's class leads the best of the others, (B,); negative where it does not.

    Args:
        logits: (B, classes).
        classes: an index per image, (B,).

    Example:
        >>> margins(torch.tensor([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0]]), torch.tensor([0, 1]))
        tensor([ 2., -2.])
    """
    rows = classes.view(-1, 1)
    others = logits.scatter(1, rows, -torch.inf).amax(1)
    return logits.gather(1, rows).squeeze(1) - others


__all__ = ["Price", "margins"]
