"""Images of several images: tiles with labels, cells of a grid, rows; and their encoding as PNG."""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor
from torch.nn.functional import pad

from optvis.arguments import check_axes, check_count, check_minimum, check_range, describe_value
from optvis.data.own_files import PNG_KIND
from optvis.errors import warn_user

if TYPE_CHECKING:
    from PIL import Image, ImageFont

GAP = 6  # pixels between tiles
MAX_SIDE = 2**14  # of a sheet of cells, in pixels
BACKGROUND, TEXT_COLOR = (255, 255, 255), (40, 40, 40)
# The ends of ColorBrewer's PuOr (colorbrewer2.org): orange and violet, safe for colour-blind readers.
POSITIVE_COLOR, NEGATIVE_COLOR = (230, 97, 1), (94, 60, 153)
RANGE_TOLERANCE = 1e-3  # how far values may lie outside [0, 1] without a warning
MAX_LINES = 3  # of a label
SMALLEST_FONT = 11  # pixels, of a label
LABEL_WIDTH = 80  # pixels that a label has at least: "Staffordshire" in the smallest font


def to_pil_image(image: Tensor) -> Image.Image:
    """(C, H, W) in [0, 1] -> a Pillow image; values outside are clipped, and NaN is black, with a warning.

    1 channel is gray, 3 are RGB, 4 RGB with alpha; any others stand side by side, in gray.

    Raises:
        ValueError: an image of other axes, or without pixels.
    """
    from PIL import Image

    if image.dim() != 3 or not image.numel():
        raise ValueError(f"image is {tuple(image.shape)}; expected (C, H, W), with one pixel or more")
    lowest, highest = (float(end) for end in image.detach().float().aminmax())
    if not (lowest >= -RANGE_TOLERANCE and highest <= 1 + RANGE_TOLERANCE):
        drawn = "NaN is black" if math.isnan(lowest) else "values outside are clipped"
        warn_user(f"an image runs from {lowest:.4g} to {highest:.4g}; expected [0, 1]: {drawn}")
    levels = (image.detach().float().nan_to_num(0).clamp(0, 1) * 255).round().byte().cpu()
    if len(levels) not in (1, 3, 4):
        levels = levels.transpose(0, 1).flatten(1).unsqueeze(0)
    return Image.fromarray((levels[0] if len(levels) == 1 else levels.permute(1, 2, 0)).numpy())


def as_rgb(images: Tensor) -> Tensor:
    """Turn images of any number of channels into RGB for display, (..., C, H, W) -> (..., 3, H, W).

    One channel is gray; of more than three the first three are shown; of two the third is black.

    Example:
        >>> import torch
        >>> as_rgb(torch.rand(2, 1, 8, 8)).shape, as_rgb(torch.rand(5, 8, 8)).shape
        (torch.Size([2, 3, 8, 8]), torch.Size([3, 8, 8]))
    """
    channels = images.shape[-3]
    if channels == 1:
        return images.expand(*images.shape[:-3], 3, -1, -1)
    return pad(images, (0, 0, 0, 0, 0, max(0, 3 - channels)))[..., :3, :, :]


def draw_sheet(
    images: Tensor,
    labels: Sequence[str] = (),
    columns: int | None = None,
    gap: int = GAP,
    scale: int | None = None,
) -> Image.Image:
    """Draw images side by side, each with its label below.

    Args:
        images: (B, C, H, W) in [0, 1], as in `to_pil_image`; transparent pixels show the background.
        labels: a text per image, or none.
        columns: how many in a row; by default as many as make the sheet nearly square, with few places empty.
        gap: pixels between them.
        scale: how many times as wide and high each is drawn; by default 1, and with labels enough for a width of 80
            pixels, which a text needs.

    Raises:
        ValueError: images of other axes, or without pixels; another number of labels than of images; columns or scale
            under 1.

    Example:
        >>> import torch
        >>> draw_sheet(torch.rand(3, 3, 32, 32), columns=3).size
        (120, 44)
        >>> draw_sheet(torch.rand(3, 1, 8, 8), ["0", "1", "2"]).width
        264
    """
    from PIL import Image, ImageDraw

    sizes = check_axes({"images": images}, "B C H W")
    batch, channels, height, width = sizes["B"], sizes["C"], sizes["H"], sizes["W"]
    if not images.numel():
        raise ValueError(f"images are {tuple(images.shape)}; expected one or more, of one pixel or more")
    width *= 1 if channels in (1, 3, 4) else channels
    if labels and len(labels) != batch:
        raise ValueError(f"{len(labels)} labels for {batch} images")
    check_minimum(1, columns=columns)
    if not 0 <= gap <= MAX_SIDE:
        raise ValueError(f"gap is {gap}; expected 0 to {MAX_SIDE:,} pixels")
    largest = max(1, MAX_SIDE // max(width, height))
    if scale is not None and not 1 <= scale <= largest:
        raise ValueError(f"scale is {scale}; expected 1 to {largest}")
    times = scale if scale is not None else -(-LABEL_WIDTH // width) if labels else 1
    images = images.repeat_interleave(times, -1).repeat_interleave(times, -2)
    width, height = times * width, times * height
    across = count_columns(batch) if columns is None else min(batch, columns)
    font = load_font(width)
    texts = [fit_label(label, font, width) for label in labels]
    below = max((_text_height(lines, font) for lines in texts), default=0)
    down = math.ceil(batch / across)
    canvas = Image.new("RGB", (across * (width + gap) + gap, down * (height + gap + below) + gap), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for index, image in enumerate(images):
        x = gap + index % across * (width + gap)
        y = gap + index // across * (height + gap + below)
        tile = to_pil_image(image)
        canvas.paste(tile, (x, y), tile if channels == 4 else None)
        if labels:
            draw.multiline_text((x, y + height + 2), "\n".join(texts[index]), fill=TEXT_COLOR, font=font, spacing=2)
    return canvas


def count_columns(count: int) -> int:
    """How many of some images stand in a row by default: nearly a square, with as few empty places as can be.

    Example:
        >>> [count_columns(count) for count in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 64)]
        [1, 2, 3, 2, 3, 3, 4, 4, 3, 5, 8]
    """
    side = math.sqrt(count)
    return min(range(math.ceil(side), math.ceil(1.5 * side) + 1), key=lambda columns: (-count % columns, columns))


def draw_cells(
    images: Tensor, cells: Tensor, size: int, shares: Sequence[float] | None = None, mode: str = "RGB"
) -> Image.Image:
    """Draw images in some cells of a square grid; the other cells show the background.

    Args:
        images: (B, 3, S, S) in [0, 1].
        cells: row and column of each, (B, 2).
        size: cells a side of the grid.
        shares: side of each image as a share of its cell's side, over 0, up to 1, centred; 1 by default.
        mode: "RGB", or "RGBA" for a transparent background.

    Example:
        >>> import torch
        >>> draw_cells(torch.rand(1, 3, 8, 8), torch.tensor([[1, 2]]), 3).size
        (24, 24)
    """
    from PIL import Image

    check_axes({"images": images, "cells": cells}, {"images": "B 3 S S", "cells": "B 2: int"})
    side = images.shape[-1]
    shares = [1.0] * len(images) if shares is None else shares
    check_count("shares", len(shares), len(images), "images")
    if mode not in ("RGB", "RGBA") or not 0 < size * side <= MAX_SIDE or not all(0 < share <= 1 for share in shares):
        expected = f"RGB or RGBA, sides of 1 to {MAX_SIDE} pixels, shares over 0, up to 1"
        raise ValueError(f"mode is {mode!r}, size is {size}, shares are {describe_value(shares)}; expected {expected}")
    check_range("cells", cells, 0, size)
    canvas = Image.new(mode, (size * side, size * side), BACKGROUND if mode == "RGB" else 0)
    for image, (row, column), share in zip(images, cells.tolist(), shares, strict=True):
        smaller = max(1, round(share * side))
        inset = (side - smaller) // 2
        tile = to_pil_image(image)
        tile = tile if smaller == side else tile.resize((smaller, smaller), Image.Resampling.BILINEAR)
        canvas.paste(tile, (column * side + inset, row * side + inset))
    return canvas


def stack_rows(images: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Draw images in rows, each row as high as its highest image."""
    from PIL import Image

    if not images or not all(images):
        raise ValueError(f"{len(images)} rows of images, some of them empty; expected one or more, with an image each")
    heights = [max(image.height for image in row) for row in images]
    width = max(sum(image.width + GAP for image in row) for row in images) + GAP
    canvas = Image.new("RGB", (width, sum(height + GAP for height in heights) + GAP), BACKGROUND)
    y = GAP
    for row, height in zip(images, heights, strict=True):
        x = GAP
        for image in row:
            canvas.paste(image, (x, y))
            x += image.width + GAP
        y += height + GAP
    return canvas


def encode_png(image: Image.Image, recipe: str | None = None, kind: str | None = None) -> bytes:
    """Encode an image as PNG, with a recipe in its text chunk "optvis", and in "optvis.kind" what the file holds."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    if recipe is not None:
        info.add_itxt("optvis", recipe)
    if kind is not None:
        info.add_itxt(PNG_KIND, kind)
    data = io.BytesIO()
    image.save(data, "PNG", pnginfo=info)
    return data.getvalue()


def load_font(width: int) -> ImageFont.FreeTypeFont:
    """The font of labels below tiles of a width in pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size=max(SMALLEST_FONT, min(14, width // 10)))  # type: ignore[return-value]


class Measure(Protocol):
    """What knows how wide texts are: a font of Pillow is one."""

    def getlength(self, text: str) -> float:
        """The width of a text, in pixels or whatever unit widths have."""


def wrap_text(text: str, font: Measure, width: float, most: int = MAX_LINES) -> list[str]:
    """Break a text into lines that fit a width; "…" marks what is cut off.

    A word is broken only where it is wider than a line.

    Args:
        text: of any letters; spaces and line breaks in a row become one space.
        font: measures the lines.
        width: in the font's unit, such as pixels.
        most: how many lines at most.
    """
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < most:
        end = max(1, _count_fitting(rest, font, width))
        space = rest.rfind(" ", 1, end + 1)
        word = rest[space + 1 :].partition(" ")[0]
        if end < len(rest) and space > 0 and (space > end // 2 or font.getlength(word) <= width):
            end = space
        lines.append(rest[:end].strip())
        rest = rest[end:].strip()
    if rest:
        lines[-1] = lines[-1][:-1] + "…"
    return lines


def fit_label(text: str, font: ImageFont.FreeTypeFont, width: float, most: int = MAX_LINES) -> list[str]:
    """Break a label into lines as `wrap_text` does, with spaces twice as wide: the font's own are hard to see."""
    return [_widen_spaces(line) for line in wrap_text(text, _WideSpaced(font), width, most)]


@dataclass(frozen=True)
class _WideSpaced:
    """How wide texts are with spaces twice as wide.

    Args:
        font: that they are written in.
    """

    font: ImageFont.FreeTypeFont

    def getlength(self, text: str) -> float:
        return self.font.getlength(_widen_spaces(text))


def _widen_spaces(text: str) -> str:
    return text.replace(" ", "  ")


def _count_fitting(text: str, font: Measure, width: float) -> int:
    """How many characters of a text fit a width."""
    return bisect_right(range(1, len(text) + 1), float(width), key=lambda end: font.getlength(text[:end]))


def _text_height(lines: Sequence[str], font: ImageFont.FreeTypeFont) -> int:
    return len(lines) * (sum(map(int, font.getmetrics())) + 2) + 4
