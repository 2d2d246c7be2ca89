"""The search: channels that carry a class and nothing that must stay, taken one by one with a price on harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from optvis.ablation.finding.cached import Cached, Gated
from optvis.ablation.finding.case import Case, viewed
from optvis.ablation.finding.cost import Price, margins
from optvis.ablation.finding.grouping import channels_by_layer
from optvis.features.units import Units
from optvis.progress import progress_bar

LEAST_GAIN = 1e-4  # a channel that improves the price by less is not taken
SPARES = 4  # channels that may be given back, tried in turn


@dataclass(frozen=True)
class Search:
    """Greedy forward selection with a price on harm, then swaps; every choice is weighed by its exact effect.

    At each step the slopes of the price by all gates propose `tries` channels, the network is asked without each, and
    the best is taken. Then the channel that is missed least is given back for a better one, as long as that helps.
    What a channel costs alone is charged beside what all cost together: one channel's harm to an image may be made up
    for by another's good, but the next image may not have both. Where mistakes are left, the search is made again in
    more of a hurry to cross the border, and the set with the fewest mistakes is taken.

    Args:
        most: how many channels at most, over all layers.
        harm: what losing the whole margin of what must stay is worth, against all evidence of the target.
        alone: the same for what each channel would cost alone.
        views: 1 to 3: few photographs are seen mirrored and closer too; by default 3 of few and 1 of many.
        tries: how many channels are tried at each step.
        swaps: how many channels may be swapped at the end.
        hurries: what a unit of the target's margin is worth in each search, against all of its evidence.
    """

    most: int = 10
    harm: float = 1.0
    alone: float = 0.5
    views: int | None = None
    tries: int = 4
    swaps: int = 8
    hurries: tuple[float, ...] = (0.1, 0.3)

    def __post_init__(self) -> None:
        least = min((self.swaps, self.harm, self.alone, *self.hurries))
        if self.most < 1 or self.tries < 1 or not self.hurries or least < 0:
            raise ValueError(f"{self}: expected most, tries and hurries of 1 or more, the others 0 or more")

    def __call__(self, case: Case) -> tuple[Units, ...]:
        """Channels of the case's layers. The network has to be borrowed.

        Raises:
            ValueError: nothing is to be kept; no channel carries the target.
        """
        case.needs_kept("the search")
        seen = viewed(case, self.views)
        gated = Gated(Cached(case.classifier, seen.images, case.layers))
        best, fewest = None, torch.inf
        for hurry in self.hurries:
            chosen = self._searched(gated, Price(seen, gated.cached.before, self.harm, hurry), case.progress)
            mistakes = chosen.mistakes()
            if chosen.places and mistakes < fewest:
                best, fewest = chosen, mistakes
            if fewest == 0:
                break
        if best is None:
            raise ValueError(f"no channel of {', '.join(case.layers)} takes {case.label!r} away for less than it costs")
        return channels_by_layer([gated.names[place] for place in best.places])

    def _searched(self, gated: Gated, price: Price, progress: bool) -> _Chosen:
        chosen = _Chosen(gated, price, self.alone, self.tries)
        for _ in _bar(self.most, progress):
            if not chosen.grow():
                break
        for _ in range(self.swaps if len(chosen.places) > 1 else 0):
            if not chosen.swap():
                break
        return chosen


class _Chosen:
    """Gates that are off so far, and what they cost."""

    def __init__(self, gated: Gated, price: Price, alone: float, tries: int) -> None:
        self.gated, self.price, self.tries = gated, price, tries
        self.places: list[int] = []
        self.gates = gated.open()
        self.charges = alone * self._harm_alone()
        self.cost = self._asked(self.gates)

    def grow(self) -> bool:
        """Switch off the channel that lowers the price most; False where none does."""
        place, cost = self._best(self.gates, self.places)
        if cost >= self.cost - LEAST_GAIN:
            return False
        self._take([*self.places, place], cost)
        return True

    def swap(self) -> bool:
        """Give a channel back that is hardly missed, for a better one; False where that helps with none."""
        given_back = self.gated.slopes(self.price, self.gates).sum(0) - self.charges
        for spare in sorted(self.places, key=lambda place: float(given_back[place]))[:SPARES]:
            rest = [place for place in self.places if place != spare]
            place, cost = self._best(self._off(rest), rest)
            if place != spare and cost < self.cost - LEAST_GAIN:
                self._take([*rest, place], cost)
                return True
        return False

    def mistakes(self) -> float:
        """See `Price.mistakes`."""
        with torch.no_grad():
            return self.price.mistakes(self.gated.logits(self.gates))

    def _take(self, places: list[int], cost: float) -> None:
        self.places, self.gates, self.cost = places, self._off(places), cost

    def _best(self, gates: Tensor, places: list[int]) -> tuple[int, float]:
        proposed = self.charges - self.gated.slopes(self.price, gates).sum(0)
        proposed[places] = torch.inf
        tried = proposed.argsort(stable=True)[: min(self.tries, len(proposed) - len(places))].tolist()
        costs = {place: self._asked(self._off([*places, place])) for place in tried}
        return min(costs.items(), key=lambda item: item[1]) if costs else (-1, torch.inf)

    def _asked(self, gates: Tensor) -> float:
        with torch.no_grad():
            return float(self.price(self.gated.logits(gates)) + (self.charges * (1 - gates)).sum())

    def _off(self, places: list[int]) -> Tensor:
        gates = self.gated.open()
        gates[places] = 0
        return gates

    def _harm_alone(self) -> Tensor:
        """The share of their margins that images to be kept would lose to each channel alone, (N,), by slopes."""
        called, kept = self.price.called, ~self.price.shows
        lost = self.gated.slopes(lambda logits: margins(logits, called), self.gates)[kept]
        return (lost / self.price.scale[kept].unsqueeze(1)).relu().mean(0)


def _bar(steps: int, progress: bool) -> Any:
    return progress_bar(range(steps), show=progress, description="search")


__all__ = ["Search"]
