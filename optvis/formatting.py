"""Numbers and tables as text for people: percentages and intervals with a real minus sign, aligned columns, HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NUMBER = re.compile(r"[+\-−]?\d[\d,.]*(e[+\-]?\d+)?( ?%| (s|min|h|days))?|–")  # a cell of a column of numbers
DIGITS = 3  # significant ones that pages show


def format_percent(value: float | None) -> str:
    """A share as a percentage.

    >>> format_percent(0.125), format_percent(-0.5), format_percent(None)
    ('12.5 %', '−50.0 %', '–')
    """
    return "–" if value is None else f"{100 * value:.1f} %".replace("-", "−")


def format_interval(value: float | None, low: float | None, high: float | None) -> str:
    """A share as a percentage, and its interval where there is one.

    >>> format_interval(0.5, 0.25, 1.0), format_interval(0.5, -0.25, 1.0), format_interval(0.5, None, None)
    ('50.0 % (25–100)', '50.0 % (−25 to 100)', '50.0 %')
    """
    if low is None or high is None:
        return format_percent(value)
    ends = (f"{100 * end:.0f}".replace("-", "−") for end in (low + 0.0, high + 0.0))
    return f"{format_percent(value)} ({'–'.join(ends) if low >= 0 else ' to '.join(ends)})"


def format_change(value: float, decimals: int = 2) -> str:
    """A change with its sign, and none where it is zero in so many decimals.

    >>> format_change(-2.5), format_change(-0.004), format_change(0.31, 1)
    ('−2.50', '0.00', '+0.3')
    """
    sign, digits = f"{value:+.{decimals}f}"[0], f"{abs(value):.{decimals}f}"
    return digits if float(digits) == 0 else f"{sign}{digits}".replace("-", "−")


def format_count(count: int, noun: str) -> str:
    """A number of things in words.

    >>> format_count(1, "image"), format_count(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_number(value: float, signed: bool = False) -> str:
    """Write a number in the precision that pages show.

    >>> format_number(-0.01234, signed=True)
    '−0.0123'
    """
    return f"{value:{'+' if signed else ''}.{DIGITS}g}".replace("-", "−")


def round_values(a: Tensor) -> list[float]:
    """All numbers of a tensor in the precision that pages show."""
    return [float(f"{value:.{DIGITS}g}") for value in a.detach().flatten().tolist()]


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
