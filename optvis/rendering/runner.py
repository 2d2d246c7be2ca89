"""The loop of all renderings: progress, Ctrl-C, numbers that are not finite, scores and snapshots."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from optvis.errors import NotFiniteError
from optvis.rendering.result import Rendering

T = TypeVar("T")
R = TypeVar("R")
Stop: TypeAlias = KeyboardInterrupt | NotFiniteError | None  # what ended a run early


def run(steps: Iterable[T], bar: Any, record: Callable[[T], int] = lambda _: 1) -> Stop:
    """Take all steps; return what ended them early. `record` keeps a step and returns by how much the bar moves."""
    try:
        for step in steps:
            bar.update(record(step))
    except (KeyboardInterrupt, NotFiniteError) as stop:
        return stop
    return None


def conclude(stop: Stop, result: Callable[[bool], R]) -> R:
    """Return the result of a run, built from whether Ctrl-C ended it; a NotFiniteError brings it as its `rendering`."""
    if isinstance(stop, NotFiniteError):
        stop.rendering = result(False)
        raise stop
    return result(stop is not None)


class History:
    """Scores of all steps, on the network's device until the end, and images after some numbers of updates."""

    def __init__(self, snapshots: Collection[int] = ()) -> None:
        self.snapshot_steps = frozenset(snapshots)
        self.scores: list[Tensor] = []
        self.snapshots: dict[int, Tensor] = {}

    def __len__(self) -> int:
        """The number of updates so far."""
        return len(self.scores)

    def keep(self, images: Tensor) -> None:
        """Keep images, (B, 3, H, W), after the updates so far."""
        self.snapshots[len(self)] = images.cpu()

    def rendering(
        self, images: Tensor, recipe: Mapping[str, Any], labels: tuple[str, ...], transparency: Tensor | None = None
    ) -> Rendering:
        """Build the Rendering of the last images, on the CPU."""
        images = images.cpu()
        if len(self) in self.snapshot_steps:
            self.keep(images)
        nothing = torch.empty(0, len(images), dtype=images.dtype, device="cpu")
        scores = torch.stack(self.scores).cpu() if self.scores else nothing
        importance = None if transparency is None else torch.zeros_like(images) + transparency.cpu()
        return Rendering(images, scores, recipe, self.snapshots, labels, importance)
