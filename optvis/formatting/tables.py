"""Tables for people: aligned columns of text, and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

NUMBER = re.compile(r"[+\-−]?\d[\d,.]*(e[+\-]?\d+)?( ?%| (s|min|h|days))?|–")  # a cell of a column of numbers


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as text: each column as wide as its widest cell, texts on the left and numbers on the right.

    Args:
        head: the first row.
        rows: the other rows, of the same length.

    Example:
        >>> print(format_table(("unit", "change"), [("channel 3", "-0.5"), ("channel 17", "-12.0")]))
        unit        change
        channel 3     -0.5
        channel 17   -12.0
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    are_numbers = _find_numbers(head, rows)
    lines = (
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, are_numbers, strict=True)
        )
        for row in (head, *rows)
    )
    return "\n".join(line.rstrip() for line in lines)


def _find_numbers(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[bool]:
    """Which columns hold numbers alone."""
    columns = [list(filter(None, column)) for column in zip(*rows, strict=True)] if rows else [[] for _ in head]
    return [bool(column) and all(map(NUMBER.fullmatch, column)) for column in columns]


def format_html_table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table as HTML, with texts on the left and numbers on the right; all texts are escaped.

    >>> format_html_table(("a", "b"), [("1", "<2>")])  # doctest: +ELLIPSIS
    '<table><tr><th style="text-align:right">a</th>...<td style="text-align:left">&lt;2&gt;</td></tr></table>'
    """
    sides = ["right" if is_number else "left" for is_number in _find_numbers(head, rows)]  # notebooks have it otherwise
    tagged = [("th", head), *(("td", row) for row in rows)]
    lines = (
        "".join(
            f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
            for cell, side in zip(row, sides, strict=True)
        )
        for tag, row in tagged
    )
    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{above}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
