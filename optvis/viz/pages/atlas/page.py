"""The content of an activation atlas's page: plain tensors and texts, and no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from optvis.viz.pages.checks import check_axes, check_shape, icon_size


@dataclass(frozen=True, eq=False)
class AtlasLevel:
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
        >>> cells = torch.tensor([[0, 0], [1, 2]])
        >>> level = AtlasLevel(
        ...     3, cells, torch.tensor([7, 2]), torch.rand(2, 3, 8, 8), torch.tensor([True, False]),
        ...     torch.zeros(2, 0), torch.zeros(2, 0).long(),
        ... )
        >>> level.points
        9
    """  # fmt: skip

    size: int
    cells: Tensor
    counts: Tensor
    icons: Tensor
    present: Tensor
    attribution: Tensor
    nearest: Tensor

    def __post_init__(self) -> None:
        check_axes("cells", self.cells, "(M, 2)")
        count = len(self.cells)
        check_shape("cells", self.cells, (count, 2))
        check_shape("counts", self.counts, (count,))
        check_shape("icons", self.icons, (count, 3, *icon_size(self.icons)), finite=False)
        check_shape("present", self.present, (count,))
        check_shape("attribution", self.attribution, (count, *self.attribution.shape[1:2]))
        check_shape("nearest", self.nearest, (count, *self.nearest.shape[1:2]))
        self._check_kinds()
        self._check_cells()

    def _check_kinds(self) -> None:
        for name, a in (("cells", self.cells), ("counts", self.counts), ("nearest", self.nearest)):
            if a.is_floating_point() or a.dtype == torch.bool:
                raise ValueError(f"{name} are integers; got {a.dtype}")
        if self.present.dtype != torch.bool:
            raise ValueError(f"present is bool; got {self.present.dtype}")
        if not bool(self.icons[self.present.to(self.icons.device)].isfinite().all()):
            raise ValueError("icons: has numbers that are not finite")

    def _check_cells(self) -> None:
        if int(self.cells.min()) < 0 or int(self.cells.max()) >= self.size:
            ends = f"{int(self.cells.min())} to {int(self.cells.max())}"
            raise ValueError(f"rows and columns lie from 0 to {self.size - 1} at size {self.size}; got {ends}")
        if len({tuple(cell) for cell in self.cells.tolist()}) < len(self.cells):
            raise ValueError("two of the cells have the same row and column; give each occupied cell once")
        if int(self.counts.min()) < 1:
            raise ValueError(f"an occupied cell holds one point or more; got a count of {int(self.counts.min())}")

    @property
    def points(self) -> int:
        """In all cells together, N."""
        return int(self.counts.sum())


@dataclass(frozen=True, eq=False)
class AtlasPage:
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
        >>> from optvis.viz.pages import atlas_html
        >>> one = torch.ones(1, 1)
        >>> level = AtlasLevel(1, one.long() * torch.zeros(2).long(), one[0].long() * 9, torch.rand(1, 3, 8, 8),
        ...     one[0] > 0, one, one.long() - 1)
        >>> page = AtlasPage("A beaver's world", "mixed4", (level,), ("beaver",), torch.rand(1, 3, 4, 4), ("a.jpg",),
        ...     5, {"network": "demo"})
        >>> page.points, atlas_html(page).count("<script")
        (9, 2)
    """  # fmt: skip

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

    def __post_init__(self) -> None:
        if not self.levels:
            raise ValueError("no levels; a page of an atlas needs one or more")
        sizes = [level.size for level in self.levels]
        if sizes != sorted(set(sizes)):
            raise ValueError(f"levels go from coarse to fine; got sizes {sizes}")
        held = {level.points for level in self.levels}
        if len(held) > 1:
            raise ValueError(f"every level holds the same points; got {sorted(held)} of them")
        check_shape("exemplars", self.exemplars, (len(self.names), 3, *icon_size(self.exemplars)))
        for level in self.levels:
            self._check_level(level)

    def _check_level(self, level: AtlasLevel) -> None:
        where = f"level of size {level.size}"
        check_shape(f"attribution at the {where}", level.attribution, (len(level.cells), len(self.labels)))
        low, high = (-1, -1) if level.nearest.numel() == 0 else (int(level.nearest.min()), int(level.nearest.max()))
        if low < -1 or high >= len(self.names):
            raise ValueError(
                f"nearest at the {where}: indices from -1 to {len(self.names) - 1} among {len(self.names)} exemplars; "
                f"got {low} to {high}"
            )

    @property
    def points(self) -> int:
        """How many points every level holds, N."""
        return self.levels[0].points
