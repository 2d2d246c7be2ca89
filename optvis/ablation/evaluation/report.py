"""A report on units that were switched off: numbers, and how they are shown and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from optvis.ablation.evaluation.findings import Answer, Chance, Curve, Estimate, Tally
from optvis.ablation.evaluation.report_text import by_chance, title, to_text
from optvis.data.files import atomic_write, ensure_dir
from optvis.viz.pages.report.markup import to_html
from optvis.viz.pages.report.page import Interval, PredictionRow, RandomSets, RecallCurves, RecallRow, ReportPage
from optvis.viz.plots import plot_histogram, plot_lines
from optvis.viz.sheet import encode_png, stack_rows

if TYPE_CHECKING:
    from PIL import Image

FRAME = (640, 1100)  # height and width in pixels of the page inside a notebook's cell
PANEL = (300, 440)  # of each panel of the plot


@dataclass(frozen=True, eq=False)
class Report:
    """What a network loses without some units, and what it keeps; prints as tables, shows itself in a notebook.

    Args:
        target: the set whose fall is wanted.
        truths: the classes that its images show.
        answers: for each image, set by set, what it is called before and after.
        sets: how each set falls.
        classes: how each class falls, over all sets.
        curve: recall with more and more units off, and with only those kept.
        chance: what random units do.
        warnings: what makes the numbers say less than they seem to.
        recipe: everything that made them, in JSON's types.
        thumbnails: the images, small, (B, 3, h, w) in [0, 1]; None where the report was read from JSON.
    """

    target: str
    truths: tuple[str, ...]
    answers: tuple[Answer, ...]
    sets: tuple[Tally, ...]
    classes: tuple[Tally, ...]
    curve: Curve
    chance: Chance
    warnings: tuple[str, ...]
    recipe: Mapping[str, Any]
    thumbnails: Tensor | None = field(default=None, repr=False)

    @property
    def targeted(self) -> Tally:
        """How the target falls."""
        return next(one for one in self.sets if one.name == self.target)

    @property
    def collateral(self) -> tuple[Tally, ...]:
        """How every class falls that the target does not show: the worst first."""
        others = [one for one in self.classes if one.name not in self.truths]
        return tuple(sorted(others, key=lambda one: [-(fall.value or 0.0) for fall in (one.drop, one.odds)]))

    @property
    def worst(self) -> Tally | None:
        """The class that suffers most beside the target; None where there is no other."""
        return next(iter(self.collateral), None)

    def plot(self) -> Image.Image:
        """Recall over the number of units, removed and alone kept, and how far random sets bring the target."""
        panels = [
            plot_lines(self.curve.counts, _values(lines), title, PANEL)
            for lines, title in (
                (self.curve.removed, "recall with units off, %"),
                (self.curve.kept, "recall with those alone kept, %"),
            )
        ]
        fall, drops = self.targeted.drop.value, self.chance.drops
        title = f"{len(drops)} random sets: fall of {self.target}, points"
        return stack_rows(
            [[*panels, plot_histogram([100 * drop for drop in drops], 100 * _number(fall), title, PANEL)]]
        )

    def page(self) -> ReportPage:
        """The numbers and texts of the report's page."""
        return ReportPage(
            title(self),
            self.target,
            tuple(map(_recall_row, self.sets)),
            tuple(map(_recall_row, self.collateral)),
            self._recall_curves(),
            self._random_sets(),
            tuple(PredictionRow(**vars(one), state=one.state) for one in self.answers),
            self.warnings,
            self.recipe,
            self.thumbnails,
        )

    def html(self) -> str:
        """A page of its own, which loads nothing and runs nothing."""
        return to_html(self.page())

    def _recall_curves(self) -> RecallCurves:
        curve = self.curve
        removed, kept = ({name: _intervals(row) for name, row in half.items()} for half in (curve.removed, curve.kept))
        confidence = (_intervals(half[self.target]) for half in (curve.removed_confidence, curve.kept_confidence))
        return RecallCurves(curve.counts, removed, kept, *confidence)

    def _random_sets(self) -> RandomSets:
        chance = self.chance
        log_odds = tuple(zip(chance.others, chance.odds, strict=True)) if chance.others else ()
        own = chance.others_without, self.targeted.odds.value or 0.0
        return RandomSets(chance.drops, chance.p_drop, log_odds, own, by_chance(self))

    def json(self) -> str:
        """All numbers and texts, without pictures."""
        told = asdict(_without_pictures(self))
        del told["thumbnails"]
        return json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """What `json` told, without pictures.

        Raises:
            ValueError: it is none of ours.
        """
        try:
            told = json.loads(text)
            return cls(
                told["target"],
                tuple(told["truths"]),
                tuple(Answer(**one) for one in told["answers"]),
                tuple(Tally.of(one) for one in told["sets"]),
                tuple(Tally.of(one) for one in told["classes"]),
                Curve.of(told["curve"]),
                Chance.of(told["chance"]),
                tuple(told["warnings"]),
                told["recipe"],
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"this is no report of optvis: {error}") from error

    def save(self, folder: str | Path) -> Path:
        """Write report.json, report.txt, report.png and report.html, each whole or not at all; returns the folder.

        Args:
            folder: made if need be.

        Raises:
            OSError: it cannot be made or written.
        """
        told = self.json()
        files = {
            "report.json": told.encode(),
            "report.txt": f"{self}\n".encode(),
            "report.png": encode_png(self.plot(), json.dumps(dict(self.recipe))),
            "report.html": self.html().encode(),
        }
        place = ensure_dir(folder)
        for name, data in files.items():
            atomic_write(place / name, data)
        return place

    def __str__(self) -> str:
        return to_text(self)

    def __repr__(self) -> str:
        return f"Report({self.target!r}, {len(self.answers)} images, {len(self.chance.drops)} random sets)"

    def _repr_html_(self) -> str:
        height, width = FRAME
        return (
            f'<iframe srcdoc="{escape(self.html())}" sandbox title="report" '
            f'style="width: 100%; max-width: {width}px; height: {height}px; border: 0"></iframe>'
        )


def _recall_row(tally: Tally) -> RecallRow:
    (after,) = _intervals([tally.after])
    return RecallRow(tally.name, tally.images, tally.before.value, after, tally.drop.value)


def _intervals(row: Sequence[Estimate]) -> list[Interval]:
    return [Interval(one.value, one.low, one.high) for one in row]


def _without_pictures(report: Report) -> Report:
    return replace(report, recipe=dict(report.recipe), thumbnails=None)


def _values(lines: Mapping[str, Any]) -> dict[str, list[float]]:
    return {name: [100 * _number(one.value) for one in row] for name, row in lines.items()}


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


__all__ = ["Report"]
