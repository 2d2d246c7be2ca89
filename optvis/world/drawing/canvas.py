"""A canvas: fills antialiased outlines, one part over another, and keeps a mask for each named part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optvis.world.drawing.colors import Color
from optvis.world.drawing.outlines import Outline, rotation
from optvis.world.drawing.random_draws import RandomDraws

SIZE = 96  # pixels
SUPERSAMPLING = 4  # outlines are filled on a raster this much finer, then averaged

Pixels: TypeAlias = NDArray[np.float32]
Fill: TypeAlias = tuple[Outline, Color]


@dataclass(frozen=True)
class Pose:
    """An affine map from an object's coordinates to the canvas, whose own coordinates go from 0 to 1."""

    matrix: Outline  # (2, 2)
    offset: Outline  # (2,)

    def __call__(self, outline: Outline) -> Outline:
        return outline @ self.matrix.T + self.offset


def random_pose(
    draws: RandomDraws,
    x: tuple[float, float] = (0.44, 0.56),
    y: tuple[float, float] = (0.46, 0.56),
    size: tuple[float, float] = (0.36, 0.46),
    degrees: float = 8.0,
) -> Pose:
    """Draw a pose from ranges.

    Args:
        x, y: of the position on the canvas, 0 to 1.
        size: of one unit of the object, in canvases.
        degrees: the largest rotation either way. One pose in two is also mirrored.
    """
    scale = draws.uniform(*size)
    stretch = draws.uniform(0.92, 1.08)
    mirror = -1.0 if draws.chance(0.5) else 1.0
    turn = rotation(np.radians(draws.uniform(-degrees, degrees)))
    matrix = turn * (scale * stretch * mirror, scale / stretch)
    return Pose(matrix, np.array([draws.uniform(*x), draws.uniform(*y)]))


IDENTITY = Pose(np.eye(2), np.zeros(2))


@dataclass(frozen=True)
class Part:
    """Outlines that are drawn together, in their colours, with one shading.

    Args:
        name: of a part of a class; "" for the background.
        fills: outlines in the object's coordinates, each with its colour.
        pose: from the object's coordinates to the canvas.
        texture: coarse noise (h, w) in brightness, stretched over the part's bounding box.
        light: by how much brightness grows to the right and downwards, over that box.
        opacity: 0 to 1.
        present: False for a part that is drawn only on request.
    """

    name: str
    fills: Sequence[Fill]
    pose: Pose = IDENTITY
    texture: Pixels = field(default_factory=lambda: np.zeros((2, 2), np.float32))
    light: tuple[float, float] = (0.0, 0.0)
    opacity: float = 1.0
    present: bool = True


class SceneCanvas:
    """An image (96, 96, 3), and for each named part a mask (96, 96) of how much of it is visible.

    Args:
        background: the pixels to start from; drawn on in place.
    """

    def __init__(self, background: Pixels) -> None:
        self.pixels = background
        self.masks: dict[str, Pixels] = {}

    def draw(self, part: Part) -> None:
        """Draw a part over all parts before it."""
        raster = _rasterize(part)
        if raster is None:
            return
        colors, alpha, (rows, columns) = raster
        shading = _shading(part, rows, columns)
        under = self.pixels[rows, columns]
        self.pixels[rows, columns] = under * (1 - alpha)[..., None] + colors * shading[..., None]
        for mask in self.masks.values():
            mask[rows, columns] *= 1 - alpha
        if part.name:
            own = self.masks.setdefault(part.name, np.zeros((SIZE, SIZE), np.float32))
            own[rows, columns] += alpha * (1 - own[rows, columns])


def gradient(top: Color, bottom: Color, rows: int) -> Pixels:
    """A background (rows, 96, 3) from one colour at the top to another at the bottom."""
    t = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    column = np.array(top, np.float32) * (1 - t) + np.array(bottom, np.float32) * t
    return np.repeat(column[:, None], SIZE, 1)


def smooth_noise(draws: RandomDraws, height: int, width: int, rows: int, columns: int) -> Pixels:
    """Smooth noise (height, width) about 0, of two octaves: from grids (rows, columns) and twice that."""
    coarse = _upsample(draws.noise(rows, columns), height, width)
    return coarse + 0.5 * _upsample(draws.noise(2 * rows, 2 * columns), height, width)


def _upsample(noise: Pixels, height: int, width: int) -> Pixels:
    """Interpolate coarse noise (h, w) to (height, width)."""
    from PIL import Image

    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def _rasterize(part: Part) -> tuple[Pixels, Pixels, tuple[slice, slice]] | None:
    """Colours times alpha (h, w, 3), alpha (h, w), and the rows and columns they cover; None outside the canvas."""
    from PIL import Image, ImageDraw

    outlines = [part.pose(outline) * (SIZE * SUPERSAMPLING) for outline, _ in part.fills]
    if not outlines:
        return None
    points = np.concatenate(outlines)
    low = np.clip(np.floor(points.min(0) / SUPERSAMPLING), 0, SIZE).astype(int)
    high = np.clip(np.ceil(points.max(0) / SUPERSAMPLING) + 1, 0, SIZE).astype(int)
    if (high <= low).any():
        return None
    (left, top), (width, height) = low.tolist(), (high - low).tolist()
    # The fourth band holds coverage. The raster starts at 0, so the average already is colour times alpha.
    image = Image.new("RGBX", (width * SUPERSAMPLING, height * SUPERSAMPLING), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for outline, (_, color) in zip(outlines, part.fills, strict=True):
        shifted = outline - (left * SUPERSAMPLING, top * SUPERSAMPLING)
        draw.polygon(shifted.ravel().tolist(), fill=(*(round(255 * band) for band in color), 255))
    bands = np.asarray(image.reduce(SUPERSAMPLING)).astype(np.float32) * np.float32(part.opacity / 255)
    return bands[..., :3], bands[..., 3], (slice(top, top + height), slice(left, left + width))


def _shading(part: Part, rows: slice, columns: slice) -> Pixels:
    """Factors (h, w) of brightness, about 1."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    right, down = part.light
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32) * np.float32(right)
    along = np.linspace(-0.5, 0.5, height, dtype=np.float32) * np.float32(down)
    slope: Pixels = 1 + across + along[:, None]
    return slope + _upsample(part.texture, height, width) if part.texture.any() else slope
