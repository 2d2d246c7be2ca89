"""Images left out of a selection: how they are split off, and how sure their leads make of the next image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.ablation.selection.attempt import LIKELY, Attempt, count_errors, find_recognized, predict_kept
from optvis.ablation.selection.greedy_search import UNITS_PER_MARGIN
from optvis.ablation.selection.task import SelectionTask

FOLDS = 3  # splits of the images at most


@dataclass(frozen=True, eq=False)
class Split:
    """Images to choose units on, and images left out.

    Args:
        chosen_on: the task with the images to choose on.
        left_out: with the others; where there is too little to split, the same images.
    """

    chosen_on: SelectionTask
    left_out: SelectionTask

    @property
    def is_held_out(self) -> bool:
        """Whether these are different images."""
        return self.chosen_on is not self.left_out


def split_task(task: SelectionTask) -> list[Split]:
    """Split a task so that each image is left out once; classes are spread over the splits.

    With one image of the target that the network recognises, there is one split that leaves nothing out.
    """
    count = min(task.count_recognized(), FOLDS)
    if count < 2:
        return [Split(task, task)]
    kind = torch.where(task.is_target, -1, task.predicted)
    kind[task.is_target & (task.predicted != task.classes)] = -2  # of the target, but not recognised
    order = torch.empty(len(kind), dtype=torch.long, device=kind.device)
    order[kind.argsort(stable=True)] = torch.arange(len(kind), device=kind.device)
    unrecognized = int((kind == -2).sum())
    fold = (order - unrecognized) % count
    if int((~task.is_target).sum()) < 2:
        fold[~task.is_target] = count  # left out of no split
    quiet = task.without_progress()
    return [Split(quiet.subset(fold != place), quiet.subset(fold == place)) for place in range(count)]


@dataclass(frozen=True, eq=False)
class Outcome:
    """The logits of the images left out of a split, with all units and without those that were chosen on the others."""

    split: Split
    before: Tensor
    after: Tensor

    @property
    def is_held_out(self) -> bool:
        """Whether the images took no part in the choice."""
        return self.split.is_held_out

    def errors(self, slack: float) -> Tensor:
        """How many images of the target keep the label, and how many others lose theirs, (2,)."""
        return count_errors(self.split.left_out, self.before, self.after, slack)

    def leads(self) -> list[float]:
        """The target's lead on its images that the network recognises."""
        task = self.split.left_out
        leads: list[float] = task.head.margins(self.after, task.classes)[
            task.is_target & find_recognized(task, self.before)
        ].tolist()
        return leads


@dataclass(frozen=True)
class Bounds:
    """By how far another class has to lead on images left out.

    Args:
        unit: an eighth of a mean margin, in logits.
        slack: units by which it leads where the label counts as lost.
        spare: units up to which channels are taken.
    """

    unit: float
    slack: float
    spare: float

    def count(self, outcomes: Sequence[Outcome]) -> Tensor:
        """The errors on the images left out of all splits, (2,)."""
        return torch.stack([one.errors(self.slack * self.unit) for one in outcomes]).sum(0)

    def is_sure(self, attempt: Attempt, outcomes: Sequence[Outcome]) -> bool:
        """Whether the next image loses the label too, as far as images left out can show; yes where none was."""
        return attempt.next_kept is None or attempt.next_kept <= LIKELY or self.are_beyond(outcomes)

    def are_beyond(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether all images left out have lost the label by the second bound."""
        return not sum(int(one.errors(self.spare * self.unit)[0]) for one in outcomes)

    def predict(self, outcomes: Sequence[Outcome]) -> float | None:
        """The chance that the next image keeps the label; None where fewer than two were left out."""
        if not all(one.is_held_out for one in outcomes):
            return None
        return predict_kept([lead for one in outcomes for lead in one.leads()], self.unit)


def predict_bound(images: int, confidence: float) -> float:
    """How many standard deviations above the mean of some images the next one stays, with this confidence.

    The one-sided prediction interval of a normal distribution with estimated mean and variance; a whole margin at most.

    Example:
        >>> [round(predict_bound(images, 0.95), 1) for images in (1, 2, 3, 10, 1000)]
        [8, 7.7, 3.4, 1.9, 1.6]
    """
    from scipy import stats

    if images < 2:
        return UNITS_PER_MARGIN
    quantile = float(stats.t.ppf(confidence, images - 1))
    return float(min(UNITS_PER_MARGIN, quantile * (1 + 1 / images) ** 0.5))
