"""One random stream per image: an image's numbers depend on its own seed, and not on other images of the batch."""

from __future__ import annotations

import copy
import hashlib
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor

STEPS_PER_PAGE = 64
NUMBERS_PER_PAGE = 64
MAX_IMAGES = 2**20
MAX_NUMBERS = 2**30  # 8 GiB in float64


class Streams:
    """Random numbers for B images, each from its own stream, determined by seed, purpose and step.

    All numbers are drawn on the CPU in float64, so that they are the same for every device and dtype. Noise for every
    pixel is computed on the device from the integers of `keys`, and is the same but for rounding. The numbers of a
    step do not depend on how many were drawn before it, so that a line search gets the same numbers when it evaluates a
    step again.

    Args:
        seeds: one integer per image (B of them); equal seeds give equal numbers.
        purpose: a word that makes streams for different uses independent ("canvas", "transform").

    Example:
        >>> together, alone = Streams((7, 8), "demo"), Streams((8,), "demo")
        >>> bool((together.uniform(3)[1] == alone.uniform(3)[0]).all())
        True
    """

    is_drawn: ClassVar[bool] = False  # whether `place` has all numbers, and draws are not looked at

    def __init__(self, seeds: Sequence[int], purpose: str) -> None:
        if not 0 < len(seeds) <= MAX_IMAGES:
            expected = f"one integer per image, e.g. seeds=(0,), for at most {MAX_IMAGES:,} images"
            raise ValueError(f"{len(seeds) or 'no'} seeds; expected {expected}")
        self.seeds = tuple(int(operator.index(seed)) for seed in seeds)
        self.purpose = purpose
        self._distinct = tuple(dict.fromkeys(self.seeds))
        row_of = {seed: row for row, seed in enumerate(self._distinct)}
        self._rows = torch.tensor([row_of[seed] for seed in self.seeds], device="cpu")
        self._pages: dict[tuple[int, int], Tensor] = {}
        self._step = self._position = 0

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, rows: slice) -> Streams:
        """Return the streams of some of the images, at step 0."""
        return Streams(self.seeds[rows], self.purpose)

    def __repr__(self) -> str:
        return f"Streams({_format_seeds(self.seeds)}, {self.purpose!r})"

    @property
    def step(self) -> int:
        """The current step."""
        return self._step

    def seek(self, step: int) -> Streams:
        """Go to the first number of `step`, and return self."""
        self._step, self._position = step, 0
        return self

    def at(self, step: int) -> Streams:
        """The same streams at the first number of another step, which go on independently."""
        return copy.copy(self).seek(step)

    def uniform(self, count: int) -> Tensor:
        """Draw the next `count` numbers of each image, uniform in [0, 1): (B, count), float64, on the CPU."""
        if not 0 <= count <= NUMBERS_PER_PAGE:
            raise ValueError(f"{count} numbers at once; expected at most {NUMBERS_PER_PAGE}, or normal() for images")
        if self._position % NUMBERS_PER_PAGE + count > NUMBERS_PER_PAGE:
            self._position += -self._position % NUMBERS_PER_PAGE
        page, start = divmod(self._position, NUMBERS_PER_PAGE)
        self._position += count
        return self._page(page)[self._step % STEPS_PER_PAGE, self._rows, start : start + count]

    def normal(self, *shape: int) -> Tensor:
        """Draw standard normal numbers for each image: `(B, *shape)`, float64, on the CPU.

        Raises:
            ValueError: an axis under 1, or more numbers than 2^30.
        """
        count = math.prod(shape) * len(self.seeds)
        if min(shape, default=1) < 1 or count > MAX_NUMBERS:
            expected = f"1 or more of each, and at most {MAX_NUMBERS:,} numbers for all images"
            raise ValueError(f"noise of shape {shape} for {len(self.seeds)} images; expected {expected}")
        word = f"normal {self._step} {self._position}"
        self._position += 1
        noise = [torch.randn(shape, generator=g, dtype=torch.float64, device="cpu") for g in self._generators(word)]
        return torch.stack(noise)[self._rows]

    def keys(self) -> Tensor:
        """Draw a key for each distinct seed, (D, 2), int32, on the CPU: the start of numbers that a device computes.

        `expand` gives each image what was computed from its own.
        """
        word = f"noise {self._step} {self._position}"
        self._position += 1
        digests = b"".join(self._digest(seed, word) for seed in self._distinct)
        return torch.frombuffer(bytearray(digests), dtype=torch.int32).view(-1, 2)

    def expand(self, rows: Tensor) -> Tensor:
        """Repeat rows of the distinct seeds for the images, on their device.  (D, ...) -> (B, ...)"""
        if len(rows) == len(self.seeds):  # each has its own, in order
            return rows
        return rows.expand(len(self.seeds), *rows.shape[1:]) if len(rows) == 1 else rows[self._rows.to(rows.device)]

    def place(self, compute: Callable[[], Tensor], images: Tensor) -> Tensor:
        """Bring numbers to the images' device and dtype: what transforms make of their draws, a row for each stream.

        Streams that were drawn in advance have the numbers there already, and compute nothing.

        Args:
            compute: computes the numbers from this step's draws, on the CPU.
            images: where they are needed.
        """
        return bring(compute(), images)

    def device_of(self, images: Tensor) -> torch.device:
        """The device of the images for which `place` is meant, where these hold no numbers."""
        return images.device

    def _page(self, page: int) -> Tensor:
        """Numbers of 64 successive steps, (steps, distinct seeds, numbers), cached until the next block of steps."""
        block = self._step // STEPS_PER_PAGE
        if (block, page) not in self._pages:
            for key in [key for key in self._pages if key[0] != block]:
                del self._pages[key]
            shape = (STEPS_PER_PAGE, NUMBERS_PER_PAGE)
            numbers = [
                torch.rand(shape, generator=g, dtype=torch.float64, device="cpu")
                for g in self._generators(f"{block} {page}")
            ]
            self._pages[block, page] = torch.stack(numbers, dim=1)
        return self._pages[block, page]

    def _generators(self, word: str) -> Iterator[torch.Generator]:
        for seed in self._distinct:
            yield torch.Generator().manual_seed(int.from_bytes(self._digest(seed, word), "little"))

    def _digest(self, seed: int, word: str) -> bytes:
        """Eight bytes that depend on purpose, seed and word."""
        return hashlib.sha256(f"{self.purpose} {seed} {word}".encode()).digest()[:8]


def bring(numbers: Tensor, images: Tensor) -> Tensor:
    """Bring numbers to the images' device, and to their dtype where they are no integers."""
    dtype = images.dtype if numbers.is_floating_point() else numbers.dtype
    return numbers.to(dtype).to(images.device)


def _format_seeds(seeds: tuple[int, ...]) -> str:
    """Write seeds in the shortest form: `(7,)`, `(7,) * 64`, `range(0, 64)`."""
    first, count = seeds[0], len(seeds)
    if count > 2 and seeds == (first,) * count:
        return f"({first},) * {count}"
    if count > 2 and seeds == tuple(range(first, first + count)):
        return f"range({first}, {first + count})"
    return repr(seeds)
