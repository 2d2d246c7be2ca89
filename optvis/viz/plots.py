"""Plots: bars, lines, strips, curves with a key, and tables of pictures with names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optvis.viz.sheet import AGAINST, FOR, GAP, INK, PAPER, _font, _lines

if TYPE_CHECKING:
    from PIL import Image

MARGIN_MOST = 220  # pixels that the names of rows may take
# Okabe & Ito 2008 (jfly.uni-koeln.de/color), which the colour-blind can tell apart.
COLOURS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0), (110, 110, 110))


def named_rows_and_columns(picture: Image.Image, rows: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """A picture of a table, with a name before each row and above each column.

    Args:
        picture: rows of one height, columns of one width.
        rows: a text a row, or none.
        columns: a text a column, or none.

    Example:
        >>> from PIL import Image
        >>> named_rows_and_columns(Image.new("RGB", (60, 40)), ["a", "b"], []).height
        52
    """
    from PIL import Image, ImageDraw

    font = _font(110)
    longest = max((int(font.getlength(text)) + 1 for text in rows), default=0)
    left = GAP + (min(longest, MARGIN_MOST) + GAP if rows else 0)
    top = GAP + (sum(map(int, font.getmetrics())) if columns else 0)
    paper = Image.new("RGB", (left + picture.width + GAP, top + picture.height + GAP), PAPER)
    paper.paste(picture, (left, top))
    draw = ImageDraw.Draw(paper)
    for place, text in enumerate(rows):
        y = top + picture.height * (place + 0.5) / len(rows)
        draw.text((left - GAP, y), _first_line(text, font, MARGIN_MOST), fill=INK, font=font, anchor="rm")
    for place, text in enumerate(columns):
        x = left + picture.width * (place + 0.5) / len(columns)
        shown = _first_line(text, font, picture.width // len(columns))
        draw.text((x, top - 1), shown, fill=INK, font=font, anchor="mb")
    return paper


def curves(
    across: Sequence[float], values: Mapping[str, Sequence[float]], title: str, size: tuple[int, int]
) -> Image.Image:
    """Lines from 0 to 100 over numbers that rise, with a key beside them, for lines that end close together.

    Args:
        across: T numbers, from left to right.
        values: T of them, in [0, 100], a line by its name.
        title: above it.
        size: (height, width) in pixels.

    Example:
        >>> curves([8, 16], {"ships": [100, 50], "liners": [0, 50]}, "confidence", (100, 240)).size
        (240, 100)
    """
    from PIL import Image, ImageDraw

    height, width = size
    paper = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(paper), _font(120)
    most = width * 2 // 5
    key = min(most, int(max((font.getlength(name) for name in values), default=0)) + 1)
    right, span = width - key - 4 * GAP, max(across[-1] - across[0], 1e-12)

    def at(place: float, value: float) -> tuple[float, float]:
        return 36 + (place - across[0]) / span * (right - 36), height - 26 - value / 100 * (height - 62)

    ends = dict.fromkeys((across[0], across[-1]))
    _frame(draw, font, title, size, at, [(end, f"{end:g}") for end in ends])
    for row, (name, line) in enumerate(values.items()):
        colour, y = COLOURS[row % len(COLOURS)], 36 + 16 * row
        points = [at(*point) for point in zip(across, line, strict=True)]
        draw.line(points, fill=colour, width=2, joint="curve")
        for x, level in points:
            draw.rectangle((x - 1.5, level - 1.5, x + 1.5, level + 1.5), fill=colour)
        draw.rectangle((right + GAP, y - 3, right + GAP + 7, y + 4), fill=colour)
        draw.text((width - key - GAP, y), _first_line(name, font, key), fill=colour, font=font, anchor="lm")
    return paper


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


__all__ = ["curves", "named_rows_and_columns"]
