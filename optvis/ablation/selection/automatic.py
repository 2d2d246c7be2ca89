"""Automatic selection: as few units as it takes on images that were not used to choose them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor

from optvis.ablation.selection.attempt import Attempt, Choice, count_errors, judge, judge_units
from optvis.ablation.selection.cached_network import CachedNetwork, ChannelGates, ablate
from optvis.ablation.selection.directions import Subspace
from optvis.ablation.selection.greedy_search import UNITS_PER_MARGIN, GreedySearch
from optvis.ablation.selection.task import SelectionTask
from optvis.features.units import Units
from optvis.formatting import format_count
from optvis.progress import progress_bar

FOLDS = 3  # splits of the images at most

_Trial: TypeAlias = tuple[Attempt, Callable[[], tuple[Units, ...]]]  # and what selects its units on all images


@dataclass(frozen=True)
class Automatic:
    """Channels, or directions where channels cannot do it; as few as lose the target on images left out.

    The images are split in three; with two images of the target that the network recognises, in two. Each part is
    left out in turn. On the others channels are taken as in `GreedySearch`, one by one at first and then in growing
    blocks, until in all splits the images left out have lost the target's label, and all others left out keep theirs.
    As many are then taken on all images, which must reach the goal too. If the share does not suffice, the search is
    repeated with a larger weight on the target, then with subspaces of one and more dimensions. If nothing reaches
    the goal, the attempt with the fewest errors is taken.

    Args:
        max_units: channels at most, over all layers: a number, or a share below 1 of the layers' channels.
        target_weights: as in `GreedySearch`, each for one attempt.
        dimensions: of the subspaces that are tried after channels; none over several layers, or above `max_units`.
        slack: by how far another class has to lead on images left out, in eighths of a mean margin; where it does not,
            the attempt counts the label as kept.
        confidence: past the goal, channels are taken until another class leads by `t √(1 + 1/n)` eighths of a mean
            margin, by eight at most, or until more of them would lose a label. That is the bound below which the next
            image stays with this confidence, from n images whose leads spread by an eighth; t is Student's quantile
            for n − 1. The fewer images there are, the more the next one can differ from them.
    """

    max_units: float = 0.1
    target_weights: tuple[float, ...] = (0.1, 0.3, 1.0)
    dimensions: tuple[int, ...] = (1, 2, 3, 5)
    slack: float = 1.0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        is_count = self.max_units >= 1 and float(self.max_units).is_integer()
        are_right = self.slack >= 0 and 0.5 <= self.confidence < 1
        if not (is_count or 0 < self.max_units < 1) or not self.target_weights or not are_right:
            raise ValueError(
                f"{self}: expected max_units as a number of 1 or more or as a share below 1, at least one of "
                "target_weights, slack of 0 or more, and confidence in [0.5, 1)"
            )

    def __call__(self, task: SelectionTask) -> Choice:
        """Select units of the task's layers. The network has to be borrowed.

        Raises:
            ValueError: no images to keep; nothing lowers the cost.
        """
        task.require_keep("the automatic selection")
        trials: list[_Trial] = []
        for attempt, select in self._attempts(task, split_task(task)):
            trials.append(_check_on_all(task, attempt, select) if attempt.reached else (attempt, select))
            if trials[-1][0].reached:
                break
        best = min(range(len(trials)), key=lambda index: trials[index][0].errors)
        others = [attempt for index, (attempt, _) in enumerate(trials) if index != best]
        taken, select = trials[best]
        return Choice(select(), (*others, taken))

    def _attempts(self, task: SelectionTask, splits: Sequence[Split]) -> Iterator[_Trial]:
        gates = ChannelGates(CachedNetwork(task.classifier, task.images, task.layers))
        limit = int(self.max_units) if self.max_units >= 1 else max(1, int(self.max_units * len(gates.names)))
        leads = task.head.margins(gates.cached.before, task.classes)
        recognized = leads[(task.predicted == task.classes) & (leads >= 0)]
        unit = float(recognized.mean()) / UNITS_PER_MARGIN
        slack, spare = self.slack * unit, predict_bound(count_recognized(task), self.confidence) * unit
        for weight in self.target_weights:
            yield _try_channels(task, splits, GreedySearch(target_weights=(weight,)), limit, (slack, spare))
        for dimensions in self.dimensions if len(task.layers) == 1 else ():
            if dimensions <= limit:
                yield _try_directions(task, splits, dimensions, slack)


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


def count_recognized(task: SelectionTask) -> int:
    """How many images of the target the network recognises."""
    return int((task.is_target & (task.predicted == task.classes)).sum())


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


def split_task(task: SelectionTask) -> list[Split]:
    """Split a task so that each image is left out once; classes are spread over the splits.

    With one image of the target that the network recognises, there is one split that leaves nothing out.
    """
    count = min(count_recognized(task), FOLDS)
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
    quiet = replace(task, progress=False)
    return [Split(quiet.subset(fold != place), quiet.subset(fold == place)) for place in range(count)]


def _check_on_all(task: SelectionTask, attempt: Attempt, select: Callable[[], tuple[Units, ...]]) -> _Trial:
    """Select the units on all images, and replace an attempt that reached its goal by theirs where they do not."""
    units = select()
    on_all = judge_units(task, units)
    return (attempt if on_all.reached else on_all), lambda: units


def _try_channels(
    task: SelectionTask, splits: Sequence[Split], search: GreedySearch, limit: int, leads: tuple[float, float]
) -> _Trial:
    """Take channels until the goal is reached on all images left out, or as many as leave the fewest errors.

    Another class has to lead by the first of `leads`. Past the goal, channels are taken up to the second one.
    """
    paths, (slack, spare) = [_Path(search, split) for split in splits], leads
    best, count = judge(task, "0 channels", sum_errors(paths, slack), splits[0].is_held_out), 0
    for _ in progress_bar(range(limit), show=task.progress, description="channels"):
        if not sum(path.extend(limit) for path in paths):
            break
        most = min(limit, max(len(path.channels.indices) for path in paths))
        name = format_count(most, "channel")
        attempt = judge(task, name, sum_errors(paths, slack), splits[0].is_held_out)
        if best.reached and not attempt.reached:
            break
        if not count or attempt.reached or attempt.errors < best.errors:
            best, count = attempt, most
        if attempt.reached and not sum_errors(paths, spare)[0]:
            break
    return best, partial(_select_channels, search, task, max(1, count), limit)


class _Path:
    """Channels taken one by one on the images of a split, and what that does to the images left out."""

    def __init__(self, search: GreedySearch, split: Split) -> None:
        self.channels, self.task = search.start(split.chosen_on), split.left_out
        self.gates = ChannelGates(CachedNetwork(self.task.classifier, self.task.images, self.task.layers))

    def extend(self, limit: int) -> bool:
        """Take more channels; False where none lowers the cost, or the limit is reached."""
        return len(self.channels.indices) < limit and self.channels.add_block()

    def errors(self, slack: float) -> Tensor:
        with torch.no_grad():
            after = self.gates.logits(self.channels.state)
        return count_errors(self.task, self.gates.cached.before, after, slack)


def sum_errors(paths: Sequence[_Path], slack: float) -> Tensor:
    """The errors on the images left out of all splits, (2,)."""
    return torch.stack([path.errors(slack) for path in paths]).sum(0)


def _select_channels(search: GreedySearch, task: SelectionTask, count: int, limit: int) -> tuple[Units, ...]:
    """Take so many channels on all images, and more up to the limit while these images still have errors."""
    channels = search.start(task)
    while len(channels.indices) < limit and channels.add_block():
        if len(channels.indices) >= count and not channels.error_rate():
            break
    if not channels.indices:
        search.fail(task)
    return channels.gates.to_units(channels.indices[:limit])


def _try_directions(task: SelectionTask, splits: Sequence[Split], dimensions: int, slack: float) -> _Trial:
    subspace, errors = Subspace(dimensions), []
    for split in progress_bar(splits, show=task.progress, description=f"{dimensions} dimensions"):
        units, left_out = subspace(split.chosen_on), split.left_out
        cached = CachedNetwork(task.classifier, left_out.images, task.layers)
        with torch.no_grad():
            after = cached.logits({task.layers[0]: partial(ablate, units)})
        errors.append(count_errors(left_out, cached.before, after, slack))
    name = format_count(dimensions, "direction")
    return judge(task, name, torch.stack(errors).sum(0), splits[0].is_held_out), partial(subspace, task)
