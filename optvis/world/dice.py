"""Everything that a scene leaves to chance, from one seeded stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Colour: TypeAlias = tuple[float, float, float]  # red, green, blue in [0, 1]
T = TypeVar("T")


class Dice:
    """A stream of draws, the same for the same key on every machine with the same numpy."""

    def __init__(self, *key: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.generator.random()

    def around(self, value: float, share: float) -> float:
        """A number within a share of the value, either way."""
        return value * self.between(1 - share, 1 + share)

    def whole(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + int(self.generator.random() * (high - low + 1))

    def chance(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self.generator.random() * len(choices))]

    def near(self, colour: Colour, spread: float = 0.06) -> Colour:
        """A colour like the given one: lighter or darker, and a little off in hue."""
        light, *tint = (self.generator.random(4) - 0.5).tolist()
        red, green, blue = (
            min(1.0, max(0.0, part * (1 + 3 * spread * light) + spread * off))
            for part, off in zip(colour, tint, strict=True)
        )
        return red, green, blue

    def field(self, rows: int, columns: int, reach: float = 1.0) -> NDArray[np.float32]:
        """Coarse noise (rows, columns) in [-reach, reach]."""
        return (self.generator.random((rows, columns), dtype=np.float32) * 2 - 1) * np.float32(reach)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """The way from the first colour to the second, `share` of it gone."""
    red, green, blue = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return red, green, blue


def darker(colour: Colour, share: float = 0.3) -> Colour:
    return mixed(colour, (0.0, 0.0, 0.0), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    return mixed(colour, (1.0, 1.0, 1.0), share)
