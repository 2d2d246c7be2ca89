"""Atlases of one class, and of what separates two."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from optvis.atlas.builder import DAMPING, FEWEST, ICON, NEAREST, POWER, STEPS, Mapped, samples_of
from optvis.atlas.cell import Cell
from optvis.atlas.class_mask import RANK, chosen_of, class_of, serving
from optvis.atlas.icons import Drawing
from optvis.atlas.layout import Layout, lay_out, signed_root
from optvis.atlas.levels import Level, checked_sizes
from optvis.atlas.result import ActivationAtlas
from optvis.atlas.samples import Samples
from optvis.data.dataset import as_dataset
from optvis.data.files import atomic_write
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.transforms import STANDARD
from optvis.viz.sheet import encode_png, stack_rows, to_pil_image

if TYPE_CHECKING:
    from PIL import Image

FEW_LEVELS = (5, 10, 20)


def class_atlas(
    model: nn.Module | Classifier,
    pictures: Any,
    layer: str,
    label: int | str,
    *,
    samples: Samples | None = None,
    rank: int = RANK,
    levels: Sequence[int] = FEW_LEVELS,
    layout: Layout = "auto",
    fewest: int = FEWEST,
    size: int = ICON,
    steps: int = STEPS,
    power: float = POWER,
    damping: float | None = DAMPING,
    transform: nn.Module | None = STANDARD,
    nearest: int = NEAREST,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = True,
) -> ActivationAtlas:
    """A map of what serves one class: only vectors that add to its score, laid out anew.

    Args:
        model: a network, or a Classifier.
        pictures: as in `activation_atlas`, of all classes.
        layer: name as in `layers(net)`.
        label: the class, by its text or index.
        samples: what `sample` gave of the same pictures, which is done otherwise.
        rank: see `serving`.
        levels, layout, fewest, size, steps, power, damping, transform: as in `activation_atlas`.
        nearest, seed, normalize, channel_axis, progress: as in `activation_atlas`.

    Raises:
        KeyError, IndexError: no such class or layer.
        ValueError: no vector serves the class; as in `activation_atlas`.

    Example:
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> class_atlas(load("demo"), Scenes(64), "mixed5", "wok", levels=[2], layout="tsne", size=16, steps=1,
        ...             progress=False)
        ActivationAtlas('mixed5', ... points, 2 × 2 cells, ... icons)
    """
    sizes, source, classifier = checked_sizes(levels), as_dataset(pictures), as_classifier(model, normalize)
    drawing = Drawing(size, steps, power, damping, fewest, transform, seed, channel_axis, progress)
    drawn = samples_of(classifier, source, layer, samples, seed, channel_axis, progress)
    name = drawn.labels[class_of(drawn, label)]
    chosen = chosen_of(drawn, serving(drawn, label, rank), f"serves {name!r}")
    points, how = lay_out(chosen.vectors, layout, seed=seed)
    told = {"layout": how, "class": name, "rank": rank}
    return Mapped(classifier, source, chosen, drawing, sizes, nearest).atlas(points, told, title=f"What serves {name}")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two classes, and what separates them; shows itself in a notebook.

    Args:
        atlas: of the vectors that serve either, `first` to the left and `second` to the right.
        first: index of a class.
        second: index of another.
    """

    atlas: ActivationAtlas
    first: int
    second: int

    @property
    def labels(self) -> tuple[str, str]:
        """Of the two classes."""
        return self.atlas.labels[self.first], self.atlas.labels[self.second]

    def differences(self, level: Level) -> Tensor:
        """How much more each cell adds to the second class than to the first, (M,)."""
        return level.attribution[:, self.second] - level.attribution[:, self.first]

    def top(self, count: int = 5, *, size: int | None = None) -> list[Cell]:
        """The cells that differ most between the classes, whichever they speak for; those with an icon only.

        Args:
            count: how many at most.
            size: of the level, in cells a side; the one in the middle by default.
        """
        return self._cells(count, size, lambda differences: differences.abs())

    def toward(self, label: int | str, count: int = 5, *, size: int | None = None) -> list[Cell]:
        """The cells that speak most for one of the two classes and against the other; those with an icon only.

        Args:
            label: the class.
            count: how many at most.
            size: of the level, in cells a side; the one in the middle by default.

        Raises:
            ValueError: it is neither of the two.
        """
        wanted = class_of(self.atlas.samples, label)
        if wanted not in (self.first, self.second):
            raise ValueError(f"class {label!r} is neither of {self.labels[0]!r} and {self.labels[1]!r}")
        sign = 1 if wanted == self.second else -1
        return self._cells(count, size, lambda differences: sign * differences)

    def sheet(self, count: int = 5, *, size: int | None = None) -> Image.Image:
        """The cells that differ most: a row each, its icon and what photographs show there.

        Raises:
            ValueError: no cell has an icon.
        """
        cells = self.top(count, size=size)
        if not cells:
            raise ValueError(f"no cell holds {self.atlas.fewest} points; give more photographs, or coarser levels")
        return stack_rows([[cell.sheet()] for cell in cells])

    def save(self, path: str | Path) -> Path:
        """Write the page of the map, its pictures, the cells that differ most, and patches cut from photographs.

        `differences.png` shows the cells; `patch-1.png`, `patch-2.png`, … are what the photograph nearest to each cell
        shows that speaks most for the second class, cut out for `try_patch` or
        `optvis patch`.

        Args:
            path: of a folder; made if need be.

        Returns:
            The page's path.

        Raises:
            OSError: the folder cannot be written.
        """
        page = self.atlas.save(path)
        recipe = json.dumps(dict(self.recipe))
        if self.top(1):
            atomic_write(page.parent / "differences.png", encode_png(self.sheet(), recipe))
        for place, cell in enumerate(self.toward(self.second), 1):
            for patch in cell.cutouts()[:1]:
                atomic_write(page.parent / f"patch-{place}.png", encode_png(to_pil_image(patch), recipe))
        return page

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Everything that made it, in JSON's types."""
        return self.atlas.recipe

    def _cells(self, count: int, size: int | None, ranked: Any) -> list[Cell]:
        level = self.atlas.level(size)
        worth = ranked(self.differences(level)).masked_fill(~level.present, 0)
        best = worth.topk(min(count, int((worth > 0).sum()))).indices.tolist()
        return [self.atlas.cell_at(level, place) for place in best]

    def _repr_png_(self) -> bytes:
        return encode_png(self.sheet()) if self.top(1) else self.atlas._repr_png_()

    def __repr__(self) -> str:
        return f"Comparison({self.labels[0]!r}, {self.labels[1]!r}, {self.atlas!r})"


def compare(
    model: nn.Module | Classifier,
    pictures: Any,
    layer: str,
    first: int | str,
    second: int | str,
    *,
    samples: Samples | None = None,
    rank: int = RANK,
    levels: Sequence[int] = FEW_LEVELS,
    layout: Layout = "auto",
    fewest: int = FEWEST,
    size: int = ICON,
    steps: int = STEPS,
    power: float = POWER,
    damping: float | None = DAMPING,
    transform: nn.Module | None = STANDARD,
    nearest: int = NEAREST,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = True,
) -> Comparison:
    """What separates two classes: vectors that serve either, by how much more they add to the one than to the other.

    Across, the root of the difference of their attributions, `first` to the left, `second` to the right and neither in
    the middle; down, a layout on one axis, so that vectors that are alike lie at the same height.

    Args:
        model: a network, or a Classifier.
        pictures: as in `activation_atlas`, of all classes.
        layer: name as in `layers(net)`.
        first: a class, by its text or index.
        second: another.
        samples: what `sample` gave of the same pictures, which is done otherwise.
        rank: see `serving`.
        levels, layout, fewest, size, steps, power, damping, transform: as in `activation_atlas`.
        nearest, seed, normalize, channel_axis, progress: as in `activation_atlas`.

    Returns:
        A Comparison: `.top(5)` are the cells that differ most, `.atlas` is the whole map.

    Raises:
        KeyError, IndexError: no such class or layer.
        ValueError: one class twice; no vector serves either; as in `activation_atlas`.

    Example:
        >>> from optvis import load
        >>> from optvis.world import Scenes
        >>> compare(load("demo"), Scenes(64), "mixed5", "frying pan", "wok", levels=[2], layout="tsne", size=16,
        ...         steps=1, progress=False)
        Comparison('frying pan', 'wok', ActivationAtlas('mixed5', ... points, 2 × 2 cells, ... icons))
    """
    sizes, source, classifier = checked_sizes(levels), as_dataset(pictures), as_classifier(model, normalize)
    drawing = Drawing(size, steps, power, damping, fewest, transform, seed, channel_axis, progress)
    drawn = samples_of(classifier, source, layer, samples, seed, channel_axis, progress)
    ends = class_of(drawn, first), class_of(drawn, second)
    if ends[0] == ends[1]:
        raise ValueError(f"class {drawn.labels[ends[0]]!r} is compared with itself; name two")
    names = drawn.labels[ends[0]], drawn.labels[ends[1]]
    either = serving(drawn, ends[0], rank) | serving(drawn, ends[1], rank)
    chosen = chosen_of(drawn, either, f"serves {names[0]!r} or {names[1]!r}")
    height, how = lay_out(chosen.vectors, layout, axes=1, seed=seed)
    across = signed_root(chosen.attribution[:, ends[1]] - chosen.attribution[:, ends[0]])
    points = torch.stack([across, height.squeeze(1)], dim=1)
    told = {"layout": f"the difference of attributions across; {how} down", "classes": list(names), "rank": rank}
    mapped = Mapped(classifier, source, chosen, drawing, sizes, nearest)
    title = f"What separates {names[0]} from {names[1]}"
    return Comparison(mapped.atlas(points, told, ends=names, title=title), *ends)


__all__ = ["Comparison", "class_atlas", "compare"]
