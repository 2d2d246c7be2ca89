"""The content of an activation atlas's page: plain tensors and texts, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from optvis.arguments import TensorFields, check_axes, check_count, check_range


@dataclass(frozen=True, eq=False)
class AtlasLevel(TensorFields):
    """One division of the map into n × n cells.

    See Carter et al., "Activation Atlas", Distill 2019, doi:10.23915/distill.00015. M cells are occupied, K classes
    have an attribution, J neighbours are listed.

    Args:
        size: n.
        cells: (M, 2), integers from 0 to n - 1: row from the top and column of each occupied cell, no two alike.
        counts: (M,), integers, 1 or more: the points in each.
        icons: (M, 3, s, s) in [0, 1]; cells without an icon may hold anything.
        present: (M,), bool: which have an icon.
        attribution: (M, K), the mean attribution of the cell's points to each class; K may be 0.
        nearest: (M, J), integers: indices of the page's exemplars, nearest first, -1 where there is none; J may be 0.

    Raises:
        ValueError: another shape or dtype, a cell off the map, a cell given twice, an empty cell.

    Example:
        >>> import torch
        >>> cells = torch.tensor([[0, 0], [1, 2]])
        >>> level = AtlasLevel(
        ...     3, cells, torch.tensor([7, 2]), torch.rand(2, 3, 8, 8), torch.tensor([True, False]),
        ...     torch.zeros(2, 0), torch.zeros(2, 0).long(),
        ... )
        >>> level.points
        9
    """  # fmt: skip

    TENSOR_FIELDS: ClassVar = {
        "cells": "M 2: int",
        "counts": "M: int",
        "icons": "M 3 s s",
        "present": "M: bool",
        "attribution": "M K: finite float",
        "nearest": "M J: int",
    }

    size: int
    cells: Tensor
    counts: Tensor
    icons: Tensor
    present: Tensor
    attribution: Tensor
    nearest: Tensor

    def _check(self, sizes: Mapping[str, int]) -> None:
        if not sizes["M"]:
            raise ValueError("no cells; a level of an atlas needs one or more")
        check_axes({"icons": self.icons[self.present.to(self.icons.device)]}, "N 3 s s: finite float")
        check_range("cells", self.cells, 0, self.size)
        if len({tuple(cell) for cell in self.cells.tolist()}) < len(self.cells):
            raise ValueError("two of the cells have the same row and column; give each occupied cell once")
        if int(self.counts.min()) < 1:
            raise ValueError(f"an occupied cell holds one point or more; got a count of {int(self.counts.min())}")

    @property
    def points(self) -> int:
        """In all cells together, N."""
        return int(self.counts.sum())


@dataclass(frozen=True, eq=False)
class AtlasPage(TensorFields):
    """All that the page shows: one map at several levels, its classes, and the images that its points are from.

    Args:
        title: of the page.
        layer: whose activations they are.
        levels: one or more, from coarse to fine, each with all N points.
        labels: of the K classes.
        exemplars: (E, 3, p, p) in [0, 1]: patches of images around a point; E may be 0.
        names: of the image that each exemplar is from.
        min_points: a cell with fewer has no icon.
        recipe: everything that computed it, in JSON types.
        lead: a sentence below the title, or none.
        ends: the texts at the left and the right end of the horizontal axis, in a comparison, or None.

    Raises:
        ValueError: no levels, levels that do not rise in size or hold different numbers of points; another number of
            labels, names or exemplars than the levels need.

    Example:
        >>> import torch
        >>> from optvis.viz.pages import atlas_html
        >>> one = torch.ones(1, 1)
        >>> level = AtlasLevel(1, one.long() * torch.zeros(2).long(), one[0].long() * 9, torch.rand(1, 3, 8, 8),
        ...     one[0] > 0, one, one.long() - 1)
        >>> page = AtlasPage("A beaver's world", "mixed4", (level,), ("beaver",), torch.rand(1, 3, 4, 4), ("a.jpg",),
        ...     5, {"network": "demo"})
        >>> page.points, atlas_html(page).count("<script")
        (9, 2)
    """  # fmt: skip

    TENSOR_FIELDS: ClassVar = {"exemplars": "E 3 p p: finite float"}

    title: str
    layer: str
    levels: tuple[AtlasLevel, ...]
    labels: tuple[str, ...]
    exemplars: Tensor
    names: tuple[str, ...]
    min_points: int
    recipe: Mapping[str, Any]
    lead: str = ""
    ends: tuple[str, str] | None = None

    def _check(self, sizes: Mapping[str, int]) -> None:
        if not self.levels:
            raise ValueError("no levels; a page of an atlas needs one or more")
        sides = [level.size for level in self.levels]
        if sides != sorted(set(sides)):
            raise ValueError(f"levels go from coarse to fine; got sizes {sides}")
        held = {level.points for level in self.levels}
        if len(held) > 1:
            raise ValueError(f"every level holds the same points; got {sorted(held)} of them")
        check_count("names", len(self.names), sizes["E"], "exemplars")
        for level in self.levels:
            where = f"at the level of size {level.size}"
            check_axes({f"attribution {where}": level.attribution}, "M K", {"K": len(self.labels)})
            check_range(f"nearest {where}", level.nearest, -1, len(self.names))

    @property
    def points(self) -> int:
        """How many points every level holds, N."""
        return self.levels[0].points
