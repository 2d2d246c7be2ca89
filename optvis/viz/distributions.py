"""Charts of many numbers on the axes of matplotlib: histograms, scatter plots, tables of counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optvis.arguments import check_count
from optvis.viz.figures import (
    FONT_SIZE,
    LABEL_WIDTH,
    PANEL,
    POSITIVE,
    QUIET,
    RULE,
    add_title,
    as_columns,
    draw_on,
    figure_of,
    fit_text,
    name_axis,
    set_labels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BIN = 4.0  # of a histogram, in percent


def plot_histogram(
    values: Sequence[float],
    own: float,
    *,
    name: str = "these units",
    title: str = "",
    unit: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Plot a histogram of percentages up to 100, with a line at the bar of one more value.

    Args:
        values: to count.
        own: the value whose bar the line is at.
        name: of the line.
        title: above it.
        unit: what the values are.
        ax: axes to draw on; those of a new figure by default.

    Example:
        >>> len(plot_histogram([0.0, 0.0, 10.0], 90.0, unit="drop, %").axes[0].patches)
        26
    """
    lowest = min([*values, own, 0.0])
    place_of_own = _middle_of_bar(own)
    with draw_on(ax, PANEL) as axes:
        edges = np.arange(_middle_of_bar(lowest) - BIN / 2, 100 + 2 * BIN, BIN)
        axes.hist(values, edges.tolist(), color=QUIET, rwidth=0.85)
        axes.axvline(place_of_own, color=POSITIVE, linewidth=2)
        most = max(axes.get_ylim()[1], 1.0)
        axes.set_ylim(0, 1.12 * most)
        side = "right" if own > (100 + lowest) / 2 else "left"
        shift = -4 if side == "right" else 4
        place: dict[str, Any] = {
            "xytext": (shift, -2),
            "textcoords": "offset points",
            "ha": side,
            "va": "top",
            "color": POSITIVE,
        }
        axes.annotate(fit_text(name, LABEL_WIDTH), (place_of_own, 1.12 * most), parse_math=False, **place)
        ends = sorted({lowest, 0.0, 50.0, 100.0})
        set_labels(axes, "x", [_middle_of_bar(end) for end in ends], [f"{end:.3g}".replace("-", "−") for end in ends])
        axes.locator_params(axis="y", integer=True, nbins=4)
        name_axis(axes, "x", unit)
        add_title(axes, title, ax)
    return figure_of(axes)


def _middle_of_bar(value: float) -> float:
    return BIN * math.floor(value / BIN) + BIN / 2


def plot_scatter(
    points: Sequence[tuple[float, float]],
    own: tuple[float, float],
    *,
    name: str = "these units",
    title: str = "",
    units: tuple[str, str] = ("", ""),
    ax: Axes | None = None,
) -> Figure:
    """Plot points, and one more that stands out.

    Args:
        points: x and y.
        own: the one more.
        name: of that point.
        title: above them.
        units: what x and y are.
        ax: axes to draw on; those of a new figure by default.

    Example:
        >>> plot_scatter([(0, 1), (2, 1)], (0, 4), units=("others", "target")).axes[0].get_xlabel()
        'others'
    """
    with draw_on(ax, PANEL) as axes:
        for line in (axes.axhline, axes.axvline):
            line(0, color=RULE, linewidth=0.7, zorder=0)
        axes.plot(*as_columns(points), "o", color=QUIET, alpha=0.7, markersize=5, markeredgewidth=0)
        axes.plot(*own, "o", color=POSITIVE, markersize=8)
        axes.margins(0.12)
        left, right = axes.get_xlim()
        side = "right" if own[0] > (left + right) / 2 else "left"
        place: dict[str, Any] = {
            "xytext": (-8 if side == "right" else 8, 0),
            "textcoords": "offset points",
            "ha": side,
            "va": "center",
        }
        axes.annotate(fit_text(name, LABEL_WIDTH), own, color=POSITIVE, parse_math=False, **place)
        axes.locator_params(nbins=5)
        name_axis(axes, "x", units[0])
        name_axis(axes, "y", units[1], 2.0)
        add_title(axes, title, ax)
    return figure_of(axes)


def plot_counts(
    counts: Sequence[Sequence[int]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str = "",
    units: tuple[str, str] = ("", ""),
    ax: Axes | None = None,
) -> Figure:
    """Plot a table of counts, such as a confusion matrix: numbers, and a shade for the share of each in its row.

    Args:
        counts: R rows of C numbers, 0 or more.
        rows: a text a row.
        columns: a text a column.
        title: above it.
        units: what columns and rows are.
        ax: axes to draw on; those of a new figure by default.

    Raises:
        ValueError: no rows; another count of labels.

    Example:
        >>> names = ["ship", "owl"]
        >>> len(plot_counts([[8, 2], [0, 5]], names, names, units=("predicted", "true")).axes[0].texts)
        3
    """
    table = np.array(counts, dtype=float)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"counts are {table.shape}; expected rows and columns, one or more of each")
    check_count("rows", len(rows), len(table), "rows of counts")
    check_count("columns", len(columns), table.shape[1], "columns of counts")
    side = min(0.5, 8 / max(table.shape))
    size = LABEL_WIDTH + 1.2 + max(side * len(columns), 1), LABEL_WIDTH + 1.2 + max(side * len(rows), 1)
    with draw_on(ax, size) as axes:
        shares = table / np.maximum(table.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Oranges", vmin=0, vmax=1.8)
        for (row, column), count in np.ndenumerate(table):
            if count:
                axes.text(column, row, f"{count:g}", ha="center", va="center", fontsize=min(FONT_SIZE, 22 * side))
        set_labels(axes, "y", range(len(rows)), [fit_text(text, LABEL_WIDTH) for text in rows])
        set_labels(axes, "x", range(len(columns)), [fit_text(text, LABEL_WIDTH) for text in columns], rotation=90)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        name_axis(axes, "x", units[0], 1.2)
        name_axis(axes, "y", units[1], 1.2)
        add_title(axes, title, ax)
    return figure_of(axes)
