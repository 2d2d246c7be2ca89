"""Schedules: functions of the step that multiply a weight. Any function step -> number is one; here are two."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class After:
    """A weight of 0 before a step and 1 from it on: `objective * After(100)`.

    Args:
        step: the first step with weight 1; steps count from 0.

    Raises:
        ValueError: a negative step.

    Example:
        >>> [After(2)(step) for step in range(4)]
        [0.0, 0.0, 1.0, 1.0]
    """

    step: int

    def __post_init__(self) -> None:
        if not self.step >= 0:
            raise ValueError(f"After({self.step!r}): expected the index of a step, 0 or more")

    def __call__(self, step: int) -> float:
        return float(step >= self.step)


@dataclass(frozen=True)
class Decay:
    """A weight of `rate` ** step.

    Args:
        rate: more than 0. Under 1 the weight decays, and 0.5 ** (1 / n) halves it every n steps; over 1 it grows.

    Raises:
        ValueError: a rate that is not positive.

    Example:
        >>> [Decay(0.5)(step) for step in range(4)]
        [1.0, 0.5, 0.25, 0.125]
    """

    rate: float

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"Decay({self.rate!r}): expected a rate over 0, e.g. 0.99")

    def __call__(self, step: int) -> float:
        return float(self.rate) ** step
