"""The comparison of two classes: an atlas, and the cells in which the classes differ most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from torch import Tensor

from optvis.atlas.cell import Cell
from optvis.atlas.class_mask import sampled_class
from optvis.atlas.levels import Level
from optvis.atlas.result import ActivationAtlas
from optvis.data.schema import read_value
from optvis.viz.result import Result
from optvis.viz.sheet import stack_rows, to_pil_image

if TYPE_CHECKING:
    from PIL import Image

CLASS_INDICES = "class_indices"  # the key of the recipe with the indices of both classes


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """Two classes and their differences; shows itself in a notebook.

    Args:
        atlas: of the vectors that contribute to either class, `first` to the left and `second` to the right.
        first: index of a class.
        second: index of another class.
    """

    KIND = "comparison"
    JSON_FIELDS: ClassVar = {"first": int, "second": int}

    atlas: ActivationAtlas
    first: int
    second: int

    def _check(self, sizes: Mapping[str, int]) -> None:
        count = self.atlas.samples.attribution.shape[1]
        if not (0 <= self.first < count and 0 <= self.second < count):
            raise ValueError(f"classes {self.first} and {self.second} of {count}")

    @property
    def labels(self) -> tuple[str, str]:
        """Of the two classes."""
        return self.atlas.labels[self.first], self.atlas.labels[self.second]

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Everything that computed the atlas, in JSON types."""
        return self.atlas.recipe

    def differences(self, level: Level) -> Tensor:
        """How much more each cell adds to the second class than to the first, (M,)."""
        return level.attribution[:, self.second] - level.attribution[:, self.first]

    def top(self, count: int = 5, *, size: int | None = None) -> list[Cell]:
        """The cells with an icon in which the classes differ most, in either direction.

        Args:
            count: how many at most.
            size: of the level, in cells per side; the middle level by default.
        """
        return self._top_cells(count, size, lambda differences: differences.abs())

    def toward(self, label: int | str, count: int = 5, *, size: int | None = None) -> list[Cell]:
        """The cells with an icon that add most to one of the two classes, compared with the other.

        Args:
            label: label or index of the class.
            count: how many at most.
            size: of the level, in cells per side; the middle level by default.

        Raises:
            ValueError: it is neither of the two.
        """
        index = sampled_class(self.atlas.samples, label)
        if index not in (self.first, self.second):
            raise ValueError(f"class {label!r} is neither of {self.labels[0]!r} and {self.labels[1]!r}")
        sign = 1 if index == self.second else -1
        return self._top_cells(count, size, lambda differences: sign * differences)

    def image(self) -> Image.Image:
        """The cells that differ most; the atlas if no cell has an icon."""
        return self.sheet() if self.top(1) else self.atlas.image()

    def sheet(self, count: int = 5, *, size: int | None = None) -> Image.Image:
        """The cells that differ most, a row each: the icon and the nearest patches of images.

        Raises:
            ValueError: no cell has an icon.
        """
        cells = self.top(count, size=size)
        if not cells:
            raise ValueError(f"no cell holds {self.atlas.min_points} points; give more images, or coarser levels")
        return stack_rows([[cell.sheet()] for cell in cells])

    def save(self, path: str | Path) -> Path:
        """Write what `ActivationAtlas.save` writes, the cells that differ most, and patches of images.

        `differences.png` shows the cells. `patch-1.png`, `patch-2.png`, … are for `try_patch` and `optvis patch`: each
        is cut from the image nearest to one of the cells that add most to the second class.

        Args:
            path: of a folder; created if needed.

        Returns:
            The path of the page.

        Raises:
            FileExistsError: one of the files exists and is no atlas's.
            OSError: the folder cannot be written.
        """
        images = {"differences.png": self.sheet()} if self.top(1) else {}
        for number, cell in enumerate(self.toward(self.second), 1):
            for patch in cell.cutouts()[:1]:
                images[f"patch-{number}.png"] = to_pil_image(patch)
        return self.atlas.save_with(path, images)

    @classmethod
    def check_target(cls, path: str | Path) -> None:
        ActivationAtlas.check_target(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Args:
            path: of the folder, or of the page in it.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged, or the folder holds another atlas.
        """
        atlas = ActivationAtlas.load(path)
        if CLASS_INDICES not in atlas.recipe:
            raise ValueError(f"{str(path)!r} holds an atlas, not a comparison; ActivationAtlas.load reads it")
        try:
            return cls(atlas, *read_value(tuple[int, int], atlas.recipe[CLASS_INDICES], CLASS_INDICES))
        except ValueError as error:
            raise ValueError(f"{str(path)!r} is damaged or holds no comparison: {error}") from error

    def _top_cells(self, count: int, size: int | None, rank: Callable[[Tensor], Tensor]) -> list[Cell]:
        """The cells with the largest positive values of a function of the differences."""
        level = self.atlas.level(size)
        values = rank(self.differences(level)).masked_fill(~level.present, 0)
        best = values.topk(min(count, int((values > 0).sum()))).indices.tolist()
        return [self.atlas.cell_at(level, index) for index in best]

    def _tensors(self) -> dict[str, Tensor]:
        return self.atlas._tensors()

    def __repr__(self) -> str:
        return f"Comparison({self.labels[0]!r}, {self.labels[1]!r}, {self.atlas!r})"
