"""The random draws of a scene, all from one seeded stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from optvis.world.drawing.colors import Color

T = TypeVar("T")


class RandomDraws:
    """A stream of random draws: the same key gives the same stream on every machine with the same numpy.

    Args:
        key: integers, 0 or more, that seed the stream.
    """

    def __init__(self, *key: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def uniform(self, low: float, high: float) -> float:
        """Draw a number in [low, high)."""
        return low + (high - low) * self.generator.random()

    def integer(self, low: int, high: int) -> int:
        """Draw an integer from low to high, both included."""
        return low + int(self.generator.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """Draw True with this probability."""
        return bool(self.generator.random() < probability)

    def choose(self, choices: Sequence[T]) -> T:
        """Draw one of the choices, each equally likely."""
        return choices[int(self.generator.random() * len(choices))]

    def vary(self, color: Color, spread: float = 0.06) -> Color:
        """Change the brightness of a colour at random, and a little its hue."""
        light, *tint = (self.generator.random(4) - 0.5).tolist()
        red, green, blue = (
            min(1.0, max(0.0, part * (1 + 3 * spread * light) + spread * off))
            for part, off in zip(color, tint, strict=True)
        )
        return red, green, blue

    def shade(self, colors: Sequence[Color]) -> Color:
        """Draw one of the colours, and vary it."""
        return self.vary(self.choose(colors))

    def noise(self, rows: int, columns: int, amplitude: float = 1.0) -> NDArray[np.float32]:
        """Draw uniform noise (rows, columns) in [-amplitude, amplitude)."""
        return (self.generator.random((rows, columns), dtype=np.float32) * 2 - 1) * np.float32(amplitude)
