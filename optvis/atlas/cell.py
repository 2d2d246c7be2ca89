"""One cell of an atlas, and all that is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.patches.sources import cut_patch
from optvis.viz.sheet import draw_sheet, encode_png

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class Cell:
    """A cell of an activation atlas.

    Args:
        size: of its level, in cells a side.
        place: its row, from the top, and its column.
        count: how many points it holds.
        vector: their mean activation, (C,).
        attribution: their mean attribution to each class, (K,).
        labels: of these classes.
        icon: what the mean looks like, (3, S, S) in [0, 1]; None where too few points are in it.
        rows: of the samples nearest to it, nearest first, (J,).
        patches: what the photographs show there, (J, 3, p, p) in [0, 1].
        names: which photographs these are.
    """

    size: int
    place: tuple[int, int]
    count: int
    vector: Tensor
    attribution: Tensor
    labels: tuple[str, ...]
    icon: Tensor | None
    rows: Tensor
    patches: Tensor
    names: tuple[str, ...]

    def classes(self, count: int = 3) -> list[tuple[str, float]]:
        """The classes that it speaks for most, and how much it adds to their scores."""
        best = self.attribution.topk(min(count, len(self.labels)))
        return [(self.labels[at], value) for at, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)]

    def cutouts(self, *, soft: float = 0.2) -> list[Tensor]:
        """What the photographs show there as patches to paste, in an oval outline that fades: (4, p, p) in [0, 1] each.

        `try_patch` of `optvis.patches` takes the list, and asks whether they turn one class into another.

        Args:
            soft: the share of the way from rim to centre over which they fade, as in `optvis.patches.cut_patch`.

        Raises:
            ValueError: soft outside [0, 1].
        """
        side = self.patches.shape[-1]
        return [cut_patch(patch, (0, side, 0, side), softness=soft) for patch in self.patches]

    def sheet(self) -> Image.Image:
        """Its icon, and beside it what photographs show there."""
        side = self.patches.shape[-1] if self.icon is None else self.icon.shape[-1]
        tiles = [*([] if self.icon is None else [self.icon]), *_resized(self.patches, side)]
        labels = [*([] if self.icon is None else [_told(self)]), *self.names]
        return draw_sheet(torch.stack(tiles), labels, columns=len(tiles))

    def _repr_png_(self) -> bytes:
        return encode_png(self.sheet())

    def __repr__(self) -> str:
        row, column = self.place
        return f"Cell({row}, {column} of {self.size} × {self.size}: {_told(self)})"


def _told(cell: Cell) -> str:
    points = "1 point" if cell.count == 1 else f"{cell.count} points"
    return ", ".join([points, *(f"{label} {value:+.3g}" for label, value in cell.classes(1))])


def _resized(patches: Tensor, side: int) -> Tensor:
    if not len(patches) or patches.shape[-1] == side:
        return patches
    return F.interpolate(patches, (side, side), mode="bilinear", antialias=True).clamp(0, 1)


__all__ = ["Cell"]
