"""Numbers and tables as text for people: percentages and intervals with a real minus sign, aligned columns, HTML."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

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


def format_number(value: float, signed: bool = False) -> str:
    """Write a number in the precision that pages show.

    >>> format_number(-0.01234, signed=True)
    '−0.0123'
    """
    return f"{value:{'+' if signed else ''}.{DIGITS}g}".replace("-", "−")


def round_values(a: Tensor) -> list[float]:
    """All numbers of a tensor in the precision that pages show."""
    return [float(f"{value:.{DIGITS}g}") for value in a.detach().flatten().tolist()]


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """A table as text; each column is as wide as its widest cell.

    Args:
        head: the first row.
        rows: the other rows, of the same length.
        right: indices of the columns that are aligned to the right.

    Example:
        >>> print(format_table(("unit", "change"), [("channel 3", "-0.5"), ("channel 17", "-12.0")], right=(1,)))
        unit        change
        channel 3     -0.5
        channel 17   -12.0
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    )
    return "\n".join(line.rstrip() for line in lines)


def format_html_table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table as HTML; all texts are escaped.

    >>> format_html_table(("a", "b"), [("1", "<2>")])
    '<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>&lt;2&gt;</td></tr></table>'
    """
    tagged = [("th", head), *(("td", row) for row in rows)]
    lines = ("".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) for tag, row in tagged)
    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{above}{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
