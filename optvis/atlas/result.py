"""What an activation atlas is: points on a map, cells at several levels with an icon each, and the recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from optvis.atlas.cell import Cell
from optvis.atlas.exemplars import Exemplars
from optvis.atlas.levels import Level
from optvis.atlas.samples import Samples
from optvis.data.files import atomic_write, ensure_dir
from optvis.viz.pages.atlas.markup import to_html
from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.sheet import draw_cells, encode_png

if TYPE_CHECKING:
    from PIL import Image

LEAST_SHARE = 0.45  # of a cell's side that the icon of the emptiest one takes
SHOWN_CLASSES = 100  # on the page
PAGE, TENSORS = "index.html", "samples.safetensors"


@dataclass(frozen=True, eq=False)
class ActivationAtlas:
    """A map of all that a layer says about many photographs; shows itself in a notebook.

    Carter et al., "Activation Atlas", Distill 2019, doi:10.23915/distill.00015.

    Args:
        samples: N activation vectors.
        points: across and down, (N, 2) in [0, 1].
        levels: the map in cells, from coarse to fine.
        exemplars: parts of the photographs nearest to each cell.
        fewest: points under which a cell has no icon.
        recipe: everything that made it, in JSON's types.
        ends: what the left and the right of the map stand for, in a comparison of two classes.
        title: of the page.
    """

    samples: Samples
    points: Tensor
    levels: tuple[Level, ...]
    exemplars: Exemplars
    fewest: int
    recipe: Mapping[str, Any]
    ends: tuple[str, str] | None = None
    title: str = "Activation atlas"

    @property
    def layer(self) -> str:
        """Whose activations they are."""
        return self.samples.layer

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the K classes."""
        return self.samples.labels

    def __len__(self) -> int:
        return len(self.samples)

    def level(self, size: int | None = None) -> Level:
        """A level by its size; the one in the middle by default.

        Raises:
            KeyError: there is none of this size.
        """
        if size is None:
            return self.levels[len(self.levels) // 2]
        found = [level for level in self.levels if level.size == size]
        if not found:
            raise KeyError(f"no level of size {size}; there are {', '.join(str(level.size) for level in self.levels)}")
        return found[0]

    def cell(self, row: int, column: int, size: int | None = None) -> Cell:
        """A cell of a level: its icon, how many points it holds, its classes, the photographs nearest to it.

        Raises:
            KeyError: the cell is empty, or there is no such level.
        """
        level = self.level(size)
        places = (level.cells == torch.tensor([row, column])).all(1).nonzero().flatten().tolist()
        if not places:
            raise KeyError(f"cell ({row}, {column}) of {level.size} × {level.size} is empty")
        return self.cell_at(level, places[0])

    def cell_at(self, level: Level, place: int) -> Cell:
        """The cell at a place among a level's occupied ones."""
        rows = level.nearest[place][self.exemplars.places(level.nearest[place]) >= 0]
        row, column = level.cells[place].tolist()
        return Cell(
            level.size,
            (row, column),
            int(level.counts[place]),
            level.vectors[place],
            level.attribution[place],
            self.labels,
            level.icons[place] if bool(level.present[place]) else None,
            rows,
            self.exemplars.patches[self.exemplars.places(rows)],
            tuple(self.samples.names[at] for at in self.samples.places[rows].tolist()),
        )

    def sheet(self, size: int | None = None, *, by_count: bool = False) -> Image.Image:
        """The icons of a level, each at its place on the map.

        Args:
            size: of the level, in cells a side; the one in the middle by default.
            by_count: draw icons as large as their cells are full.

        Raises:
            KeyError: there is no such level.
        """
        level = self.level(size)
        drawn = level.present
        shares = _shares(level)[drawn].tolist() if by_count else None
        return draw_cells(level.icons[drawn], level.cells[drawn], level.size, shares)

    def page(self) -> AtlasPage:
        """What the page of this atlas shows."""
        shown = self._classes_shown()
        levels = tuple(
            AtlasLevel(
                level.size,
                level.cells,
                level.counts,
                level.icons,
                level.present,
                level.attribution[:, shown],
                self.exemplars.places(level.nearest),
            )
            for level in self.levels
        )
        names = tuple(self.samples.names[at] for at in self.samples.places[self.exemplars.rows].tolist())
        network = self.recipe.get("network", "a network")
        lead = (
            f"{len(self)} activation vectors of {self.layer} of {network}, one from each photograph, neighbours beside "
            "each other. Each icon is what the vectors of its cell have in common."
        )
        return AtlasPage(
            self.title,
            self.layer,
            levels,
            tuple(self.labels[k] for k in shown),
            self.exemplars.patches,
            names,
            self.fewest,
            self.recipe,
            lead,
            self.ends,
        )

    def _classes_shown(self) -> list[int]:
        """All classes; where they are many, those to which some cell adds more than to any other."""
        count = self.samples.attribution.shape[1]
        if count <= SHOWN_CLASSES:
            return list(range(count))
        added = torch.cat([level.attribution for level in self.levels])
        first = added.argmax(1).unique()  # type: ignore[no-untyped-call]
        most = added[:, first].amax(0).argsort(descending=True)[:SHOWN_CLASSES]
        return sorted(first[most].tolist())

    def html(self) -> str:
        """The map as one page that loads nothing: zoom, hover, tap, or walk with the arrow keys.

        Returns:
            The text of the page: `Path("atlas.html").write_text(atlas.html(), encoding="utf-8")`.
        """
        return to_html(self.page())

    def save(self, path: str | Path) -> Path:
        """Write the page, a PNG of each level with the recipe in it, and the samples; returns the page's path.

        Args:
            path: of a folder; made if need be.

        Raises:
            OSError: the folder cannot be written.
        """
        folder, recipe = ensure_dir(path), json.dumps(dict(self.recipe))
        self.samples.save(folder / TENSORS)
        for level in self.levels:
            name = f"atlas-{level.size}.png"
            atomic_write(folder / name, encode_png(self.sheet(level.size), recipe))
        return atomic_write(folder / PAGE, self.html().encode())

    def _repr_png_(self) -> bytes:
        return encode_png(self.sheet())

    def __repr__(self) -> str:
        sizes = ", ".join(f"{level.size} × {level.size}" for level in self.levels)
        icons = sum(int(level.present.sum()) for level in self.levels)
        return f"ActivationAtlas({self.layer!r}, {len(self)} points, {sizes} cells, {icons} icons)"


def _shares(level: Level) -> Tensor:
    """The side of each icon as a share of its cell's: areas in proportion to counts, up to a least size, (M,)."""
    shares = (level.counts / level.counts.max()).sqrt()
    return LEAST_SHARE + (1 - LEAST_SHARE) * shares


__all__ = ["ActivationAtlas"]
