"""Plots with words on more than one side: tables of pictures and curves that need a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from optvis.sheet import COLOURS, GAP, INK, PAPER, _first_line, _font, _frame

if TYPE_CHECKING:
    from PIL import Image

MARGIN_MOST = 220  # pixels that the names of rows may take


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


__all__ = ["curves", "named_rows_and_columns"]
