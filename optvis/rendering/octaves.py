"""Canvases of a dream: their sizes, the tiles that cover them, and what is carried from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F


def octave_sizes(size: tuple[int, int], octaves: int, scale: float, least: int) -> list[tuple[int, int]]:
    """(H, W) of each octave in pixels, smallest first; those with a side under `least` are left out.

    >>> octave_sizes((140, 280), 3, 1.4, least=80)
    [(100, 200), (140, 280)]
    """
    powers = range(octaves - 1, 0, -1)
    smaller = [(round(size[0] / scale**power), round(size[1] / scale**power)) for power in powers]
    return [*(sides for sides in smaller if min(sides) >= least), size]


def tiles(size: Sequence[int], side: int | None) -> Iterator[tuple[slice, slice]]:
    """Pieces of `side` × `side` pixels that cover a canvas; the last in each direction overlaps its neighbour.

    >>> [(rows.start, columns.start) for rows, columns in tiles((50, 30), 30)]
    [(0, 0), (20, 0)]
    """
    for top in _starts(size[0], side):
        for left in _starts(size[1], side):
            yield (
                slice(top, size[0] if side is None else top + side),
                slice(left, size[1] if side is None else left + side),
            )


def _starts(length: int, side: int | None) -> list[int]:
    if side is None or side >= length:
        return [0]
    return [*range(0, length - side, side), length - side]


@dataclass(eq=False)
class Canvas:
    """A picture being dreamt: what the octave began with, and what has become of it."""

    original: Tensor
    base: Tensor
    current: Tensor

    @classmethod
    def of(cls, images: Tensor) -> Canvas:
        return cls(images, images, images)

    def next_octave(self, size: tuple[int, int]) -> None:
        """Put what was added so far onto the original at another size."""
        added = _resized(self.current - self.base, size)
        self.base = _resized(self.original, size)
        self.current = (self.base + added).clamp(0, 1)

    def picture(self) -> Tensor:
        """What there is, at the original's size, (B, 3, H, W) in [0, 1]."""
        whole = (self.original.shape[2], self.original.shape[3])
        return (self.original + _resized(self.current - self.base, whole)).clamp(0, 1)


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)
