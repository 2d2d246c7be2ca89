"""Plots with words on more than one side: tables of pictures and curves that need a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optvis.sheet import GAP, INK, PAPER, _first_line, _font

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


__all__ = ["named_rows_and_columns"]
