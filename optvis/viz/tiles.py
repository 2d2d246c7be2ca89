"""Images with labels as figures: pixels stay pixels, texts are texts, squares of numbers are shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from optvis.viz.figures import FONT_SIZE, NEGATIVE, POSITIVE, WIDTH, add_title, draw_on, figure_of, fit_text
from optvis.viz.sheet import count_columns, to_pil_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIN_TILE, MAX_TILE = 1.0, 2.4  # inches of a tile's width
MAX_WIDTH = 12.0  # inches of a figure of tiles
GAP = 0.06  # between tiles, in widths of a tile
LINES = 3  # of a label
GROUND = 0.94  # gray behind squares
MANY = 20_000  # squares, from which on they are pixels in a vector file


def plot_tiles(
    images: Tensor,
    labels: Sequence[str] = (),
    columns: int | None = None,
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw images side by side, each with its label below.

    Args:
        images: (B, C, H, W) in [0, 1], as in `draw_sheet`.
        labels: a text per image, or none.
        columns: how many in a row; by default as many as make the figure nearly square, with few places empty.
        title: above them.
        ax: axes to draw on; those of a new figure by default.

    Raises:
        ValueError: no images; another number of labels than of images; columns under 1.

    Example:
        >>> import torch
        >>> len(plot_tiles(torch.rand(3, 3, 8, 8), ["a", "b", "c"]).axes[0].images)
        3
    """
    batch = len(images)
    if not images.numel() or (labels and len(labels) != batch) or (columns is not None and columns < 1):
        given = f"images are {tuple(images.shape)}, with {len(labels)} labels and columns={columns}"
        raise ValueError(f"{given}; expected one image or more, a label for each or none, 1 column or more")
    pixels = [np.asarray(to_pil_image(image)) for image in images]
    height, width = pixels[0].shape[:2]
    across = count_columns(batch) if columns is None else min(batch, columns)
    inches = min(min(max(width / 100, MIN_TILE), MAX_TILE), MAX_WIDTH / across / (1 + GAP))
    if ax is not None:
        inches = ax.get_position().width * figure_of(ax).get_figwidth() / across / (1 + GAP)
    texts = [fit_text(label, inches, LINES) for label in labels]
    line = 1.3 * FONT_SIZE / 72 / inches  # in widths of a tile
    down, tall = math.ceil(batch / across), height / width
    below = line * (max((text.count("\n") + 1 for text in texts), default=0) + 0.3 * bool(texts))
    right, bottom = across * (1 + GAP) - GAP, down * (tall + below + GAP) - GAP
    size = max(right * inches, 2 * inches if title else 0) + 0.2, bottom * inches + 0.2 + (0.2 + 3 * line) * bool(title)
    with draw_on(ax, size) as axes:
        for index, image in enumerate(pixels):
            x, y = index % across * (1 + GAP), index // across * (tall + below + GAP)
            place_image(axes, image, (x, y, 1, tall))
            if texts:
                axes.text(x, y + tall + 0.2 * line, texts[index], va="top", parse_math=False)
        frame_tiles(axes, right, bottom)
        add_title(axes, title, ax)
    return figure_of(axes)


def place_image(axes: Axes, pixels: Any, box: tuple[float, float, float, float]) -> None:
    """Draw an image, (H, W) or (H, W, 3 or 4) of bytes, into a box: left, top, width and height."""
    x, y, width, height = box
    gray: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255}
    axes.imshow(pixels, extent=(x, x + width, y + height, y), **gray)


def frame_tiles(axes: Axes, right: float, bottom: float) -> None:
    """Show a plane from the top left corner to a point, as wide as high, without axes."""
    axes.set_xlim(0, right)
    axes.set_ylim(bottom, 0)
    axes.set_aspect("equal")
    axes.set_axis_off()


def plot_image(image: Any, ax: Axes | None = None) -> Figure:
    """Draw an image of Pillow, one of its pixels at 100 to the inch.

    Example:
        >>> from PIL import Image
        >>> plot_image(Image.new("RGB", (300, 100))).get_size_inches()
        array([3., 1.])
    """
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    scale = min(1.0, 2 * WIDTH * 100 / width)
    with draw_on(ax, (scale * width / 100, scale * height / 100)) as axes:
        place_image(axes, pixels, (0, 0, width, height))
        frame_tiles(axes, width, height)
    return figure_of(axes)


def place_squares(axes: Axes, values: Tensor, extent: float, corner: tuple[float, float]) -> None:
    """Draw a square for each number, in cells of side 1 on gray ground: areas as absolute values, colors as signs.

    Args:
        axes: to draw on, whose y goes down.
        values: (R, C).
        extent: the absolute value whose square fills its cell.
        corner: x and y of the top left one.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Rectangle

    numbers = values.double().numpy()
    height, width = numbers.shape
    axes.add_patch(Rectangle(corner, width, height, facecolor=str(GROUND), edgecolor="none"))
    rows, columns = np.nonzero(numbers)
    chosen = numbers[rows, columns]
    halves = 0.48 * np.sqrt(np.minimum(np.abs(chosen) / extent, 1)) if extent > 0 else np.zeros_like(chosen)
    middles = np.stack([columns + 0.5 + corner[0], rows + 0.5 + corner[1]], axis=1)
    around = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    corners = middles[:, None] + halves[:, None, None] * around
    colors = np.where(chosen > 0, POSITIVE, NEGATIVE).tolist()
    axes.add_collection(
        PolyCollection(list(corners), facecolors=colors, edgecolors="none", rasterized=len(chosen) > MANY)
    )
