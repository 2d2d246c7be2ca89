"""Pictures of pictures: tiles with labels, and frames as an animation."""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

GAP = 6  # pixels between tiles
PAPER, INK = (255, 255, 255), (40, 40, 40)
# Orange speaks for, violet against: the ends of ColorBrewer's PuOr (colorbrewer2.org), which the colour-blind can tell.
FOR, AGAINST = (230, 97, 1), (94, 60, 153)
ANIMATED = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}


def to_picture(image: Tensor) -> Image.Image:
    """(C, H, W) in [0, 1] -> a Pillow image; values outside are clipped.

    1 channel is grey, 3 are RGB, 4 RGB with alpha; any others stand side by side, in grey.
    """
    from PIL import Image

    levels = (image.detach().float().clamp(0, 1) * 255).round().byte().cpu()
    if len(levels) not in (1, 3, 4):
        levels = levels.transpose(0, 1).flatten(1).unsqueeze(0)
    return Image.fromarray((levels[0] if len(levels) == 1 else levels.permute(1, 2, 0)).numpy())


def sheet(images: Tensor, labels: Sequence[str] = (), columns: int | None = None, gap: int = GAP) -> Image.Image:
    """Images side by side, each with its label below.

    Args:
        images: (B, C, H, W) in [0, 1], as in `to_picture`; what is transparent shows the paper.
        labels: a text per image, or none.
        columns: how many in a row; by default as many as make the sheet nearly square.
        gap: pixels between them.

    Raises:
        ValueError: another number of labels than of images; columns under 1.

    Example:
        >>> import torch
        >>> sheet(torch.rand(3, 3, 32, 32), columns=3).size
        (120, 44)
    """
    from PIL import Image, ImageDraw

    batch, channels, height, width = images.shape
    width *= 1 if channels in (1, 3, 4) else channels
    if labels and len(labels) != batch:
        raise ValueError(f"{len(labels)} labels for {batch} images")
    if columns is not None and columns < 1:
        raise ValueError(f"columns is {columns}; expected 1 or more")
    across = min(batch, math.ceil(math.sqrt(batch)) if columns is None else columns)
    font = _font(width)
    texts = [_lines(label, font, width) for label in labels]
    below = max((_height(lines, font) for lines in texts), default=0)
    down = math.ceil(batch / across)
    paper = Image.new("RGB", (across * (width + gap) + gap, down * (height + gap + below) + gap), PAPER)
    draw = ImageDraw.Draw(paper)
    for place, image in enumerate(images):
        x = gap + place % across * (width + gap)
        y = gap + place // across * (height + gap + below)
        tile = to_picture(image)
        paper.paste(tile, (x, y), tile if channels == 4 else None)
        if labels:
            draw.multiline_text((x, y + height + 2), "\n".join(texts[place]), fill=INK, font=font, spacing=2)
    return paper


def scattered(
    images: Tensor, cells: Tensor, size: int, shares: Sequence[float] | None = None, mode: str = "RGB"
) -> Image.Image:
    """Images in some of size × size cells, the paper in the others.

    Args:
        images: (B, 3, S, S) in [0, 1].
        cells: row and column of each, (B, 2).
        size: cells a side.
        shares: of a cell's side that each takes, over 0, up to 1; it stands in the middle. The whole cell by default.
        mode: "RGB", or "RGBA" for nothing in place of the paper.

    Example:
        >>> import torch
        >>> scattered(torch.rand(1, 3, 8, 8), torch.tensor([[1, 2]]), 3).size
        (24, 24)
    """
    from PIL import Image

    side = images.shape[-1]
    paper = Image.new(mode, (size * side, size * side), PAPER if mode == "RGB" else 0)
    for image, (row, column), share in zip(
        images, cells.tolist(), [1.0] * len(images) if shares is None else shares, strict=True
    ):
        smaller = max(1, round(share * side))
        inset = (side - smaller) // 2
        tile = to_picture(image)
        tile = tile if smaller == side else tile.resize((smaller, smaller), Image.Resampling.BILINEAR)
        paper.paste(tile, (column * side + inset, row * side + inset))
    return paper


def png(picture: Image.Image, recipe: str | None = None) -> bytes:
    """A picture as PNG, with a recipe in its text chunk "optvis"."""
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    if recipe is not None:
        notes.add_itxt("optvis", recipe)
    data = io.BytesIO()
    picture.save(data, "PNG", pnginfo=notes)
    return data.getvalue()


def animation(frames: Sequence[Image.Image], suffix: str, milliseconds: int) -> bytes:
    """Frames as GIF, WebP or APNG, endlessly repeated.

    Raises:
        ValueError: another suffix, or no frames.
    """
    form = ANIMATED.get(suffix.casefold())
    if form is None:
        raise ValueError(f"an animation is {', '.join(ANIMATED)}; got {suffix!r}")
    if not frames:
        raise ValueError("no frames: render with snapshots=range(steps), or at the steps that you want to see")
    data = io.BytesIO()
    options = {"lossless": False, "quality": 90} if form == "WEBP" else {}
    frames[0].save(data, form, save_all=True, append_images=frames[1:], duration=milliseconds, loop=0, **options)
    return data.getvalue()


def _font(width: int):  # type: ignore[no-untyped-def]
    from PIL import ImageFont

    return ImageFont.load_default(size=max(9, min(14, width // 10)))


def _lines(text: str, font, width: int) -> list[str]:  # type: ignore[no-untyped-def]
    """The text in at most three lines that fit the width; what does not fit is cut."""
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < 3:
        end = max(1, _fitting(rest, font, width))
        space = rest.rfind(" ", 1, end)
        end = space if end < len(rest) and space > end // 2 else end
        lines.append(rest[:end].strip())
        rest = rest[end:].strip()
    if rest:
        lines[-1] = lines[-1][:-1] + "…"
    return lines


def _fitting(text: str, font, width: int) -> int:  # type: ignore[no-untyped-def]
    """How many characters of a text fit."""
    return bisect_right(range(1, len(text) + 1), width, key=lambda end: font.getlength(text[:end]))


def _height(lines: Sequence[str], font) -> int:  # type: ignore[no-untyped-def]
    return len(lines) * (sum(map(int, font.getmetrics())) + 2) + 4


def rows(pictures: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures in rows, each row as high as its highest picture."""
    from PIL import Image

    heights = [max(picture.height for picture in row) for row in pictures]
    width = max(sum(picture.width + GAP for picture in row) for row in pictures) + GAP
    paper = Image.new("RGB", (width, sum(height + GAP for height in heights) + GAP), PAPER)
    y = GAP
    for row, height in zip(pictures, heights, strict=True):
        x = GAP
        for picture in row:
            paper.paste(picture, (x, y))
            x += picture.width + GAP
        y += height + GAP
    return paper
