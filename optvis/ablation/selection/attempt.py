"""Attempts of a selection: whether the target's label is gone without some units, and all others stay."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from optvis.ablation.selection.cached_network import ablate
from optvis.ablation.selection.layers import order_layers
from optvis.ablation.selection.task import SelectionTask
from optvis.features.units import Units
from optvis.formatting import format_count

LIKELY = 0.1  # a chance above this is reported


@dataclass(frozen=True)
class Attempt:
    """What is left without some units.

    Args:
        units: what is switched off, such as "12 channels".
        held_out: whether each image was predicted without units that it took part in choosing.
        target_images: images of the target that the network recognises with all units.
        target_kept: how many of them keep the label.
        other_images: images to keep.
        others_lost: how many of them lose their label.
        next_kept: the chance that the next image of the target keeps the label, see `predict_kept`; None where fewer
            than two of them were left out.
    """

    units: str
    held_out: bool
    target_images: int
    target_kept: int
    other_images: int
    others_lost: int
    next_kept: float | None = None

    @property
    def reached(self) -> bool:
        """Whether no image of the target keeps the label and no other loses its own."""
        return not self.target_kept and not self.others_lost

    @property
    def errors(self) -> float:
        """The share of the target's images that keep the label, plus the share of the others that lose theirs."""
        return self.target_kept / max(1, self.target_images) + self.others_lost / max(1, self.other_images)

    def __str__(self) -> str:
        where = "images that took no part in choosing" if self.held_out else "images that units were chosen on"
        kept = f"{self.target_kept} of {self.target_images} keep the label"
        others = f"{self.others_lost} of {self.other_images} others lose theirs"
        is_likely = self.reached and self.next_kept is not None and self.next_kept > LIKELY
        chance = f"; the next image may keep it, with a chance of {self.next_kept:.0%}" if is_likely else ""
        return f"without {self.units}, of {where}, {kept}, {others}{chance}"


def count_errors(task: SelectionTask, before: Tensor, after: Tensor, slack: float = 0.0) -> Tensor:
    """How many images of the target keep the label, and how many others lose theirs, without some units: (2,).

    Args:
        task: with the images.
        before: logits with all units, (B, classes).
        after: logits without the units.
        slack: logits by which another class has to lead before the target's label counts as gone.
    """
    leads, is_recognized = task.head.margins(after, task.classes), find_recognized(task, before)
    kept = (leads >= -slack) & task.is_target & is_recognized
    lost = (leads < 0) & ~task.is_target & is_recognized
    return torch.stack([kept.sum(), lost.sum()]).cpu()


def find_recognized(task: SelectionTask, before: Tensor) -> Tensor:
    """Which images have their class as the prediction, by the logits with all units, (B,)."""
    return (task.predicted == task.classes) & (task.head.margins(before, task.classes) >= 0)


def predict_kept(leads: Sequence[float], unit: float) -> float | None:
    """The chance that the next image of the target keeps its label, from the leads of the label on some images.

    The next draw from a normal distribution with estimated mean and variance, by Student's t; the standard deviation
    counts as one unit at least, because few images may be near each other by chance. None for fewer than two.

    Example:
        >>> [round(predict_kept(leads, 1.0), 3) for leads in ((-1.0, -1.2, -1.1), (-8.0, -9.0, -10.0))]
        [0.221, 0.008]
    """
    from scipy import stats

    count = len(leads)
    if count < 2:
        return None
    spread = max(unit, statistics.stdev(leads))
    quantile = statistics.fmean(leads) / (spread * (1 + 1 / count) ** 0.5)
    return float(stats.t.sf(-quantile, count - 1))


def judge(task: SelectionTask, units: str, errors: Tensor, held_out: bool, next_kept: float | None = None) -> Attempt:
    """Build the attempt that leaves these errors, (2,)."""
    kept, lost = errors.tolist()
    return Attempt(units, held_out, task.count_recognized(), kept, int((~task.is_target).sum()), lost, next_kept)


def judge_units(task: SelectionTask, units: Sequence[Units]) -> Attempt:
    """What is left without some units on the images that they were chosen on. The network has to be borrowed."""
    layers = order_layers(task.classifier, [one.layer for one in units])
    cached = task.cache_behind(layers)
    groups = {layer: [one for one in units if one.layer == layer] for layer in layers}
    with torch.no_grad():
        logits = cached.logits({layer: partial(ablate, group) for layer, group in groups.items()})
    return judge(task, summarize(units), count_errors(task, cached.before, logits), held_out=False)


def describe_goal(attempts: Sequence[Attempt]) -> str:
    """Say in a line whether the last attempt, whose units were taken, reached the goal, and what else was tried."""
    if not attempts:
        return ""
    *others, taken = attempts
    if taken.reached:
        return f"goal reached: {taken}"
    tried = "".join(f"; tried before: {other}" for other in others)
    return f"! goal not reached: {taken}{tried}"


def summarize(units: Sequence[Units]) -> str:
    """Units counted, such as "2 channels of mixed4, 1 direction of mixed5"."""
    return ", ".join(f"{format_count(len(one), one.NOUN)} of {one.layer}" for one in units)


@dataclass(frozen=True)
class Choice:
    """Units that a method chose, and what it tried.

    Args:
        units: to switch off, one a layer.
        attempts: in their order; the last is that of the units.
    """

    units: tuple[Units, ...]
    attempts: tuple[Attempt, ...] = ()
