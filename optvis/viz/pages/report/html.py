"""The page of a report as one HTML text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optvis.viz.pages.report.charts import TINTS, curves, histogram, scatter
from optvis.viz.pages.report.page import PredictionRow, RecallRow, ReportPage
from optvis.viz.pages.template import build_page

if TYPE_CHECKING:
    from torch import Tensor

STATE_ORDER = ("kept", "gained", "wrong", "lost")  # of the target's images: the unwanted states first; else reversed
Tables = list[tuple[RecallRow, Sequence[tuple[PredictionRow, "Tensor | None"]]]]


def report_html(page: ReportPage) -> str:
    """The page as one HTML text, with its images and style in it: it loads nothing and runs no script."""
    names = [page.target, *(name for name in page.curves.removed if name != page.target)]
    return build_page(
        "report/page.html",
        "report",
        page,
        styles=("footer.css", "report/report.css"),
        names=names,
        tints=TINTS,
        curves=_curves(page, names),
        chance=_chance(page),
        tables=_tables(page),
    )


def _curves(page: ReportPage, names: Sequence[str]) -> list[tuple[str, str]]:
    """Two charts of the recall unit by unit, each with its name."""
    lines = page.curves
    removed, kept = ({name: half[name] for name in names} for half in (lines.removed, lines.kept))
    return [
        ("Removed", curves(lines.counts, removed, lines.removed_confidence, "units off")),
        ("Kept alone", curves(lines.counts, kept, lines.kept_confidence, "units kept, all others off")),
    ]


def _chance(page: ReportPage) -> list[tuple[str, str]]:
    """Charts of the effect of random units, each with its name."""
    random, drop = page.random_sets, page.target_row.drop
    recall = histogram(random.drops, 0.0 if drop is None else drop, f"drop of {page.target}")
    charts = [("Recall: the number of random sets by their drop", recall)]
    if random.log_odds:
        axes = "drop of everything else, nats", f"drop of {page.target}, nats"
        charts.append(("Log-odds, which rarely tie", scatter(random.log_odds, random.own_log_odds, *axes)))
    return charts


def _tables(page: ReportPage) -> Tables:
    """Each set's predictions with their thumbnails, the exceptions first."""
    thumbnails: Sequence[Tensor | None] = [None] * len(page.predictions)
    rows = list(zip(page.predictions, thumbnails if page.thumbnails is None else page.thumbnails, strict=True))
    tables: Tables = []
    for images in page.sets:
        order = STATE_ORDER if images.name == page.target else STATE_ORDER[::-1]
        own = sorted((row for row in rows if row[0].set == images.name), key=lambda row: order.index(row[0].state))
        tables += [(images, own)] if own else []
    return tables
