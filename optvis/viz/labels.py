"""Labels around an image that is a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optvis.viz.sheet import BACKGROUND, GAP, TEXT_COLOR, fit_label, load_font

if TYPE_CHECKING:
    from PIL import ImageFont
    from PIL.Image import Image as Picture

MAX_MARGIN = 220  # pixels of the labels of rows


def label_table(image: Picture, rows: Sequence[str], columns: Sequence[str]) -> Picture:
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
    from PIL import Image, ImageDraw

    font = load_font(110)
    lines = [_first_line(text, font, MAX_MARGIN) for text in rows]
    longest = max((int(font.getlength(line)) + 1 for line in lines), default=0)
    left = GAP + (min(longest, MAX_MARGIN) + GAP if rows else 0)
    top = GAP + (sum(map(int, font.getmetrics())) if columns else 0)
    canvas = Image.new("RGB", (left + image.width + GAP, top + image.height + GAP), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    canvas.paste(image, (left, top))
    for index, line in enumerate(lines):
        y = top + image.height * (index + 0.5) / len(rows)
        draw.text((left - GAP, y), line, fill=TEXT_COLOR, font=font, anchor="rm")
    for index, text in enumerate(columns):
        x = left + image.width * (index + 0.5) / len(columns)
        line = _first_line(text, font, image.width // len(columns))
        draw.text((x, top - 1), line, fill=TEXT_COLOR, font=font, anchor="mb")
    return canvas


def _first_line(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    return next(iter(fit_label(text, font, width, 1)), "")
