"""Confidence intervals of shares of predictions."""

from __future__ import annotations

import math
from statistics import NormalDist

LEVEL = 0.95  # how often an interval holds what it estimates


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """The ends of the 95 % interval of a share, in [0, 1] (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Args:
        hits: how many were counted, 0 to `count`.
        count: of how many, 1 or more.

    Example:
        >>> wilson_interval(9, 10)
        (0.5958..., 0.9821...)
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    middle, half = hits + z**2 / 2, z * math.sqrt(hits * (count - hits) / count + z**2 / 4)
    low, high = ((middle + sign * half) / (count + z**2) for sign in (-1, 1))
    return (low if hits else 0.0), (high if hits < count else 1.0)
