"""Numbers as text for people: percentages and intervals with a real minus sign."""

from __future__ import annotations


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


__all__ = ["format_interval", "format_percent"]
