"""Colours as triples of numbers."""

from __future__ import annotations

from typing import TypeAlias

Color: TypeAlias = tuple[float, float, float]  # red, green, blue in [0, 1]


def mix(first: Color, second: Color, share: float) -> Color:
    """Interpolate linearly: the first colour at share 0, the second at share 1."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def darken(color: Color, share: float = 0.3) -> Color:
    """Mix a share of black into the colour."""
    return mix(color, (0.0, 0.0, 0.0), share)


def lighten(color: Color, share: float = 0.3) -> Color:
    """Mix a share of white into the colour."""
    return mix(color, (1.0, 1.0, 1.0), share)
