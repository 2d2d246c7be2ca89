"""Pictures of pictures: tiles with labels, and frames as an animation."""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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


def bars(values: Sequence[float], labels: Sequence[str], size: tuple[int, int]) -> Image.Image:
    """Signed bars, one below the other, each with its label and its number.

    Args:
        values: one a bar.
        labels: a text a bar.
        size: (height, width) in pixels.

    Example:
        >>> bars([1.0, -0.5], ["17", "40"], (60, 160)).size
        (160, 60)
    """
    from PIL import Image, ImageDraw

    height, width = size
    paper = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(paper)
    font = _font(min(140, 10 * height // max(1, len(values))))
    texts = [f"{label}  {value:+.3g}" for label, value in zip(labels, values, strict=True)]
    left = max((int(font.getlength(text)) for text in texts), default=0) + GAP
    most = max((abs(value) for value in values), default=0.0)
    zero = left + (width - left - 1) * (0.5 if min(values, default=0.0) < 0 else 0.0)
    for row, (value, text) in enumerate(zip(values, texts, strict=True)):
        top, bottom = (height * (row + share) / len(values) for share in (0.15, 0.85))
        end = zero + (width - 1 - zero) * (value / most if most else 0.0)
        draw.rectangle((min(zero, end), top, max(zero, end), bottom), fill=FOR if value >= 0 else AGAINST)
        draw.text((0, (top + bottom) / 2), text, fill=INK, font=font, anchor="lm")
    return paper


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


# Okabe & Ito 2008 (jfly.uni-koeln.de/color), which the colour-blind can tell apart.
COLOURS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0), (110, 110, 110))


def lines(
    across: Sequence[float], values: Mapping[str, Sequence[float]], title: str, size: tuple[int, int]
) -> Image.Image:
    """Lines from 0 to 100 over numbers that rise, each with its name at its end; NaN is left out.

    Args:
        across: T numbers, from left to right.
        values: T of them, in [0, 100], a line by its name.
        title: above it.
        size: (height, width) in pixels.

    Example:
        >>> lines([0, 1, 2], {"ships": [100, 50, 0]}, "recall", (100, 200)).size
        (200, 100)
    """
    from PIL import Image, ImageDraw

    height, width = size
    paper = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(paper), _font(140)
    names = {name: _first_line(name, font, width // 3) for name in values}
    left, right = 36, width - GAP - int(max((font.getlength(name) for name in names.values()), default=0)) - GAP
    span = max(across[-1] - across[0], 1e-12)

    def at(place: float, value: float) -> tuple[float, float]:
        return left + (place - across[0]) / span * (right - left), height - 26 - value / 100 * (height - 62)

    _frame(draw, font, title, size, at, [(across[0], f"{across[0]:g}"), (across[-1], f"{across[-1]:g}")])
    taken: list[float] = []
    for row, (name, line) in enumerate(values.items()):
        colour = COLOURS[row % len(COLOURS)]
        points = [at(*point) for point in zip(across, line, strict=True) if not math.isnan(point[1])]
        if points:
            draw.line(points, fill=colour, width=2, joint="curve")
            end = _apart(points[-1][1], taken)
            draw.text((right + GAP, end), names[name], fill=colour, font=font, anchor="lm")
    return paper


def strip(values: Sequence[float], found: float, title: str, size: tuple[int, int]) -> Image.Image:
    """How often each of many numbers up to 100 occurs, and where one of them stands that is compared.

    Args:
        values: the many.
        found: the one.
        title: above it.
        size: (height, width) in pixels.

    Example:
        >>> strip([0.0, 0.0, 10.0], 90.0, "fall", (100, 200)).size
        (200, 100)
    """
    from PIL import Image, ImageDraw

    height, width = size
    paper = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(paper), _font(140)
    lowest = 10 * math.floor(min([*values, found, 0.0]) / 10)
    counts: dict[int, int] = {}
    for value in values:
        counts[math.floor(value / 4)] = counts.get(math.floor(value / 4), 0) + 1
    most = max(counts.values(), default=1)

    def at(place: float, share: float) -> tuple[float, float]:
        return 36 + (place - lowest) / (104 - lowest) * (width - 48), height - 26 - share / 100 * (height - 62)

    _frame(draw, font, title, size, at, [(float(n), str(n)) for n in (lowest, 50, 100)], f"{most}")
    for step, count in counts.items():
        (x0, y0), (x1, y1) = at(4 * step + 0.4, 100 * count / most), at(4 * step + 3.6, 0)
        draw.rectangle((x0, y0, x1, y1), fill=(176, 172, 164))
    (x, low), (_, high) = at(found + 2, 0), at(found + 2, 100)
    draw.line((x, low, x, high), fill=FOR, width=3)
    return paper


def _frame(
    draw: Any,
    font: Any,
    title: str,
    size: tuple[int, int],
    at: Callable[[float, float], tuple[float, float]],
    ticks: Sequence[tuple[float, str]],
    top: str = "100",
) -> None:
    """A title, lines at nought, half and whole, and numbers below."""
    height, width = size
    draw.text((GAP, GAP), _first_line(title, font, width - 2 * GAP), fill=INK, font=font)
    for share in (0, 50, 100):
        _, y = at(ticks[0][0], share)
        draw.line((36, y, at(ticks[-1][0], 0)[0], y), fill=(228, 224, 216))
    for share, text in ((0, "0"), (100, top)):
        draw.text((32, at(ticks[0][0], share)[1]), text, fill=INK, font=font, anchor="rm")
    for place, text in ticks:
        draw.text((at(place, 0)[0], height - 20), text, fill=INK, font=font, anchor="ma")


def _first_line(text: str, font: Any, width: int) -> str:
    return next(iter(_lines(text, font, width)), "")


def _apart(y: float, taken: list[float]) -> float:
    """The nearest height to y at which a text overlaps none that is taken."""
    steps = (y + side * 15 * n for n in range(len(taken) + 2) for side in (-1, 1))
    found = next(each for each in steps if all(abs(each - other) >= 14 for other in taken))
    taken.append(found)
    return found
