"""Charts on the axes of matplotlib: signed bars, lines, histograms, scatter plots, tables of counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optvis.arguments import check_count
from optvis.viz.figures import (
    COLORS,
    FONT_SIZE,
    NEGATIVE,
    POSITIVE,
    QUIET,
    RULE,
    WIDTH,
    add_signs,
    add_title,
    draw_on,
    figure_of,
    fit_text,
    set_labels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Signs = Sequence[tuple[str, str]]  # what colors mean: a text and a color each
Band = Sequence[tuple[float, float]]  # lower and upper ends, one for each x; NaN where there is none
ROW, LINE, EDGES = 0.21, 0.16, 1.15  # inches of a bar, of a line of text, of title, numbers and signs together
MAX_HEIGHT = 120.0  # inches of a figure
LABEL_WIDTH = 2.2  # inches of the labels of rows, and of those beside lines
UNIT_WIDTH = 3.2  # inches of the name of an axis, which has two lines
MAX_NAMES = 12  # in a legend
MANY_POINTS = 24  # from which on points have no marks
BIN = 4.0  # of a histogram, in percent
PANEL = (WIDTH, 2.9)  # inches


def plot_bars(
    values: Sequence[float],
    labels: Sequence[str],
    *,
    title: str = "",
    unit: str = "",
    signs: Signs = (),
    ax: Axes | None = None,
) -> Figure:
    """Plot signed bars, one below the other, each with its label and its number.

    Args:
        values: one a bar; those that are not finite have no bar.
        labels: a text a bar.
        title: above them.
        unit: what the values are, below the axis.
        signs: what the two colors mean, written below; (text, color) each.
        ax: axes to draw on; those of a new figure by default.

    Raises:
        ValueError: another count of labels.

    Example:
        >>> plot_bars([1.0, -0.5], ["17", "40"], title="What raises it?").get_suptitle()
        'What raises it?'
    """
    check_count("labels", len(labels), len(values), "bars")
    count = max(1, len(values))
    texts = fit_text(title, WIDTH, 3), fit_text(unit, UNIT_WIDTH, 2)
    height = min(EDGES + LINE * sum(text.count("\n") for text in texts) + ROW * count, MAX_HEIGHT)
    size = min(FONT_SIZE, 0.8 * 72 * height / count)
    with draw_on(ax, (WIDTH, height)) as axes:
        finite = [value if math.isfinite(value) else 0.0 for value in values]
        colors = [POSITIVE if value >= 0 else NEGATIVE for value in values]
        axes.barh(range(len(values)), finite, height=0.7, color=colors)
        names = [fit_text(label, LABEL_WIDTH, size=size) for label in labels]
        marks = [f"{name}  {f'{value:+.3g}'.replace('-', '−')}" for name, value in zip(names, values, strict=True)]
        set_labels(axes, "y", range(len(values)), marks, fontsize=size)
        axes.set_ylim(count - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.axvline(0, color=axes.spines["bottom"].get_edgecolor(), linewidth=0.7)
        axes.locator_params(axis="x", nbins=6)
        name_axis(axes, "x", unit)
        add_title(axes, title, ax)
        if signs:
            add_signs(axes, signs, 24 + 13 * (texts[1].count("\n") + bool(unit)))
    return figure_of(axes)


def plot_lines(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    title: str = "",
    unit: str = "",
    bands: Mapping[str, Band] | None = None,
    dotted: Mapping[str, Sequence[float]] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot lines from 0 to 100 %, with their names beside them; NaN is left out.

    The first line lies on top, and those below are wider: they stay in sight where lines run together.

    Args:
        x: T numbers.
        lines: T values, in [0, 100], a line by its name.
        title: above them.
        unit: what x counts.
        bands: T lower and upper ends of a line's interval, by its name.
        dotted: more lines by the name of the line whose color they have.
        ax: axes to draw on; those of a new figure by default.

    Raises:
        ValueError: no x; another count of numbers in a line.

    Example:
        >>> figure = plot_lines([0, 1, 2], {"ships": [100, 50, 0]}, title="Recall", unit="units off")
        >>> len(figure.axes[0].lines)
        1
    """
    _check_lines(x, lines)
    with draw_on(ax, PANEL) as axes:
        for place, (name, line) in reversed(list(enumerate(lines.items()))):
            color, layer = COLORS[place % len(COLORS)], 3 - place / len(lines)
            points = [point for point in zip(x, line, strict=True) if not math.isnan(point[1])]
            mark = "o" if len(points) <= MANY_POINTS else ""
            width = 1.6 + 1.3 * min(place, len(COLORS))
            how: dict[str, Any] = {"color": color, "zorder": layer, "clip_on": False}
            axes.plot(*_columns(points), mark + "-", markersize=2.4 + width, linewidth=width, label=name, **how)
            if bands and name in bands:
                axes.fill_between(x, *_columns(bands[name]), color=color, alpha=0.15, linewidth=0, zorder=1)
            if dotted and name in dotted:
                axes.plot(x, dotted[name], ":", linewidth=1.2, **how)
        axes.set_ylim(0, 100)
        set_labels(axes, "y", (0, 25, 50, 75, 100), ("0", "25", "50", "75", "100 %"))
        axes.grid(axis="y")
        _count_upward(axes, x, unit)
        _name_lines(axes, list(lines))
        add_title(axes, title, ax)
    return figure_of(axes)


def plot_histogram(
    values: Sequence[float],
    own: float,
    *,
    name: str = "these units",
    title: str = "",
    unit: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Plot a histogram of percentages up to 100, with a line at one more value.

    Args:
        values: to count.
        own: where the line stands.
        name: of the line.
        title: above it.
        unit: what the values are.
        ax: axes to draw on; those of a new figure by default.

    Example:
        >>> len(plot_histogram([0.0, 0.0, 10.0], 90.0, unit="drop, %").axes[0].patches)
        26
    """
    lowest = BIN * math.floor(min([*values, own, 0.0]) / BIN)
    with draw_on(ax, PANEL) as axes:
        edges = np.arange(lowest, 100 + 2 * BIN, BIN)
        axes.hist(values, edges.tolist(), color=QUIET, rwidth=0.85)
        axes.axvline(own + BIN / 2, color=POSITIVE, linewidth=2)
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
        axes.annotate(fit_text(name, LABEL_WIDTH), (own + BIN / 2, 1.12 * most), parse_math=False, **place)
        ends = sorted({lowest, 0.0, 50.0, 100.0})
        set_labels(axes, "x", [end + BIN / 2 for end in ends], [f"{end:g}".replace("-", "−") for end in ends])
        axes.locator_params(axis="y", integer=True, nbins=4)
        name_axis(axes, "x", unit)
        add_title(axes, title, ax)
    return figure_of(axes)


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
        axes.plot(*_columns(points), "o", color=QUIET, alpha=0.7, markersize=5, markeredgewidth=0)
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


def name_axis(axes: Axes, side: str, text: str, inches: float = UNIT_WIDTH) -> None:
    """Write what the axis "x" or "y" counts."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_label_text(fit_text(text, inches, 2), parse_math=False)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _name_mark(axes: Axes, name: str, at: tuple[float, float], side: str, shift: tuple[float, float]) -> None:
    """Write the name of what stands out beside it, `shift` points away."""
    place: dict[str, Any] = {"xytext": shift, "textcoords": "offset points", "ha": side, "va": "center"}
    axes.annotate(fit_text(name, LABEL_WIDTH), at, color=POSITIVE, parse_math=False, **place)


def _check_lines(x: Sequence[float], values: Mapping[str, Sequence[float]]) -> None:
    """Raise ValueError where a line has not a number for each x, or where there is no x."""
    if not x:
        raise ValueError("x is empty; expected one number or more")
    for name, line in values.items():
        check_count(f"the line {name!r}", len(line), len(x), "numbers x")


def _count_upward(axes: Axes, x: Sequence[float], unit: str) -> None:
    """Numbers below, from the first x to the last; whole ones where all are."""
    if x[-1] > x[0]:
        axes.set_xlim(x[0], x[-1])
    whole = all(float(one).is_integer() for one in x)
    axes.locator_params(axis="x", integer=whole, nbins=6)
    name_axis(axes, "x", unit)


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    """Write the names of lines beside the axes, the first twelve."""
    if not names:
        return
    handles = {line.get_label(): line for line in axes.lines}
    own = [handles[name] for name in names[:MAX_NAMES] if name in handles]
    more = len(names) - len(own)
    texts = [fit_text(name, LABEL_WIDTH - 0.4, 2) for name in names[: len(own)]]
    if more:
        texts[-1] = f"and {more + 1} more"
    legend = axes.legend(own, texts, loc="upper left", bbox_to_anchor=(1.03, 1))
    for text in legend.get_texts():
        text.set_parse_math(False)
