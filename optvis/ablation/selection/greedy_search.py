"""Greedy search: take channels one by one, each for its exact effect on the target and on what must stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.ablation.selection.cached_network import ChannelGates
from optvis.ablation.selection.task import SelectionTask, add_views
from optvis.features.units import Units
from optvis.progress import progress_bar

MIN_GAIN = 1e-4  # a channel that lowers the cost by less is not taken
LOST_LABEL = 1e3  # cost of a label to keep that is lost: more than all else, so that no channel is worth it
BLOCK_SHARE = 5  # a block is one channel, and one more for each five that are off
MAX_ROUNDS = 4  # of candidates, where those of the first rounds would lose labels
MAX_SWAP_CANDIDATES = 4  # selected channels that one swap tries to replace
# Measured: with these settings every image left out of the search lost, or kept, its label as it should.
UNITS_PER_MARGIN = 8  # a margin of mean size is eight units
MIN_MARGIN = 4  # units; a smaller margin counts as one of this size
TARGET_MARGIN = 3  # units by which the target should lie below the best other class


@dataclass(frozen=True)
class GreedySearch:
    """Greedy forward selection of channels with a cost on harm, then swaps; every choice uses exact effects.

    In each step the gradients of the cost with respect to all channel gates propose `candidates` channels. The network
    is evaluated without each of them, and the best one is taken. After that, channels that matter least are swapped
    for better ones while that lowers the cost. Each channel is also charged for the harm that it does alone: on these
    images another channel may compensate for it, on the next image perhaps not. If errors remain, the search is
    repeated with a larger weight on the target's margin, and the set with the fewest errors is taken.

    Args:
        max_units: number of channels at most, over all layers.
        harm_weight: weight of losing the whole margin of the images to keep, against the target's whole evidence.
        solo_harm_weight: the same for what each channel harms alone.
        views: 1 to 3; see `add_views`. By default few images are mirrored and enlarged too.
        candidates: number of channels that are evaluated in each step.
        max_swaps: number of swaps at most.
        target_weights: weight of a unit of the target's margin in each search, against the target's whole evidence.
    """

    max_units: int = 10
    harm_weight: float = 1.0
    solo_harm_weight: float = 0.5
    views: int | None = None
    candidates: int = 4
    max_swaps: int = 8
    target_weights: tuple[float, ...] = (0.1, 0.3)

    def __post_init__(self) -> None:
        lowest = min((self.max_swaps, self.harm_weight, self.solo_harm_weight, *self.target_weights))
        if self.max_units < 1 or self.candidates < 1 or not self.target_weights or lowest < 0:
            raise ValueError(
                f"{self}: expected max_units and candidates of 1 or more, at least one of target_weights, and the "
                "others 0 or more"
            )

    def __call__(self, task: SelectionTask) -> tuple[Units, ...]:
        """Select channels of the task's layers. The network has to be borrowed.

        Raises:
            ValueError: no images to keep; no channel lowers the cost.
        """
        task.require_keep("greedy search")
        viewed = add_views(task, self.views)
        gates = ChannelGates(viewed.cached)
        best, fewest = None, torch.inf
        for weight in self.target_weights:
            cost = SelectionCost(viewed, gates.cached.before, self.harm_weight, weight)
            channels = self._search(gates, cost, task.progress)
            errors = channels.error_rate()
            if channels.indices and errors < fewest:
                best, fewest = channels, errors
            if fewest == 0:
                break
        if best is None:
            self.fail(task)
        return gates.to_units(best.indices)

    def start(self, task: SelectionTask) -> SwitchedOff:
        """Start a search with the first target weight: no channel is off yet. The network has to be borrowed."""
        viewed = add_views(task, self.views)
        gates = ChannelGates(viewed.cached)
        cost = SelectionCost(viewed, gates.cached.before, self.harm_weight, self.target_weights[0])
        return SwitchedOff(gates, cost, self.solo_harm_weight, self.candidates)

    def fail(self, task: SelectionTask) -> NoReturn:
        """Raise the ValueError that no channel lowers the cost."""
        raise ValueError(
            f"no channel of {', '.join(task.layers)} lowers {task.label!r} by more than it harms the images to keep; "
            "name other layers, or lower harm_weight"
        )

    def _search(self, gates: ChannelGates, cost: SelectionCost, progress: bool) -> SwitchedOff:
        channels = SwitchedOff(gates, cost, self.solo_harm_weight, self.candidates)
        for _ in progress_bar(range(self.max_units), show=progress, description="greedy search"):
            if not channels.add_best():
                break
        for _ in range(self.max_swaps if len(channels.indices) > 1 else 0):
            if not channels.swap_one():
                break
        return channels


class SelectionCost:
    """The cost of a set of ablated units: it falls with the target's evidence, and rises with harm to other classes.

    An image of the target adds the share of its evidence that is left, which is the target's logit above the mean of
    all logits (of a sigmoid head the logit itself), and a softplus of its margin. An image to keep adds the share of
    its margin that is lost. A margin that grows earns nothing: it may not grow for other images.

    Args:
        task: with the images.
        before: the network's logits for them, (B, classes).
        harm_weight: weight of the mean share of lost margins.
        target_weight: weight of a unit of the target's margin.
    """

    def __init__(self, task: SelectionTask, before: Tensor, harm_weight: float, target_weight: float) -> None:
        self.target, self.harm_weight, self.target_weight = task.target, harm_weight, target_weight
        self.head, self.is_target, self.classes = task.head, task.is_target, task.classes
        self.margins = self.head.margins(before, self.classes)
        self.is_recognized = (task.predicted == self.classes) & (self.margins >= 0)
        self.unit = self.margins[self.is_recognized].mean().clamp(min=1e-12) / UNITS_PER_MARGIN
        evidence = self._evidence(before)
        recognized = evidence[self.is_recognized[self.is_target]]
        self.evidence = evidence.clamp(min=float(recognized.median()) / 2)

    def __call__(self, logits: Tensor) -> Tensor:
        """The cost of a set of units, from the logits without them."""
        left = self._evidence(logits) / self.evidence
        lead = self.head.margins(logits, self.classes)[self.is_target] / self.unit
        target = (left + self.target_weight * F.softplus(lead + TARGET_MARGIN)).mean()
        harm = self.lost_shares(logits)[~self.is_target]
        return target + (self.harm_weight * harm.mean() if len(harm) else 0)

    def error_rate(self, logits: Tensor) -> float:
        """The share of target images that are still recognised, plus the share of the others that no longer are."""
        leads = self.head.margins(logits, self.classes)[self.is_recognized] > 0
        is_target = self.is_target[self.is_recognized]
        return float(leads[is_target].float().mean() + (~leads[~is_target]).float().mean())

    def count_lost(self, logits: Tensor) -> int:
        """How many images to keep, of those that are recognised, lose their label."""
        lost = (self.head.margins(logits, self.classes) <= 0) & ~self.is_target & self.is_recognized
        return int(lost.sum())

    def lost_shares(self, logits: Tensor) -> Tensor:
        """The share of each image's margin that is lost, (B,); 0 where it grows."""
        return ((self.margins - self.head.margins(logits, self.classes)) / self.whole_margins).relu()

    @property
    def whole_margins(self) -> Tensor:
        """What counts as the whole margin of each image, (B,)."""
        return self.margins.clamp(min=MIN_MARGIN * float(self.unit))

    def _evidence(self, logits: Tensor) -> Tensor:
        own = logits[self.is_target]
        return own[:, self.target] - (own.mean(1) if self.head.kind == "softmax" else 0)


class SwitchedOff:
    """The channels that are switched off so far, and their cost."""

    def __init__(self, gates: ChannelGates, cost: SelectionCost, solo_harm_weight: float, candidates: int) -> None:
        self.gates, self.cost, self.candidates = gates, cost, candidates
        self.indices: list[int] = []
        self.state = gates.all_open()
        self.charges = solo_harm_weight * self._solo_harm()
        self.value = self._evaluate(self.state)

    def add_best(self) -> bool:
        """Switch off the channel that lowers the cost most; False where no channel does."""
        index, value = self._best_addition(self.state, self.indices)
        if value >= self.value - MIN_GAIN:
            return False
        self._set([*self.indices, index], value)
        return True

    def add_block(self) -> bool:
        """Switch off a fifth as many channels as are off already, and one more; False where none lowers the cost.

        Gradients choose the block, and its exact cost decides; where it does not fall, the best single channel is
        taken. With many channels this takes far fewer evaluations than one by one.
        """
        count = 1 + len(self.indices) // BLOCK_SHARE
        if count > 1:
            changes = self._changes(self.state, self.indices)
            best = changes.argsort(stable=True)[:count]
            block = [*self.indices, *best[changes[best] < 0].tolist()]
            value = self._evaluate(self._close(block))
            if value < self.value - MIN_GAIN:
                self._set(block, value)
                return True
        return self.add_best()

    def swap_one(self) -> bool:
        """Swap a channel that matters little for a better one; False where no swap lowers the cost."""
        gains = self.gates.gradients(self.cost, self.state).sum(0) - self.charges
        for index in sorted(self.indices, key=lambda index: float(gains[index]))[:MAX_SWAP_CANDIDATES]:
            others = [other for other in self.indices if other != index]
            new, value = self._best_addition(self._close(others), others)
            if new != index and value < self.value - MIN_GAIN:
                self._set([*others, new], value)
                return True
        return False

    def error_rate(self) -> float:
        with torch.no_grad():
            return self.cost.error_rate(self.gates.logits(self.state))

    def _set(self, indices: list[int], value: float) -> None:
        self.indices, self.state, self.value = indices, self._close(indices), value

    def _best_addition(self, state: Tensor, indices: list[int]) -> tuple[int, float]:
        changes = self._changes(state, indices)
        proposals = changes.argsort(stable=True)[: len(changes) - len(indices)].tolist()
        best, lowest = -1, torch.inf
        for start in range(0, min(MAX_ROUNDS * self.candidates, len(proposals)), self.candidates):
            values = {i: self._evaluate(self._close([*indices, i])) for i in proposals[start : start + self.candidates]}
            index, value = min(values.items(), key=lambda item: item[1])
            if value < lowest:
                best, lowest = index, value
            if lowest < self.value + LOST_LABEL / 2:
                break
        return best, lowest

    def _changes(self, state: Tensor, indices: list[int]) -> Tensor:
        """By how much each channel would change the cost, linearised, (N,); infinite for those that are off."""
        changes = self.charges - self.gates.gradients(self.cost, state).sum(0)
        changes[indices] = torch.inf
        return changes

    def _evaluate(self, state: Tensor) -> float:
        with torch.no_grad():
            logits = self.gates.logits(state)
            cost = float(self.cost(logits) + (self.charges * (1 - state)).sum())
            return cost + LOST_LABEL * self.cost.count_lost(logits)

    def _close(self, indices: list[int]) -> Tensor:
        state = self.gates.all_open()
        state[indices] = 0
        return state

    def _solo_harm(self) -> Tensor:
        """The mean share of their margins that the images to keep would lose without each channel, (N,), linearised."""
        classes, is_kept = self.cost.classes, ~self.cost.is_target
        gradients = self.gates.gradients(lambda logits: self.cost.head.margins(logits, classes), self.state)[is_kept]
        return (gradients / self.cost.whole_margins[is_kept].unsqueeze(1)).relu().mean(0)
