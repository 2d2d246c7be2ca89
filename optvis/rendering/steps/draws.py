"""The random numbers of an ascent's transforms, drawn for many steps at once and placed on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from optvis.params import Streams
from optvis.params.streams import STEPS_PER_PAGE
from optvis.transforms.alpha import OnRandomNoise
from optvis.transforms.compose import Stages

MAX_NUMBERS_IN_ADVANCE = 2**24  # 64 MB of float32
MAX_ROWS = 2**16  # streams of all steps together
OWN = ("optvis.transforms.", "torch.nn.modules.container")  # whose transforms draw in the same way at each step
FOREIGN = "the transform {} is not of optvis"
WHOLE_IMAGES = "the transform {} draws whole images"
TOO_MANY = "the transforms need {:,} random numbers a step"


class Draws:
    """The streams of an ascent's steps; of optvis's own transforms, all numbers are computed in advance.

    What transforms bring to the images' device is the same at each step but for the draws: a matrix, a level, a key of
    noise. It is computed for a block of steps at once, with a row for each step and image, and placed there. So a step
    computes no matrices and copies nothing to the device.

    Args:
        chain: between image and network.
        streams: one per view of an image.
    """

    def __init__(self, chain: nn.Module, streams: Streams) -> None:
        self.chain, self.streams = chain, streams
        self.starts = sorted({start for part in chain.modules() if isinstance(part, Stages) for start in part.starts})
        self.reason = next(filter(None, map(_find_reason, chain.modules())), "")  # why numbers are drawn step by step
        self.drawn: DrawnStreams | None = None

    def restart(self, streams: Streams) -> None:
        """Go on with other streams, as many, in the same memory."""
        self.streams = streams
        if self.drawn is not None:
            self.drawn.restart(streams)

    def at(self, step: int, images: Tensor) -> Streams:
        """The streams at the first number of a step, for a chain that gets such images."""
        if not self.reason and (self.drawn is None or step not in self.drawn.steps):
            self._draw(step, images)
        return self.streams.seek(step) if self.reason or self.drawn is None else self.drawn.seek(step)

    def _draw(self, step: int, images: Tensor) -> None:
        try:
            count = sum(table.numel() for table in self._record(range(step, step + 1), images))
            if count > MAX_NUMBERS_IN_ADVANCE:
                self.reason = TOO_MANY.format(count)
                return
            room = max(1, min(MAX_NUMBERS_IN_ADVANCE // max(count, 1), MAX_ROWS // len(self.streams), STEPS_PER_PAGE))
            steps = range(step, min(step + room, *self._list_ends(step)))
            tables = self._record(steps, images)
        except (RuntimeError, ValueError, NotImplementedError) as error:  # of images without numbers
            self.reason = f"{type(error).__name__}: {error}"
            return
        if self.drawn is None or not self.drawn.refill(steps, tables):
            kept = [table.new_empty(room, *table.shape[1:], device=images.device) for table in tables]
            self.drawn = DrawnStreams(self.streams, steps, kept)
            self.drawn.refill(steps, tables)

    def _list_ends(self, step: int) -> list[int]:
        """Where the page of random numbers ends, and the stages of the transforms."""
        return [(step // STEPS_PER_PAGE + 1) * STEPS_PER_PAGE, *(start for start in self.starts if start > step)]

    @torch.no_grad()
    def _record(self, steps: range, images: Tensor) -> list[Tensor]:
        """What the chain places at each of some steps, (steps, rows, ...) each, from images that hold no numbers."""
        recording = _RecordingStreams(self.streams, steps, images.device)
        shape = (len(steps) * len(images), *images.shape[1:])
        self.chain(images.new_empty(shape, device="meta"), recording)
        return recording.tables


def _find_reason(part: nn.Module) -> str:
    """Why a transform cannot draw in advance; "" where it can."""
    name = type(part).__name__
    if not type(part).__module__.startswith(OWN):
        return FOREIGN.format(name)
    return WHOLE_IMAGES.format(name) if isinstance(part, OnRandomNoise) else ""


class DrawnStreams(Streams):
    """Streams of which all that transforms place was computed in advance, for some steps.

    Args:
        streams: from which it was computed.
        steps: which steps.
        tables: what is placed, in order, (steps, rows, ...) each.
    """

    is_drawn: ClassVar[bool] = True

    def __init__(self, streams: Streams, steps: range, tables: Sequence[Tensor]) -> None:
        super().__init__(streams.seeds, streams.purpose)
        self.steps, self.tables, self.place_count = steps, tables, 0
        self.row: Tensor | None = None
        self.seek(steps[0])

    def restart(self, streams: Streams) -> None:
        """Go on with other streams, of which nothing was computed yet."""
        super().__init__(streams.seeds, streams.purpose)
        self.steps = range(0)

    def seek(self, step: int) -> Streams:
        """Go to the first number of a step."""
        if step not in self.steps:
            raise ValueError(f"step {step} was not drawn in advance; {self.steps} were")
        self.place_count = 0
        return super().seek(step)

    def uniform(self, count: int) -> Tensor:
        """Nothing in the shape of draws: `place` does not look at them."""
        return torch.zeros(len(self), count, dtype=torch.float64, device="cpu")

    def place(self, compute: Callable[[], Tensor], images: Tensor) -> Tensor:
        """The next numbers of this step."""
        self.place_count += 1
        table = self.tables[self.place_count - 1]
        return table[self.step - self.steps[0]] if self.row is None else table.index_select(0, self.row).squeeze(0)

    def rewind(self) -> Streams:
        """Go to the first number again."""
        self.place_count = 0
        return self

    @contextmanager
    def read_row(self, row: Tensor) -> Iterator[None]:
        """Inside, `place` reads the row of the tables whose number a tensor on the device holds, (1,)."""
        self.row = row
        try:
            yield
        finally:
            self.row = None

    def refill(self, steps: range, tables: Sequence[Tensor]) -> bool:
        """Take the numbers of other steps into the same memory; return whether they fit."""
        pairs = list(zip(self.tables, tables, strict=False))
        if len(tables) != len(self.tables) or any(
            old.shape[1:] != new.shape[1:] or old.dtype != new.dtype or len(new) > len(old) for old, new in pairs
        ):
            return False
        for old, new in pairs:
            old[: len(new)].copy_(new)
        self.steps = steps
        return True


class _RecordingStreams(Streams):
    """Streams of several steps, with a row for each step and image, which keep what transforms place."""

    def __init__(self, streams: Streams, steps: range, device: torch.device) -> None:
        super().__init__(streams.seeds * len(steps), streams.purpose)
        self.device = device
        self.parts = [streams.at(step) for step in steps]
        self.tables: list[Tensor] = []
        self.seek(steps[0])

    def uniform(self, count: int) -> Tensor:
        return torch.cat([part.uniform(count) for part in self.parts])

    def normal(self, *shape: int) -> Tensor:
        return torch.cat([part.normal(*shape) for part in self.parts])

    def keys(self) -> Tensor:
        return torch.cat([part.keys() for part in self.parts])

    def place(self, compute: Callable[[], Tensor], images: Tensor) -> Tensor:
        numbers = compute()
        dtype = images.dtype if numbers.is_floating_point() else numbers.dtype
        self.tables.append(numbers.to(dtype).reshape(len(self.parts), -1, *numbers.shape[1:]))
        return super().place(lambda: numbers, images)

    def device_of(self, images: Tensor) -> torch.device:
        return self.device
