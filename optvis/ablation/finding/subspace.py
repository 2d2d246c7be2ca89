"""Directions: a small subspace of a layer without which a class is gone and everything else is answered as before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.ablation.finding.cached import Cached
from optvis.ablation.finding.case import Case
from optvis.ablation.finding.cost import BEYOND, UNITS_A_MARGIN, margins
from optvis.features.units import Directions, Units
from optvis.objectives.layout import channels_first, restore_layout
from optvis.progress import progress_bar

BATCH = 32  # images a step


@dataclass(frozen=True)
class Subspace:
    """The directions to project out of one layer, found with Adam on their orthonormal basis.

    It starts from the directions that the target's margin grows along most steeply on its own images. The loss is a
    softplus of that margin, plus, for what must stay, the Kullback–Leibler divergence of the answers from those
    before, and the share of the margin that is lost.

    Args:
        dimensions: how many, K.
        steps: how many updates, each on a batch with the same share of the target's images.
        rate: Adam's, falling to 0 along a line.
        harm: what harm is worth against the target.
    """

    dimensions: int = 3
    steps: int = 40
    rate: float = 0.05
    harm: float = 3.0

    def __post_init__(self) -> None:
        if self.dimensions < 1 or self.steps < 0 or self.rate <= 0 or self.harm < 0:
            raise ValueError(f"{self}: expected dimensions of 1 or more, steps and harm of 0 or more, a positive rate")

    def __call__(self, case: Case) -> tuple[Units, ...]:
        """Directions of the case's one layer. The network has to be borrowed.

        Raises:
            ValueError: nothing is to be kept; several layers; more dimensions than the layer has channels.
        """
        case.needs_kept("the subspace")
        if len(case.layers) > 1:
            raise ValueError(f"a subspace lies in one layer; got {', '.join(case.layers)}")
        lessons = [_Lesson(case.subset(rows)) for rows in _batches(case)]
        basis = _steepest(lessons, self.dimensions).requires_grad_()
        adam = torch.optim.Adam([basis], lr=self.rate)
        for step in _bar(self.steps, case.progress):
            adam.param_groups[0]["lr"] = self.rate * (1 - step / self.steps)
            loss = lessons[step % len(lessons)].loss(_orthonormal(basis), self.harm)
            (basis.grad,) = torch.autograd.grad(loss, [basis])
            adam.step()
        return (Directions(case.layers[0], _orthonormal(basis.detach())),)


class _Lesson:
    """A batch of images, and what is wanted of the answers to them."""

    def __init__(self, case: Case) -> None:
        self.case, self.layer = case, case.layers[0]
        self.cached = Cached(case.classifier, case.images, case.layers)
        self.before = self.cached.before
        self.margins = margins(self.before, case.called)
        self.unit = self.margins.mean() / UNITS_A_MARGIN

    def loss(self, basis: Tensor, harm: float) -> Tensor:
        """Of the directions to be projected out, (K, C), orthonormal."""
        shows, called = self.case.shows, self.case.called
        logits = self.cached.logits({self.layer: lambda a: _without(a, basis)})
        ahead = self.lead(logits) / self.unit
        changed = F.kl_div(
            logits[~shows].log_softmax(1), self.before[~shows].log_softmax(1), log_target=True, reduction="batchmean"
        )
        lost = (self.margins - margins(logits, called))[~shows].relu() / self.margins[~shows].clamp(min=self.unit)
        return F.softplus(ahead + BEYOND).mean() + harm * (changed + lost.mean())

    def lead(self, logits: Tensor) -> Tensor:
        """The target's margin on its own images."""
        shown = logits[self.case.shows]
        return margins(shown, torch.full((len(shown),), self.case.target, device=shown.device))

    def slopes(self) -> Tensor:
        """How the target's margin grows with the activations of its images, a row a position, (·, C)."""
        kept: list[Tensor] = []

        def watched(a: Tensor) -> Tensor:
            kept.append(a.detach().clone().requires_grad_())
            return kept[0]

        (slopes,) = torch.autograd.grad(self.lead(self.cached.logits({self.layer: watched})).sum(), kept)
        laid = channels_first(slopes[self.case.shows]).movedim(1, -1)
        return laid.flatten(0, -2)


def _steepest(lessons: Sequence[_Lesson], dimensions: int) -> Tensor:
    slopes = torch.cat([lesson.slopes() for lesson in lessons])
    channels = slopes.shape[1]
    if dimensions > channels:
        raise ValueError(f"{dimensions} dimensions of a layer with {channels} channels")
    _, directions = torch.linalg.eigh(slopes.double().T @ slopes.double())
    steepest: Tensor = directions.flip(1)[:, :dimensions].T
    return steepest.to(slopes.dtype).contiguous()


def _batches(case: Case) -> list[Tensor]:
    """Rows of images in batches, each class dealt out over all of them; each batch has some of either kind."""
    draws = torch.Generator().manual_seed(case.seed)
    order = torch.randperm(len(case.images), generator=draws)
    dealt = order[torch.where(case.shows, -1, case.called).cpu()[order].argsort(stable=True)].to(case.images.device)
    fewer = min(int(case.shows.sum()), int((~case.shows).sum()))
    count = max(1, min(-(-len(dealt) // BATCH), fewer))
    return [dealt[start::count] for start in range(count)]


def _orthonormal(basis: Tensor) -> Tensor:
    columns: Tensor = torch.linalg.qr(basis.T)[0]
    return columns.T


def _without(a: Tensor, basis: Tensor) -> Tensor:
    laid = channels_first(a)
    along = torch.tensordot(laid.movedim(1, -1), basis.T, dims=1)
    return restore_layout(laid - torch.tensordot(along, basis, dims=1).movedim(-1, 1), a, None)


def _bar(steps: int, progress: bool) -> Any:
    return progress_bar(range(steps), show=progress, description="subspace")


__all__ = ["Subspace"]
