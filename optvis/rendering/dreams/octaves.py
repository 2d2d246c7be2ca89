"""The sizes of a dream, the tiles of its gradient, and the canvas that goes from one size to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from torch import Tensor
from torch.nn import functional as F

from optvis.arguments import check_minimum


@dataclass(frozen=True)
class Octaves:
    """The sizes at which a dream is made, from coarse to fine.

    Args:
        count: number of sizes; the last is the image's own.
        scale: ratio of each size to the one before.
        passes: number of passes through all sizes; each starts from the result of the one before.
        tile_size: side in pixels of the tiles whose gradients are computed one after the other, so that memory does not
            grow with the image; by default the whole image at once, or the network's size where it takes no other.
            Sizes smaller than a tile are left out.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> Octaves(3, 1.4, tile_size=80).sizes((140, 280))
        [(100, 200), (140, 280)]
    """

    count: int = 4
    scale: float = 1.4
    passes: int = 1
    tile_size: int | None = None

    def __post_init__(self) -> None:
        check_minimum(1, octaves=self.count, passes=self.passes, tile_size=self.tile_size)
        if not self.scale > 1:
            raise ValueError(f"octave scale is {self.scale}; expected more than 1")

    def sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """(H, W) of each octave in pixels, smallest first, for an image of the given (H, W)."""
        powers = range(self.count - 1, 0, -1)
        smaller = [(round(size[0] / self.scale**power), round(size[1] / self.scale**power)) for power in powers]
        min_side = 1 if self.tile_size is None else self.tile_size
        return [*(sides for sides in smaller if min(sides) >= min_side), size]


def tiles(size: Sequence[int], side: int | None) -> Iterator[tuple[slice, slice]]:
    """Tiles of `side` × `side` pixels that cover a canvas; the last in each direction overlaps its neighbour.

    >>> [(rows.start, columns.start) for rows, columns in tiles((50, 30), 30)]
    [(0, 0), (20, 0)]
    """
    rows, columns = (_slices(length, length if side is None else side) for length in size)
    return product(rows, columns)


def _slices(length: int, side: int) -> list[slice]:
    starts = [*range(0, length - side, side), max(0, length - side)]
    return [slice(start, start + side) for start in starts]


class DreamCanvas:
    """The images of a dream, (B, 3, H, W): the originals, the same at the current size, and the dream at that size."""

    def __init__(self, images: Tensor) -> None:
        self.original = self.base = self.current = images

    def next_octave(self, size: tuple[int, int]) -> None:
        """Go to another size: resize the change so far, and add it to the resized originals."""
        change = _resize(self.current - self.base, size)
        self.base = _resize(self.original, size)
        self.current = (self.base + change).clamp(0, 1)

    def restart(self) -> None:
        """Start from the dream so far, for another pass."""
        self.original = self.base = self.current

    def images(self) -> Tensor:
        """The dream so far at the original size, (B, 3, H, W) in [0, 1]."""
        size = (self.original.shape[2], self.original.shape[3])
        return (self.original + _resize(self.current - self.base, size)).clamp(0, 1)


def _resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(images.shape[2:]) == size:
        return images
    return F.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)
