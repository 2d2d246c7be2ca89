"""A cell of an atlas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from optvis.arguments import TensorFields, check_count
from optvis.data.images import resize
from optvis.formatting import format_count
from optvis.patches.sources import cut_patch
from optvis.viz.sheet import draw_sheet, encode_png

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class Cell(TensorFields):
    """A cell of an activation atlas; shows itself in a notebook.

    Args:
        size: of its level, in cells per side.
        position: its row, from the top, and its column.
        count: how many points it holds.
        vector: their mean activation, (C,).
        attribution: their mean attribution to each class, (K,).
        labels: of these classes.
        icon: a feature visualization of the mean, (3, S, S) in [0, 1]; None where the cell holds too few points.
        rows: of the nearest samples, nearest first, (J,).
        patches: of the images that these come from, (J, 3, p, p) in [0, 1].
        names: of these images.

    Raises:
        ValueError: tensors of other axes, or labels and names that do not fit them.
    """

    TENSOR_FIELDS: ClassVar = {
        "vector": "C",
        "attribution": "K",
        "icon": "3 S T",
        "rows": "J: int",
        "patches": "J 3 p q",
    }

    size: int
    position: tuple[int, int]
    count: int
    vector: Tensor
    attribution: Tensor
    labels: tuple[str, ...]
    icon: Tensor | None
    rows: Tensor
    patches: Tensor
    names: tuple[str, ...]

    def _check(self, sizes: Mapping[str, int]) -> None:
        check_count("labels", len(self.labels), sizes["K"], "classes")
        check_count("names", len(self.names), sizes["J"], "patches")

    def classes(self, count: int = 3) -> list[tuple[str, float]]:
        """The classes with the largest attribution, and their attributions."""
        best = self.attribution.topk(min(count, len(self.labels)))
        return [(self.labels[k], value) for k, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)]

    def cutouts(self, *, softness: float = 0.2) -> list[Tensor]:
        """The patches in an oval outline that fades, to paste onto other images: (4, p, p) in [0, 1] each.

        `optvis.patches.try_patch` takes the list, and tests whether the patches change predictions.

        Args:
            softness: the share of the way from rim to centre over which they fade, as in `optvis.patches.cut_patch`.

        Raises:
            ValueError: softness outside [0, 1].
        """
        side = self.patches.shape[-1]
        return [cut_patch(patch, (0, side, 0, side), softness=softness) for patch in self.patches]

    def sheet(self) -> Image.Image:
        """The icon, and beside it the patches."""
        side = self.patches.shape[-1] if self.icon is None else self.icon.shape[-1]
        tiles = [*([] if self.icon is None else [self.icon]), *resize(self.patches, (side, side))]
        labels = [*([] if self.icon is None else [_summary(self)]), *self.names]
        return draw_sheet(torch.stack(tiles), labels, columns=len(tiles))

    def _repr_png_(self) -> bytes:
        return encode_png(self.sheet())

    def __repr__(self) -> str:
        row, column = self.position
        return f"Cell({row}, {column} of {self.size} × {self.size}: {_summary(self)})"


def _summary(cell: Cell) -> str:
    return ", ".join(
        [format_count(cell.count, "point"), *(f"{label} {value:+.3g}" for label, value in cell.classes(1))]
    )
