"""Options of an atlas: its layout, its cells and their icons."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from optvis.arguments import check_minimum
from optvis.atlas.class_mask import RANK
from optvis.atlas.layout import Layout
from optvis.rendering.recipes import ICON_STEPS
from optvis.transforms import STANDARD

MIN_POINTS, POINTS_PER_MIN_POINT = 5, 20  # an icon of the mean of so many points; fewer in small atlases


@dataclass(frozen=True, eq=False)
class AtlasOptions:
    """How vectors are laid out, and how icons are rendered.

    An icon maximises the mean over positions of (a·v S) · max(0.1, cos)^p for the mean activation v of its cell, see
    `direction`. All icons start from the same noise and see the same transforms, so that neighbours look alike.

    Args:
        layout: "auto", "umap", "tsne" or an object with `fit_transform`, see `optvis.atlas.lay_out`.
        rank: of atlases of classes: a vector belongs to the classes to which it adds most, this many of them.
        nearest: how many images of each cell are kept: those whose vectors are nearest to the cell's mean.
        min_points: a cell with fewer points has no icon; by default 5, or 1 in 20 where there are less than 100 points.
        size: side of an icon in pixels.
        steps: updates of each icon.
        power: p; a larger one favours images whose activation has the direction of v alone.
        damping: of the whitening matrix S, see `optvis.objectives.whitening`. With less damping, icons of rare
            activations are noise; with more, frequent features appear in every icon. None for no whitening.
        transform: between icon and network.

    Raises:
        ValueError: a number out of range.
    """

    layout: Layout = "auto"
    rank: int = RANK
    nearest: int = 4
    min_points: int | None = None
    size: int = 64
    steps: int = ICON_STEPS
    power: float = 2.0
    damping: float | None = 2.0
    transform: nn.Module | None = STANDARD

    def __post_init__(self) -> None:
        check_minimum(1, rank=self.rank, min_points=self.min_points, size=self.size)
        check_minimum(0, nearest=self.nearest, steps=self.steps, power=self.power, damping=self.damping)

    def choose_min_points(self, points: int) -> int:
        """How many points a cell needs for an icon, where there are so many in all."""
        return max(1, min(MIN_POINTS, points // POINTS_PER_MIN_POINT)) if self.min_points is None else self.min_points


DEFAULT_OPTIONS = AtlasOptions()
