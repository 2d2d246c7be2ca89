"""The result of an atlas: points on a map, cells at several levels with an icon each, and the recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor

from optvis.arguments import check_axes, check_count, check_range
from optvis.atlas.cell import Cell
from optvis.atlas.exemplars import Exemplars
from optvis.atlas.levels import Level
from optvis.atlas.samples import SAMPLES_KIND, Samples
from optvis.data.files import ensure_dir
from optvis.data.own_files import check_own_files, remove_old_files, write_own_files
from optvis.viz.pages.atlas.html import atlas_html
from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.result import Result, to_json
from optvis.viz.sheet import draw_cells, encode_png

if TYPE_CHECKING:
    from PIL import Image

MIN_ICON_SHARE = 0.45  # of a cell's side; the icon of the emptiest cell
MAX_CLASSES = 100  # on the page
PAGE_KIND = "atlas page"  # what `read_kind` reads from index.html
OLD_FILES = ("atlas-*.png", "differences.png", "patch-*.png")  # of an older atlas in the same folder
PAGE, SAMPLES, TENSORS = "index.html", "samples.safetensors", "atlas.safetensors"
LEVEL_AXES = Level.TENSOR_FIELDS


@dataclass(frozen=True, eq=False)
class ActivationAtlas(Result):
    """A map of a layer's activations on many images; shows itself in a notebook.

    Carter et al., "Activation Atlas", Distill 2019, doi:10.23915/distill.00015.

    Args:
        samples: N activation vectors.
        points: across and down, (N, 2) in [0, 1].
        levels: the map in cells, from coarse to fine.
        exemplars: patches of the images nearest to each cell.
        min_points: a cell with fewer points has no icon.
        recipe: everything that computed it, in JSON types.
        ends: texts at the left and the right end of the map, in a comparison of two classes.
        title: of the page.
    """

    KIND = "activation atlas"
    TENSOR_FIELDS: ClassVar = {"points": "N 2"}
    TEXT_FIELDS = ("title",)
    JSON_FIELDS: ClassVar = {"min_points": int, "ends": tuple[str, str] | None}

    samples: Samples
    points: Tensor
    levels: tuple[Level, ...]
    exemplars: Exemplars
    min_points: int
    recipe: Mapping[str, Any]
    ends: tuple[str, str] | None = None
    title: str = "Activation atlas"

    @property
    def layer(self) -> str:
        """The layer of the activations."""
        return self.samples.layer

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the K classes."""
        return self.samples.labels

    def __len__(self) -> int:
        return len(self.samples)

    def level(self, size: int | None = None) -> Level:
        """A level by its size; the middle one by default.

        Raises:
            KeyError: there is none of this size.
        """
        if size is None:
            return self.levels[len(self.levels) // 2]
        for level in self.levels:
            if level.size == size:
                return level
        raise KeyError(f"no level of size {size}; there are {', '.join(str(level.size) for level in self.levels)}")

    def cell(self, row: int, column: int, size: int | None = None) -> Cell:
        """A cell of a level: its icon, how many points it holds, its classes, and the nearest images.

        Raises:
            KeyError: the cell is empty, or there is no such level.
        """
        level = self.level(size)
        matches = (level.cells == torch.tensor([row, column], device="cpu")).all(1).nonzero().flatten().tolist()
        if not matches:
            raise KeyError(f"cell ({row}, {column}) of {level.size} × {level.size} is empty")
        return self.cell_at(level, matches[0])

    def cell_at(self, level: Level, index: int) -> Cell:
        """A cell by its index among a level's occupied ones."""
        rows = level.nearest[index][self.exemplars.index(level.nearest[index]) >= 0]
        row, column = level.cells[index].tolist()
        return Cell(
            size=level.size,
            position=(row, column),
            count=int(level.counts[index]),
            vector=level.vectors[index],
            attribution=level.attribution[index],
            labels=self.labels,
            icon=level.icons[index] if bool(level.present[index]) else None,
            rows=rows,
            patches=self.exemplars.patches[self.exemplars.index(rows)],
            names=self._image_names(rows),
        )

    def image(self) -> Image.Image:
        """The icons of the middle level."""
        return self.sheet()

    def sheet(self, size: int | None = None, *, by_count: bool = False) -> Image.Image:
        """The icons of a level, each at its place on the map.

        Args:
            size: of the level, in cells per side; the middle level by default.
            by_count: whether the size of an icon shows how many points its cell holds.

        Raises:
            KeyError: there is no such level.
        """
        level = self.level(size)
        present = level.present
        shares = _icon_shares(level)[present].tolist() if by_count else None
        return draw_cells(level.icons[present], level.cells[present], level.size, shares)

    def page(self) -> AtlasPage:
        """The content of the interactive page."""
        classes = self._page_classes()
        network = self.recipe.get("network", "a network")
        lead = (
            f"{len(self)} activation vectors of {self.layer} of {network}, one of each image; similar vectors lie "
            "beside each other. Each icon is a feature visualization of the mean vector of its cell."
        )
        return AtlasPage(
            title=self.title,
            layer=self.layer,
            levels=tuple(self._page_level(level, classes) for level in self.levels),
            labels=tuple(self.labels[k] for k in classes),
            exemplars=self.exemplars.patches,
            names=self._image_names(self.exemplars.rows),
            min_points=self.min_points,
            recipe=self.recipe,
            lead=lead,
            ends=self.ends,
        )

    def _page_level(self, level: Level, classes: Sequence[int]) -> AtlasLevel:
        attribution, nearest = level.attribution[:, classes], self.exemplars.index(level.nearest)
        return AtlasLevel(level.size, level.cells, level.counts, level.icons, level.present, attribution, nearest)

    def html(self) -> str:
        """The interactive page as one HTML text that loads nothing: zoom, hover, tap, or use the arrow keys.

        Returns:
            The text: `Path("atlas.html").write_text(atlas.html(), encoding="utf-8")` writes it.
        """
        return atlas_html(self.page())

    def save(self, path: str | Path) -> Path:
        """Write the page, a PNG of each level with the recipe in it, the samples, and the other tensors.

        Args:
            path: of a folder; created if needed.

        Returns:
            The path of the page.

        Raises:
            FileExistsError: one of the files exists and is no atlas's.
            OSError: the folder cannot be written.
        """
        return self.save_with(path, {})

    def save_with(self, path: str | Path, images: Mapping[str, Image.Image]) -> Path:
        """Write what `save` writes, and further images by file name; remove what an older atlas has left there."""
        folder, recipe = Path(path), to_json(dict(self.recipe))
        sheets = {f"atlas-{level.size}.png": self.sheet(level.size) for level in self.levels}
        files = {folder / TENSORS: (self.KIND, self._serialize())}
        for name, image in (sheets | dict(images)).items():
            files[folder / name] = self.KIND, encode_png(image, recipe, self.KIND)
        files[folder / PAGE] = PAGE_KIND, self.html().encode()
        check_own_files({path: kind for path, (kind, _) in files.items()})
        self.samples.save(ensure_dir(folder) / SAMPLES)
        write_own_files(files)
        for pattern in OLD_FILES:
            remove_old_files(folder, pattern, {self.KIND}, set(files))
        return folder / PAGE

    @classmethod
    def check_target(cls, path: str | Path) -> None:
        folder = Path(path)
        kinds = {TENSORS: cls.KIND, PAGE: PAGE_KIND, SAMPLES: SAMPLES_KIND}
        check_own_files({folder / name: kind for name, kind in kinds.items()})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Args:
            path: of the folder, or of the page in it.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged, or the files are of different atlases.
        """
        target = Path(path)
        folder = target.parent if target.name == PAGE else target
        samples = Samples.load(folder / SAMPLES)
        atlas = cls._load(folder / TENSORS, samples=samples)
        if dict(samples.recipe) != atlas.recipe.get("samples"):
            raise ValueError(f"{SAMPLES} and {TENSORS} in {str(folder)!r} are of different atlases")
        return atlas

    def _image_names(self, rows: Tensor) -> tuple[str, ...]:
        """The names of the images that some samples are from."""
        return tuple(self.samples.names[index] for index in self.samples.indices[rows].tolist())

    def _page_classes(self) -> list[int]:
        """The indices of all classes; if they are many, of those that are the first class of some cell."""
        count = self.samples.attribution.shape[1]
        if count <= MAX_CLASSES:
            return list(range(count))
        attribution = torch.cat([level.attribution for level in self.levels])
        first = attribution.argmax(1).unique()  # type: ignore[no-untyped-call]
        largest = attribution[:, first].amax(0).argsort(descending=True)[:MAX_CLASSES]
        return sorted(first[largest].tolist())

    def _check(self, sizes: Mapping[str, int]) -> None:
        samples, count = self.samples, sizes["N"]
        check_count("samples", len(samples), count, "points")
        check_range("exemplars' rows", self.exemplars.rows, 0, count)
        known = {"C": samples.vectors.shape[1], "K": samples.attribution.shape[1]}
        for level in self.levels:
            check_axes({name: getattr(level, name) for name in LEVEL_AXES}, LEVEL_AXES, known)
            check_range("nearest", level.nearest, -1, count)
            check_range("counts", level.counts, 1, count + 1)

    def _tensors(self) -> dict[str, Tensor]:
        """All tensors but those of the samples, which have a file of their own."""
        exemplars = {"exemplars.rows": self.exemplars.rows, "exemplars.patches": self.exemplars.patches}
        levels = {f"level.{level.size}.{name}": getattr(level, name) for level in self.levels for name in LEVEL_AXES}
        return super()._tensors() | exemplars | levels

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        exemplars = Exemplars(tensors.pop("exemplars.rows"), tensors.pop("exemplars.patches"))
        sizes = sorted({int(name.split(".")[1]) for name in tensors if re.fullmatch(r"level\.\d+\.\w+", name)})
        levels = tuple(Level(n, *(tensors.pop(f"level.{n}.{name}") for name in LEVEL_AXES)) for n in sizes)
        return super()._from_parts(tensors, values | {"levels": levels, "exemplars": exemplars})

    def __repr__(self) -> str:
        sizes = ", ".join(f"{level.size} × {level.size}" for level in self.levels)
        icons = sum(int(level.present.sum()) for level in self.levels)
        return f"ActivationAtlas({self.layer!r}, {len(self)} points, {sizes} cells, {icons} icons)"


def _icon_shares(level: Level) -> Tensor:
    """The side of each icon as a share of its cell's: areas in proportion to counts, with a minimum, (M,)."""
    shares = (level.counts / level.counts.max()).sqrt()
    return MIN_ICON_SHARE + (1 - MIN_ICON_SHARE) * shares
