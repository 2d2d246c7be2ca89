"""A number that was estimated from images, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optvis.formatting.numbers import format_percent


@dataclass(frozen=True)
class Estimate:
    """A mean over images; prints as a percentage.

    Args:
        value: the mean; None without images.
        low: lower end of its 95 % interval; None with too few images.
        high: upper end.

    Example:
        >>> print(Estimate(0.5, 0.25, 1.0), Estimate(0.5, -0.25, 1.0), Estimate(0.5), sep=", ")
        50.0 % (25–100), 50.0 % (−25 to 100), 50.0 %
    """

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def percent(self) -> float:
        """The value in percent; NaN without images."""
        return math.nan if self.value is None else 100 * self.value

    @property
    def percent_ends(self) -> tuple[float, float]:
        """The ends of the interval in percent; NaN where there is none."""
        return (math.nan, math.nan) if self.low is None or self.high is None else (100 * self.low, 100 * self.high)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return format_percent(self.value)
        ends = (f"{100 * end:.0f}".replace("-", "−") for end in (self.low + 0.0, self.high + 0.0))
        return f"{format_percent(self.value)} ({'–'.join(ends) if self.low >= 0 else ' to '.join(ends)})"
