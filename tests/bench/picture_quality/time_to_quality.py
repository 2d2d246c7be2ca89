"""Judged top-5 against steps and seconds: each number of steps is a run of its own, in turn for all recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
                steps = plans[name][turn]
                row = measure_recipe(bench, name, replace(recipe, steps=steps), seed)
                curves[name].append(Point(steps, row.values["seconds"], judged(row)))
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
    """For each recipe and each recipe's best top-5: the seconds to half of it, and to all of it."""
    lines = ["| recipe | seconds to | half | all |", "| --- | --- | --- | --- |"]
    for name, points in curves.items():
        for other, others in curves.items():
            best = max(point.quality for point in others)
            cells = [_format(time_to(points, best * share)) for share in (0.5, 1.0)]
            lines.append(f"| {name} | top-5 {best:.2f}, the best of {other} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _format(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f}"
