"""Automatic selection: as few units as it takes on images that were not used to choose them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from optvis.ablation.selection.attempt import (
    Attempt,
    Choice,
    find_recognized,
    judge,
    judge_units,
)
from optvis.ablation.selection.cached_network import ChannelGates, ablate
from optvis.ablation.selection.directions import Subspace
from optvis.ablation.selection.greedy_search import TARGET_MARGIN, UNITS_PER_MARGIN, GreedySearch
from optvis.ablation.selection.held_out import Bounds, Outcome, Split, predict_bound, split_task
from optvis.ablation.selection.task import SelectionTask, add_views
from optvis.features.units import Units
from optvis.formatting import format_count
from optvis.progress import estimate_time, progress_bar


@dataclass(frozen=True, eq=False)
class _Trial:
    """An attempt with some number of units.

    Args:
        attempt: what is left without them.
        select: selects units on all images, which may be more.
        is_sure: whether the next image will lose the label too.
        count: how many units the attempt is about.
    """

    attempt: Attempt
    select: Callable[[], tuple[Units, ...]]
    is_sure: bool = False
    count: int = 0


@dataclass(frozen=True)
class Automatic:
    """Channels, or directions where channels cannot do it; as few as lose the target on images left out.

    The images are split in three; with two images of the target that the network recognises, in two. Each part is
    left out in turn. On the others channels are taken as in `GreedySearch`, one by one at first and then in growing
    blocks, until in all splits the images left out have lost the target's label, and all others left out keep theirs.
    As many are then taken on all images, which must reach the goal too. If the share does not suffice, or suffices
    without the confidence below, the search is repeated with a larger weight on the target, then with subspaces of one
    and more dimensions. Of several attempts that reach the goal without the confidence, the one is taken after which
    the next image keeps the label with the smallest chance; if nothing reaches it, the one with the fewest errors.

    Args:
        max_units: channels at most, over all layers: a number, or a share below 1 of the layers' channels.
        target_weights: as in `GreedySearch`, each for one attempt.
        dimensions: of the subspaces that are tried after channels; none over several layers, or above `max_units`.
        slack: by how far another class has to lead on images left out, in eighths of a mean margin; where it does not,
            the attempt counts the label as kept.
        confidence: past the goal, channels are taken until another class leads by `t √(1 + 1/n)` eighths of a mean
            margin, by eight at most, or until more of them would lose a label. That is the bound below which the next
            image stays with this confidence, from n images whose leads spread by an eighth; t is Student's quantile
            for n − 1. The fewer images there are, the more the next one can differ from them. An attempt whose images
            left out have all lost the label by that bound, or whose next image keeps it with a chance of 10 % at most,
            is the last one.
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
        for trial in self._attempts(task, split_task(task)):
            trials.append(_check_on_all(task, trial) if trial.attempt.reached else trial)
            if trials[-1].attempt.reached and trial.is_sure:
                break
        best = min(range(len(trials)), key=lambda index: _rank(trials[index]))
        others = [trial.attempt for index, trial in enumerate(trials) if index != best]
        taken, units = trials[best].attempt, trials[best].select()
        if not taken.reached and trials[best].count != sum(map(len, units)):
            others, taken = _describe_failure(others, taken, judge_units(task, units))
        return Choice(units, (*others, taken))

    def _attempts(self, task: SelectionTask, splits: Sequence[Split]) -> Iterator[_Trial]:
        gates = ChannelGates(task.cached)
        limit = int(self.max_units) if self.max_units >= 1 else max(1, int(self.max_units * len(gates.names)))
        leads = task.head.margins(gates.cached.before, task.classes)
        unit = float(leads[find_recognized(task, gates.cached.before)].mean()) / UNITS_PER_MARGIN
        bounds = Bounds(unit, self.slack, predict_bound(task.count_recognized(), self.confidence))
        attempts = len(self.target_weights)
        for place, weight in enumerate(self.target_weights):
            search = GreedySearch(target_weights=(weight,))
            yield _try_channels(task, splits, search, limit, bounds, announced=0 if place else attempts)
        for dimensions in self.dimensions if len(task.layers) == 1 else ():
            if dimensions <= limit:
                yield _try_directions(task, splits, dimensions, bounds)


def _rank(trial: _Trial) -> tuple[bool, float, bool, float]:
    """Order trials: those that reach the goal by their confidence, the others by their errors."""
    attempt = trial.attempt
    if not attempt.reached:
        return True, attempt.errors, False, 0.0
    chance = 1.0 if attempt.next_kept is None else attempt.next_kept
    return False, 0.0, not trial.is_sure, chance


def _check_on_all(task: SelectionTask, trial: _Trial) -> _Trial:
    """Select the units on all images, and replace an attempt that reached its goal by theirs where they do not."""
    units = trial.select()
    on_all = judge_units(task, units)
    attempt = trial.attempt if on_all.reached else on_all
    return replace(trial, attempt=attempt, select=lambda: units)


def _describe_failure(others: list[Attempt], held_out: Attempt, on_all: Attempt) -> tuple[list[Attempt], Attempt]:
    """What was tried, and the attempt of the units that are returned, which may be more than those of the splits."""
    if not on_all.reached:
        return [*others, held_out], on_all
    returned = f"{on_all.units} returned, which reach it on the images that they were chosen on"
    return others, replace(held_out, units=f"{held_out.units} ({returned})")


def _try_channels(
    task: SelectionTask, splits: Sequence[Split], search: GreedySearch, limit: int, bounds: Bounds, announced: int
) -> _Trial:
    """Take channels until the goal is reached on all images left out, or as many as leave the fewest errors.

    After the first channel it says how long so many such attempts take at most: the other ones follow where this one
    misses the goal.
    """
    paths = [_Path(search, split) for split in splits]
    best, count = _judge(task, "0 channels", [path.outcome() for path in paths], bounds), 0
    is_sure, start = False, time.perf_counter()
    for place in progress_bar(range(limit), show=task.progress, description="channels"):
        if not sum(path.extend(limit) for path in paths):
            break
        if place == 0 and task.progress:
            unit = f"channels at most, {limit:,} in each of {format_count(announced, 'attempt')},"
            estimate_time("find_units", time.perf_counter() - start, limit * announced, unit)
        most = min(limit, max(len(path.channels.indices) for path in paths))
        outcomes = [path.outcome() for path in paths]
        attempt = _judge(task, format_count(most, "channel"), outcomes, bounds)
        if best.reached and not attempt.reached:
            break
        if not count or attempt.reached or attempt.errors < best.errors:
            best, count, is_sure = attempt, most, bounds.is_sure(attempt, outcomes)
        if attempt.reached and bounds.are_beyond(outcomes):
            break
    return _Trial(best, partial(_select_channels, search, task, max(1, count), limit), is_sure, count)


def _judge(task: SelectionTask, units: str, outcomes: Sequence[Outcome], bounds: Bounds) -> Attempt:
    return judge(task, units, bounds.count(outcomes), outcomes[0].is_held_out, bounds.predict(outcomes))


class _Path:
    """Channels taken one by one on the images of a split, and what that does to the images left out."""

    def __init__(self, search: GreedySearch, split: Split) -> None:
        self.channels, self.split = search.start(split.chosen_on), split
        self.gates = ChannelGates(split.left_out.cached)

    def extend(self, limit: int) -> bool:
        """Take more channels; False where none lowers the cost, or the limit is reached."""
        return len(self.channels.indices) < limit and self.channels.add_block()

    def outcome(self) -> Outcome:
        with torch.no_grad():
            after = self.gates.logits(self.channels.state)
        return Outcome(self.split, self.gates.cached.before, after)


def _select_channels(search: GreedySearch, task: SelectionTask, count: int, limit: int) -> tuple[Units, ...]:
    """Take so many channels on all images, and more up to the limit while these images still have errors."""
    channels = search.start(task)
    while len(channels.indices) < limit and channels.add_block():
        if len(channels.indices) >= count and not channels.error_rate():
            break
    if not channels.indices:
        search.fail(task)
    return channels.gates.to_units(channels.indices[:limit])


def _try_directions(task: SelectionTask, splits: Sequence[Split], dimensions: int, bounds: Bounds) -> _Trial:
    """Project out a subspace; on the images that it is chosen on, another class leads by twice the bound."""
    subspace, outcomes = Subspace(dimensions, target_margin=max(TARGET_MARGIN, 2 * bounds.spare)), []
    for split in progress_bar(splits, show=task.progress, description=f"{dimensions} dimensions"):
        units, left_out = subspace(add_views(split.chosen_on, None)), split.left_out
        cached = left_out.cached
        with torch.no_grad():
            after = cached.logits({task.layers[0]: partial(ablate, units)})
        outcomes.append(Outcome(split, cached.before, after))
    name = format_count(dimensions, "direction")
    attempt = _judge(task, name, outcomes, bounds)
    return _Trial(attempt, lambda: subspace(add_views(task, None)), bounds.is_sure(attempt, outcomes), dimensions)
