"""The report of an evaluation: shown as text, plot and page, saved and loaded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from optvis.ablation.evaluation.predictions import Prediction
from optvis.ablation.evaluation.probes import LayerProbe, Relearning
from optvis.ablation.evaluation.report_text import (
    UnitsRecord,
    baseline_sentences,
    format_predictions,
    format_report,
    probe_sentences,
    report_title,
)
from optvis.ablation.evaluation.results import EvaluationResults, RandomBaseline, SetMetrics, UnitCurve
from optvis.arguments import check_count, describe_value
from optvis.data.own_files import KIND, TEXT_KIND
from optvis.data.schema import parse_json, read_value
from optvis.formatting import format_count
from optvis.viz.distributions import plot_counts
from optvis.viz.pages.report.html import report_html
from optvis.viz.pages.report.page import PredictionRow, RandomSets, RecallCurves, RecallRow, ReportPage
from optvis.viz.pages.report.panels import plot_report
from optvis.viz.pages.template import frame_page
from optvis.viz.result import PlotResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE_KIND = "report page"  # what `read_kind` reads from report.html
FILE = "report.png"  # and .json, .txt, .html, .safetensors beside it
MAX_CLASSES = 16  # in a confusion matrix; the others are one row and one column
OTHER = "other classes"


@dataclass(frozen=True, eq=False, repr=False)
class Report(EvaluationResults, PlotResult):
    """What a network loses without some units, and what it keeps; prints a summary, shows a page in a notebook.

    Args:
        target: name of the set whose recall should drop.
        target_labels: the classes that its images show.
        predictions: before and after, for each image, set by set.
        sets: metrics of each set.
        classes: metrics of each class, over all sets.
        curve: recall with more and more units off, and with only those kept.
        baseline: what random units do.
        warnings: what limits the numbers.
        recipe: everything that computed them, in JSON types.
        thumbnails: of the images, (B, 3, h, w) in [0, 1]; None in a report that was read from JSON.
        probes: how well the target is read from each layer; empty where `evaluate` had no `probes`.
        relearning: how soon fine-tuning brings it back; None where that was not measured.
    """

    KIND = "evaluation report"
    TENSOR_FIELDS: ClassVar = {"thumbnails": "B 3 h w"}
    TEXT_FIELDS = ("target",)
    JSON_FIELDS: ClassVar = {
        "target_labels": tuple[str, ...],
        "predictions": tuple[Prediction, ...],
        "sets": tuple[SetMetrics, ...],
        "classes": tuple[SetMetrics, ...],
        "curve": UnitCurve,
        "baseline": RandomBaseline,
        "warnings": tuple[str, ...],
        "probes": tuple[LayerProbe, ...],
        "relearning": Relearning | None,
    }
    RECIPE_FIELDS: ClassVar = {"network": str, "units": tuple[UnitsRecord, ...]}

    def _check(self, sizes: Mapping[str, int]) -> None:
        curve, baseline, names = self.curve, self.baseline, [one.name for one in self.sets]
        if self.target not in names:
            raise ValueError(
                f"no set is the target, {describe_value(self.target)}; expected one of {describe_value(names)}"
            )
        for lines in (curve.removed, curve.kept, curve.removed_confidence, curve.kept_confidence):
            for name in names:
                check_count(f"the curve of {name!r}", len(lines.get(name, ())), len(curve.counts), "numbers of units")
        check_count("log_odds_drops", len(baseline.log_odds_drops), len(baseline.drops), "random sets")
        if baseline.other_log_odds_drops:
            check_count("other_log_odds_drops", len(baseline.other_log_odds_drops), len(baseline.drops), "random sets")
        if self.thumbnails is not None:
            check_count("predictions", len(self.predictions), sizes["B"], "thumbnails")

    def figure(self, ax: Axes | None = None) -> Figure:
        """Recall over the number of units, removed and alone kept, and how far random sets bring the target down.

        Args:
            ax: axes for recall with units off alone; by default all plots stand in a new figure.
        """
        return plot_report(self.page(), ax)

    def confusion_figure(self, ax: Axes | None = None, *, before: bool = False) -> Figure:
        """How many images of each class are predicted as which, without the units: a confusion matrix.

        Args:
            ax: axes to draw on; those of a new figure by default.
            before: count the predictions with all units instead.

        Raises:
            ValueError: the report has no images.
        """
        pairs = [(one.truth, one.before if before else one.after) for one in self.predictions]
        seen = Counter(name for pair in pairs for name in pair)
        named = [*self.target_labels, *(name for name, _ in seen.most_common() if name not in self.target_labels)]
        shown = [name for name in named if seen[name]][:MAX_CLASSES]
        names = shown + [OTHER] * (len(seen) > len(shown))
        cells = Counter(tuple(name if name in shown else OTHER for name in pair) for pair in pairs)
        counts = [[cells[truth, predicted] for predicted in names] for truth in names]
        title = f"What is predicted {'with all units' if before else 'without the units'}?"
        return plot_counts(counts, names, names, title=title, units=("predicted", "true"), ax=ax)

    def html(self) -> str:
        """A page in one file, which loads nothing and runs nothing."""
        return report_html(self.page())

    def page(self) -> ReportPage:
        """The numbers and texts of the report's page."""
        return ReportPage(
            report_title(self),
            self.target,
            tuple(map(_recall_row, self.sets)),
            tuple(map(_recall_row, self.collateral)),
            self._recall_curves(),
            self._random_sets(),
            tuple(map(_prediction_row, self.predictions)),
            self.warnings,
            self.recipe,
            self.thumbnails,
        )

    def _recall_curves(self) -> RecallCurves:
        curve = self.curve
        confidence = curve.removed_confidence[self.target], curve.kept_confidence[self.target]
        return RecallCurves(curve.counts, curve.removed, curve.kept, *confidence)

    def _random_sets(self) -> RandomSets:
        baseline = self.baseline
        others = baseline.other_log_odds_drops
        log_odds = tuple(zip(others, baseline.log_odds_drops, strict=True)) if others else ()
        own = baseline.other_log_odds_drop, self.target_metrics.log_odds_drop.value or 0.0
        sentences = baseline_sentences(self) + probe_sentences(self)
        return RandomSets(baseline.drops, baseline.p_drop, log_odds, own, sentences)

    def json(self) -> str:
        """All numbers and texts, without images."""
        values = {KIND: self.KIND, "target": self.target, **self._json_values(), "recipe": dict(self.recipe)}
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False, default=asdict)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Build a report from what `json` returns; it has no thumbnails.

        Raises:
            ValueError: the text is something else.
        """
        try:
            values = read_value(Mapping[str, Any], parse_json(text))
            hints = {**cls.JSON_FIELDS, "target": str}
            fields = {name: read_value(hint, values[name], name) for name, hint in hints.items()}
            return cls(**fields, recipe=cls._read_recipe(values["recipe"]))
        except (KeyError, ValueError) as error:
            reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
            raise ValueError(f"this is no report of optvis: {reason}") from error

    def save(self, folder: str | Path) -> Path:
        """Write report.png, report.safetensors, report.json, report.txt and report.html, each atomically.

        The folder is created if it is missing, and returned.

        Raises:
            FileExistsError: one of the files exists and is no report's.
            OSError: the folder cannot be created or written.
        """
        return super().save(Path(folder) / FILE).parent

    @classmethod
    def check_target(cls, folder: str | Path) -> None:
        super().check_target(Path(folder) / FILE)

    @classmethod
    def _kinds(cls, target: Path) -> dict[Path, str]:
        texts = {target.with_suffix(suffix): cls.KIND for suffix in (".json", ".txt")}
        return super()._kinds(target) | texts | {target.with_suffix(".html"): PAGE_KIND}

    def _files(self, target: Path) -> dict[Path, tuple[str, bytes]]:
        text = f"{self}\n\n{self.table()}\n\n{TEXT_KIND}{self.KIND}\n"
        texts = {".json": self.json(), ".txt": text, ".html": self.html()}
        kinds = self._kinds(target)
        # Half of a surrogate pair, as in names of files that are no text, is written as JSON writes it: \udce9.
        paths = {target.with_suffix(suffix): text.encode(errors="backslashreplace") for suffix, text in texts.items()}
        return super()._files(target) | {path: (kinds[path], data) for path, data in paths.items()}

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote to a folder.

        Raises:
            FileNotFoundError: there is no file report.safetensors in it.
            ValueError: the file is damaged, or holds something else.
        """
        return super().load(Path(folder) / FILE)

    def table(self) -> str:
        """The prediction for each image before and after, set by set, as text."""
        return format_predictions(self)

    def __str__(self) -> str:
        return format_report(self)

    def __repr__(self) -> str:
        counts = format_count(len(self.predictions), "image"), format_count(len(self.baseline.drops), "random set")
        return f"Report({self.target!r}, {', '.join(counts)})"

    def _repr_html_(self) -> str:
        return frame_page(self.html(), "report", 640)


def _prediction_row(prediction: Prediction) -> PredictionRow:
    values = {name: value for name, value in vars(prediction).items() if name != "margin"}
    return PredictionRow(**values, state=prediction.state)


def _recall_row(metrics: SetMetrics) -> RecallRow:
    return RecallRow(metrics.name, metrics.images, metrics.before.value, metrics.after, metrics.drop.value)
