"""The page of a report as one HTML text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optvis.viz.figures import svg_uri
from optvis.viz.pages.report.page import PredictionRow, RecallRow, ReportPage
from optvis.viz.pages.report.panels import plot_kept, plot_random_log_odds, plot_random_recall, plot_removed
from optvis.viz.pages.template import build_page

if TYPE_CHECKING:
    from torch import Tensor

STATE_ORDER = ("kept", "gained", "wrong", "lost")  # of the target's images: the unwanted states first; else reversed
Tables = list[tuple[RecallRow, Sequence[tuple[PredictionRow, "Tensor | None"]]]]


def report_html(page: ReportPage) -> str:
    """The page as one HTML text, with its images and style in it: it loads nothing and runs no script."""
    curves = [(plot_removed, "Recall with the first units off"), (plot_kept, "Recall with those units alone kept")]
    chance = [(plot_random_recall, "The number of random sets by their drop of recall")]
    chance += [(plot_random_log_odds, "Drops of log-odds by random sets")] if page.random_sets.log_odds else []
    return build_page(
        "report/page.html",
        "report",
        page,
        styles=("footer.css", "report/report.css"),
        curves=[(svg_uri(plot(page)), words) for plot, words in curves],
        chance=[(svg_uri(plot(page)), words) for plot, words in chance],
        tables=_tables(page),
    )


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
