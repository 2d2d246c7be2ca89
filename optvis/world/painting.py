"""Painting outlines, antialiased, one layer over another, with a mask for each named part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optvis.world.dice import Colour, Dice
from optvis.world.outlines import Outline, rotation

SIDE = 96  # pixels
FINE = 4  # outlines are filled on a raster this much finer, then averaged

Pixels: TypeAlias = NDArray[np.float32]
Fill: TypeAlias = tuple[Outline, Colour]


@dataclass(frozen=True)
class Pose:
    """Where an object's coordinates lie on the canvas, whose own go from 0 to 1."""

    matrix: Outline  # (2, 2)
    offset: Outline  # (2,)

    def __call__(self, outline: Outline) -> Outline:
        return outline @ self.matrix.T + self.offset


def posed(
    dice: Dice,
    x: tuple[float, float] = (0.44, 0.56),
    y: tuple[float, float] = (0.46, 0.56),
    size: tuple[float, float] = (0.36, 0.46),
    turn: float = 8.0,
    flip: bool = True,
) -> Pose:
    """A pose by chance: place, size (of one unit, in canvases), turn up to so many degrees, mirrored or not."""
    scale = dice.between(*size)
    stretch = dice.between(0.92, 1.08)
    mirror = -1.0 if dice.chance(0.5) and flip else 1.0
    matrix = rotation(np.radians(dice.between(-turn, turn))) * (scale * stretch * mirror, scale / stretch)
    return Pose(matrix, np.array([dice.between(*x), dice.between(*y)]))


ON_CANVAS = Pose(np.eye(2), np.zeros(2))


@dataclass(frozen=True)
class Part:
    """Something painted in one go: outlines in their colours, and how its surface varies."""

    name: str  # of a class's part; "" for what belongs to none
    fills: Sequence[Fill]
    pose: Pose = ON_CANVAS
    grain: Pixels = field(default_factory=lambda: np.zeros((2, 2), np.float32))  # coarse noise, stretched over it
    light: tuple[float, float] = (0.0, 0.0)  # how brightness grows to the right and down, a canvas
    opacity: float = 1.0
    present: bool = True  # or only where it is asked for


class Painting:
    """An image (96, 96, 3) that grows layer by layer, and how much of each named part is still to be seen."""

    def __init__(self, backdrop: Pixels) -> None:
        self.pixels = backdrop
        self.masks: dict[str, Pixels] = {}

    def add(self, part: Part) -> None:
        raster = _rasterised(part)
        if raster is None:
            return
        colours, alpha, (rows, columns) = raster
        shade = _shade(part, rows, columns)
        under = self.pixels[rows, columns]
        self.pixels[rows, columns] = under * (1 - alpha)[..., None] + colours * shade[..., None]
        for mask in self.masks.values():
            mask[rows, columns] *= 1 - alpha
        if part.name:
            own = self.masks.setdefault(part.name, np.zeros((SIDE, SIDE), np.float32))
            own[rows, columns] += alpha * (1 - own[rows, columns])


def stretched(noise: Pixels, height: int = SIDE, width: int = SIDE) -> Pixels:
    """Coarse noise (h, w) as smooth noise (height, width)."""
    from PIL import Image

    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def _rasterised(part: Part) -> tuple[Pixels, Pixels, tuple[slice, slice]] | None:
    """Colours times alpha (h, w, 3), alpha (h, w), and where they lie; None off the canvas."""
    from PIL import Image, ImageDraw

    outlines = [part.pose(outline) * (SIDE * FINE) for outline, _ in part.fills]
    if not outlines:
        return None
    corners = np.concatenate(outlines)
    low = np.clip(np.floor(corners.min(0) / FINE), 0, SIDE).astype(int)
    high = np.clip(np.ceil(corners.max(0) / FINE) + 1, 0, SIDE).astype(int)
    if (high <= low).any():
        return None
    (left, top), (width, height) = low.tolist(), (high - low).tolist()
    # Four bands, of which the last holds what is covered: zero where nothing is, so colours come multiplied by it.
    canvas = Image.new("RGBX", (width * FINE, height * FINE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(canvas)
    for outline, (_, colour) in zip(outlines, part.fills, strict=True):
        shifted = outline - (left * FINE, top * FINE)
        draw.polygon(shifted.ravel().tolist(), fill=(*(round(255 * band) for band in colour), 255))
    bands = np.asarray(canvas.reduce(FINE)).astype(np.float32) * np.float32(part.opacity / 255)
    return bands[..., :3], bands[..., 3], (slice(top, top + height), slice(left, left + width))


def _shade(part: Part, rows: slice, columns: slice) -> Pixels:
    """Brightness (h, w) about 1."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    right, down = part.light
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(right)
    along = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(down)
    slope: Pixels = 1 + across + along[:, None]
    return slope + stretched(part.grain, height, width) if part.grain.any() else slope


def gradient(top: Colour, bottom: Colour, rows: int) -> Pixels:
    """A backdrop (rows, 96, 3) from one colour down to another."""
    t = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    column = np.array(top, np.float32) * (1 - t) + np.array(bottom, np.float32) * t
    return np.repeat(column[:, None], SIDE, 1)


def ruffled(dice: Dice, height: int, width: int, rows: int, columns: int) -> Pixels:
    """Smooth noise (height, width) about 0, as many waves down and across as told, and finer ones on them."""
    coarse = stretched(dice.field(rows, columns), height, width)
    return coarse + 0.5 * stretched(dice.field(2 * rows, 2 * columns), height, width)
