"""Numbers as text for people: percentages, changes and counts, with a real minus sign."""

from __future__ import annotations

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
