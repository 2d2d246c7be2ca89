"""The plots of a report, each on axes of its own: of the page, and of the report's figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from optvis.formatting import Estimate
from optvis.viz.charts import plot_lines
from optvis.viz.distributions import plot_histogram, plot_scatter
from optvis.viz.figures import PANEL, caption_figure, house_style, new_figure
from optvis.viz.pages.report.page import ReportPage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panel = Callable[[ReportPage, "Axes | None"], "Figure"]


def plot_removed(page: ReportPage, ax: Axes | None = None) -> Figure:
    """Recall with the first units off, and dotted the mean confidence in the target."""
    lines = page.curves
    return _plot_curves(page, lines.removed, lines.removed_confidence, "Recall with units off", "units off", ax)


def plot_kept(page: ReportPage, ax: Axes | None = None) -> Figure:
    """The same with all other units of their layers off."""
    lines = page.curves
    title, unit = "Recall with those units alone kept", "units kept, all others off"
    return _plot_curves(page, lines.kept, lines.kept_confidence, title, unit, ax)


def plot_random_recall(page: ReportPage, ax: Axes | None = None) -> Figure:
    """How far random sets of units bring the target's recall down."""
    random, drop = page.random_sets, page.target_row.drop
    title = f"Recall: {len(random.drops)} random sets by their drop"
    unit = f"drop of {page.target}, points of recall"
    return plot_histogram([100 * one for one in random.drops], 100 * (drop or 0.0), title=title, unit=unit, ax=ax)


def plot_random_log_odds(page: ReportPage, ax: Axes | None = None) -> Figure:
    """How far random sets bring the log-odds of the target down, and of everything else."""
    random = page.random_sets
    units = "drop of everything else, nats", f"drop of {page.target}, nats"
    return plot_scatter(random.log_odds, random.own_log_odds, title="Log-odds, which rarely tie", units=units, ax=ax)


def plot_report(page: ReportPage, ax: Axes | None = None) -> Figure:
    """All panels, two in a row; on given axes the first alone."""
    if ax is not None:
        return plot_removed(page, ax)
    panels: list[Panel] = [plot_removed, plot_kept, plot_random_recall]
    panels += [plot_random_log_odds] if page.random_sets.log_odds else []
    with house_style():
        figure = new_figure((2 * PANEL[0], 2 * PANEL[1] + 0.4))
        for axes, panel in zip(figure.subplots(2, 2).flat, panels, strict=False):
            panel(page, axes)
        for axes in figure.axes[len(panels) :]:
            axes.remove()
        caption_figure(figure, page.title)
    return figure


def _plot_curves(
    page: ReportPage,
    curves: Mapping[str, Sequence[Estimate]],
    confidence: Sequence[Estimate],
    title: str,
    unit: str,
    ax: Axes | None,
) -> Figure:
    names = [page.target, *(name for name in curves if name != page.target)]
    lines = {name: [one.percent for one in curves[name]] for name in names}
    bands = {name: [one.percent_ends for one in curves[name]] for name in names}
    dotted = {page.target: [one.percent for one in confidence]}
    return plot_lines(page.curves.counts, lines, title=title, unit=unit, bands=bands, dotted=dotted, ax=ax)
