"""Plots: bars, lines, histograms, curves with a legend, and tables with labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optvis.arguments import check_count
from optvis.viz.sheet import BACKGROUND, GAP, NEGATIVE_COLOR, POSITIVE_COLOR, TEXT_COLOR, load_font, wrap_text

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    Drawing = tuple[Image.Image, ImageDraw.ImageDraw]

Lines = Mapping[str, Sequence[float]]  # the values of each line, by its name
MIN_SIDE, MAX_SIDE = 72, 2**13  # of a plot with axes, in pixels: 72 are those of its texts alone
MAX_MARGIN = 220  # pixels of the labels of rows
# Okabe & Ito 2008 (jfly.uni-koeln.de/color), safe for colour-blind readers.
COLORS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (86, 180, 233), (230, 159, 0), (110, 110, 110))


def label_table(image: Image.Image, rows: Sequence[str], columns: Sequence[str]) -> Image.Image:
    """Write a label before each row and above each column of a table that is an image.

    Args:
        image: rows of one height, columns of one width.
        rows: a text a row, or none.
        columns: a text a column, or none.

    Example:
        >>> from PIL import Image
        >>> label_table(Image.new("RGB", (60, 40)), ["a", "b"], []).height
        52
    """
    font = load_font(110)
    longest = max((int(font.getlength(text)) + 1 for text in rows), default=0)
    left = GAP + (min(longest, MAX_MARGIN) + GAP if rows else 0)
    top = GAP + (sum(map(int, font.getmetrics())) if columns else 0)
    canvas, draw = _new_canvas((top + image.height + GAP, left + image.width + GAP))
    canvas.paste(image, (left, top))
    for index, text in enumerate(rows):
        y = top + image.height * (index + 0.5) / len(rows)
        draw.text((left - GAP, y), _first_line(text, font, MAX_MARGIN), fill=TEXT_COLOR, font=font, anchor="rm")
    for index, text in enumerate(columns):
        x = left + image.width * (index + 0.5) / len(columns)
        line = _first_line(text, font, image.width // len(columns))
        draw.text((x, top - 1), line, fill=TEXT_COLOR, font=font, anchor="mb")
    return canvas


def caption_image(
    image: Image.Image, title: str, legend: Sequence[tuple[str, tuple[int, int, int]]] = ()
) -> Image.Image:
    """Write a title above an image, over as many lines as it needs, and under it a legend: texts and their colors.

    Example:
        >>> from PIL import Image
        >>> caption_image(Image.new("RGB", (200, 40)), "what it shows", [("raises it", (213, 94, 0))]).size[0]
        200
    """
    font = load_font(120)
    height = sum(map(int, font.getmetrics()))
    lines = wrap_text(title, font, image.width - 2 * GAP)
    canvas, draw = _new_canvas((GAP + height * (len(lines) + bool(legend)) + GAP + image.height, image.width))
    for row, line in enumerate(lines):
        draw.text((GAP, GAP + row * height), line, fill=TEXT_COLOR, font=font)
    x, y = GAP, GAP + len(lines) * height
    for text, color in legend:
        draw.rectangle((x, y + height // 2 - 4, x + 8, y + height // 2 + 4), fill=color)
        draw.text((x + 14, y), text, fill=TEXT_COLOR, font=font)
        x += 14 + int(font.getlength(text)) + 4 * GAP
    canvas.paste(image, (0, canvas.height - image.height))
    return canvas


def plot_curves(x: Sequence[float], values: Lines, title: str, size: tuple[int, int]) -> Image.Image:
    """Plot lines from 0 to 100 with a legend beside them, for lines that end close together.

    Args:
        x: T rising numbers.
        values: T of them, in [0, 100], a line by its name.
        title: above it.
        size: (height, width) in pixels, each 72 or more.

    Raises:
        ValueError: no x, another count of numbers in a line, or a size too small for the texts.

    Example:
        >>> plot_curves([8, 16], {"ships": [100, 50], "liners": [0, 50]}, "confidence", (100, 240)).size
        (240, 100)
    """
    width, font = size[1], load_font(120)
    legend = min(width * 2 // 5, int(max((font.getlength(name) for name in values), default=0)) + 1)
    right = width - legend - 4 * GAP
    _check_lines(x, values)
    axes = _Axes(x[0], x[-1], right, size)
    canvas, draw = axes.draw(title, font, [(end, f"{end:g}") for end in dict.fromkeys((x[0], x[-1]))])
    for row, (name, line) in enumerate(values.items()):
        color, y = COLORS[row % len(COLORS)], 36 + 16 * row
        points = [axes.at(*point) for point in zip(x, line, strict=True)]
        draw.line(points, fill=color, width=2, joint="curve")
        for left, top in points:
            draw.rectangle((left - 1.5, top - 1.5, left + 1.5, top + 1.5), fill=color)
        draw.rectangle((right + GAP, y - 3, right + GAP + 7, y + 4), fill=color)
        draw.text((width - legend - GAP, y), _first_line(name, font, legend), fill=color, font=font, anchor="lm")
    return canvas


def plot_bars(values: Sequence[float], labels: Sequence[str], size: tuple[int, int]) -> Image.Image:
    """Plot signed bars, one below the other, each with its label and its number.

    Args:
        values: one a bar.
        labels: a text a bar.
        size: (height, width) in pixels.

    Raises:
        ValueError: another count of labels; a size that no image has.

    Example:
        >>> plot_bars([1.0, -0.5], ["17", "40"], (60, 160)).size
        (160, 60)
    """
    height, width = size
    _check_size(size, 1)
    check_count("labels", len(labels), len(values), "bars")
    canvas, draw = _new_canvas(size)
    font = load_font(min(140, 10 * height // max(1, len(values))))
    texts = [f"{label}  {value:+.3g}" for label, value in zip(labels, values, strict=True)]
    left = max((int(font.getlength(text)) for text in texts), default=0) + GAP
    most = max((abs(value) for value in values), default=0.0)
    zero = left + (width - left - 1) * (0.5 if min(values, default=0.0) < 0 else 0.0)
    for row, (value, text) in enumerate(zip(values, texts, strict=True)):
        top, bottom = (height * (row + share) / len(values) for share in (0.15, 0.85))
        end = zero + (width - 1 - zero) * (value / most if most else 0.0)
        draw.rectangle(
            (min(zero, end), top, max(zero, end), bottom), fill=POSITIVE_COLOR if value >= 0 else NEGATIVE_COLOR
        )
        draw.text((0, (top + bottom) / 2), text, fill=TEXT_COLOR, font=font, anchor="lm")
    return canvas


def plot_lines(x: Sequence[float], values: Lines, title: str, size: tuple[int, int]) -> Image.Image:
    """Plot lines from 0 to 100, each with its name at its end; NaN is left out. Arguments as in `plot_curves`.

    Example:
        >>> plot_lines([0, 1, 2], {"ships": [100, 50, 0]}, "recall", (100, 200)).size
        (200, 100)
    """
    width, font = size[1], load_font(140)
    names = {name: _first_line(name, font, width // 3) for name in values}
    right = width - GAP - int(max((font.getlength(name) for name in names.values()), default=0)) - GAP
    _check_lines(x, values)
    axes = _Axes(x[0], x[-1], right, size)
    canvas, draw = axes.draw(title, font, [(x[0], f"{x[0]:g}"), (x[-1], f"{x[-1]:g}")])
    taken: list[float] = []
    for row, (name, line) in enumerate(values.items()):
        color = COLORS[row % len(COLORS)]
        points = [axes.at(*point) for point in zip(x, line, strict=True) if not math.isnan(point[1])]
        if points:
            draw.line(points, fill=color, width=2, joint="curve")
            end = _find_free_height(points[-1][1], taken)
            draw.text((right + GAP, end), names[name], fill=color, font=font, anchor="lm")
    return canvas


def plot_histogram(values: Sequence[float], own: float, title: str, size: tuple[int, int]) -> Image.Image:
    """Plot a histogram of values up to 100, with a line at one more value.

    Args:
        values: to count.
        own: where the line stands.
        title: above it.
        size: (height, width) in pixels.

    Example:
        >>> plot_histogram([0.0, 0.0, 10.0], 90.0, "drop", (100, 200)).size
        (200, 100)
    """
    lowest = 10 * math.floor(min([*values, own, 0.0]) / 10)
    counts = Counter(math.floor(value / 4) for value in values)
    most = max(counts.values(), default=1)

    axes = _Axes(lowest, 104, size[1] - 12, size)
    canvas, draw = axes.draw(title, load_font(140), [(float(n), str(n)) for n in (lowest, 50, 100)], f"{most}")
    for step, count in counts.items():
        (x0, y0), (x1, y1) = axes.at(4 * step + 0.4, 100 * count / most), axes.at(4 * step + 3.6, 0)
        draw.rectangle((x0, y0, x1, y1), fill=(176, 172, 164))
    (x, low), (_, high) = axes.at(own + 2, 0), axes.at(own + 2, 100)
    draw.line((x, low, x, high), fill=POSITIVE_COLOR, width=3)
    return canvas


@dataclass(frozen=True)
class _Axes:
    """Two axes: numbers from `first` to `last`, the latter at the pixel `right`, and 0 to 100 upward."""

    first: float
    last: float
    right: float
    size: tuple[int, int]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The pixel of a point."""
        span, height = max(self.last - self.first, 1e-12), self.size[0]
        return 36 + (x - self.first) / span * (self.right - 36), height - 26 - y / 100 * (height - 62)

    def draw(self, title: str, font: Any, ticks: Sequence[tuple[float, str]], top: str = "100") -> Drawing:
        """Draw a title, lines at 0, 50 and 100, and numbers below, on a new image."""
        height, width = self.size
        _check_size(self.size, MIN_SIDE)
        canvas, draw = _new_canvas(self.size)
        draw.text((GAP, GAP), _first_line(title, font, width - 2 * GAP), fill=TEXT_COLOR, font=font)
        for share in (0, 50, 100):
            _, y = self.at(self.first, share)
            draw.line((36, y, self.at(ticks[-1][0], 0)[0], y), fill=(228, 224, 216))
        for share, text in ((0, "0"), (100, top)):
            draw.text((32, self.at(self.first, share)[1]), text, fill=TEXT_COLOR, font=font, anchor="rm")
        for place, text in ticks:
            draw.text((self.at(place, 0)[0], height - 20), text, fill=TEXT_COLOR, font=font, anchor="ma")
        return canvas, draw


def _check_size(size: tuple[int, int], least: int) -> None:
    """Raise ValueError where a plot is smaller than its texts, or larger than an image may be."""
    if not all(least <= side <= MAX_SIDE for side in size):
        raise ValueError(f"size is {size}; expected (height, width), each of {least} to {MAX_SIDE:,} pixels")


def _check_lines(x: Sequence[float], values: Lines) -> None:
    """Raise ValueError where a line has not a number for each x, or where there is no x."""
    if not x:
        raise ValueError("x is empty; expected one number or more")
    for name, line in values.items():
        check_count(f"the line {name!r}", len(line), len(x), "numbers x")


def _new_canvas(size: tuple[int, int]) -> Drawing:
    """An empty image of a (height, width), and what draws on it."""
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", size[::-1], BACKGROUND)
    return canvas, ImageDraw.Draw(canvas)


def _first_line(text: str, font: Any, width: int) -> str:
    return next(iter(wrap_text(text, font, width)), "")


def _find_free_height(y: float, taken: list[float]) -> float:
    """The height nearest to y at which a text overlaps no other; it is added to those taken."""
    heights = (y + side * 15 * n for n in range(len(taken) + 2) for side in (-1, 1))
    free = next(height for height in heights if all(abs(height - other) >= 14 for other in taken))
    taken.append(free)
    return free
