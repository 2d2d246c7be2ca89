"""Judged top-5 against steps and seconds: each number of steps is a run of its own, in turn for all recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .recipes import Recipe
from .table import TOP, Bench, Row, measure_recipe

FIRST = 8  # steps of the shortest run


@dataclass(frozen=True)
class Point:
    """What a run of so many steps came to: seconds, and the judges' mean top-5."""

    steps: int
    seconds: float
    quality: float

    def __str__(self) -> str:
        return f"{self.steps:>5} steps {self.seconds:8.1f} s  top-5 {self.quality:.2f}"


def doubled_steps(most: int, first: int = FIRST) -> tuple[int, ...]:
    """8, 16, 32, … and the most, the longest first: long runs warm the machine up for the short ones."""
    steps = [most]
    while steps[-1] > first:
        steps.append(-(-steps[-1] // 2))
    return tuple(steps)


def measure_curves(bench: Bench, recipes: Mapping[str, Recipe], seed: int = 0) -> dict[str, list[Point]]:
    """For each recipe a point for each number of steps; recipes take turns, so that they meet the same load."""
    plans = {name: doubled_steps(recipe.steps) for name, recipe in recipes.items()}
    curves: dict[str, list[Point]] = {name: [] for name in recipes}
    for turn in range(max(map(len, plans.values()))):
        for name, recipe in recipes.items():
            if turn < len(plans[name]):
                row = measure_recipe(bench, name, recipe, seed, plans[name][turn])
                curves[name].append(Point(plans[name][turn], row.values["seconds"], judged(row)))
                print(f"{name:<14}{curves[name][-1]}", flush=True)
    return {name: sorted(points, key=lambda point: point.seconds) for name, points in curves.items()}


def judged(row: Row) -> float:
    """The judges' mean top-5."""
    shares = [value for column, value in row.values.items() if column.endswith(f"top-{TOP}")]
    return sum(shares) / len(shares)


def time_to(points: Sequence[Point], quality: float) -> float | None:
    """Seconds of the fastest run that reaches a quality; None if none does."""
    return min((point.seconds for point in points if point.quality >= quality), default=None)


def compare(curves: Mapping[str, Sequence[Point]]) -> str:
    """For each pair of recipes: seconds to half of the first's best top-5, and to the best of the other."""
    lines = []
    for name, points in curves.items():
        best = max(point.quality for point in points)
        half, whole = time_to(points, best / 2), time_to(points, best)
        lines.append(f"{name:<14} best top-5 {best:.2f} after {whole:.1f} s; half of it after {half:.1f} s")
        for other, others in curves.items():
            reached = time_to(points, max(point.quality for point in others)) if other != name else None
            if reached is not None:
                theirs = time_to(others, max(point.quality for point in others))
                assert theirs is not None
                lines.append(f"{'':<14} as good as the best of {other} after {reached:.1f} s, {theirs / reached:.1f}×")
    return "\n".join(lines)
