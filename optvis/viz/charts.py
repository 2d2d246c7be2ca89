"""Charts on the axes of matplotlib: signed bars, and lines in percent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optvis.arguments import check_count
from optvis.viz.figures import (
    COLORS,
    FONT_SIZE,
    LABEL_WIDTH,
    NEGATIVE,
    PANEL,
    POSITIVE,
    QUIET,
    UNIT_WIDTH,
    WIDTH,
    add_signs,
    add_title,
    as_columns,
    draw_on,
    figure_of,
    fit_text,
    name_axis,
    set_labels,
    without_math,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Signs = Sequence[tuple[str, str]]  # what colors mean: a text and a color each
Band = Sequence[tuple[float, float]]  # lower and upper ends, one for each x; NaN where there is none
ROW, LINE, EDGES = 0.21, 0.16, 1.15  # inches of a bar, of a line of text, of title, numbers and signs together
MAX_HEIGHT = 120.0  # inches of a figure
MAX_BANDS = 3  # lines, from which on the first alone has its band
MANY_POINTS = 24  # from which on points have no marks


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

    The first line lies on top, and those below are wider: they stay in sight where lines run together. Of more than
    seven lines the first six have names and colors, the others are gray.

    Args:
        x: T numbers.
        lines: T values, in [0, 100], a line by its name.
        title: above them.
        unit: what x counts.
        bands: T lower and upper ends of a line's interval, by its name; of more than three lines the first alone shows
            its own.
        dotted: more lines by the name of the line whose color they have.
        ax: axes to draw on; those of a new figure by default.

    Raises:
        ValueError: no x; another count of numbers in a line; a band or a dotted line by the name of no line.

    Example:
        >>> figure = plot_lines([0, 1, 2], {"ships": [100, 50, 0]}, title="Recall", unit="units off")
        >>> len(figure.axes[0].lines)
        1
    """
    _check_lines(x, lines, bands or {}, dotted or {})
    with draw_on(ax, PANEL) as axes:
        named = list(lines)[: len(COLORS) - (len(lines) > len(COLORS))]
        handles, step = {}, min(1.6, 4.8 / max(1, len(named)))  # of their widths
        for place, (name, line) in reversed(list(enumerate(lines.items()))):
            how: dict[str, Any] = {"color": QUIET, "linewidth": 1, "zorder": 1.5}
            if place < len(named):
                how = {"color": COLORS[place], "linewidth": 1.6 + step * place, "zorder": 3 - place / len(named)}
            points = [point for point in zip(x, line, strict=True) if not math.isnan(point[1])]
            marks = {"marker": "o", "markersize": 3 + how["linewidth"]} if len(points) <= MANY_POINTS else {}
            (handles[name],) = axes.plot(*as_columns(points), label=name, clip_on=False, **how, **marks)
            if bands and name in bands and (place == 0 or len(lines) <= MAX_BANDS):
                axes.fill_between(x, *as_columns(bands[name]), color=how["color"], alpha=0.15, linewidth=0, zorder=1)
            if dotted and name in dotted:
                axes.plot(x, dotted[name], ":", clip_on=False, **{**how, "linewidth": 1.2})
        axes.set_ylim(0, 100)
        set_labels(axes, "y", (0, 25, 50, 75, 100), ("0", "25", "50", "75", "100 %"))
        axes.grid(axis="y")
        _count_upward(axes, x, unit)
        _name_lines(axes, [handles[name] for name in named], [handles[name] for name in list(lines)[len(named) :]])
        add_title(axes, title, ax)
    return figure_of(axes)


def _check_lines(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    bands: Mapping[str, Band],
    dotted: Mapping[str, Sequence[float]],
) -> None:
    """Raise ValueError where there is no x, and for what has another count of numbers, or the name of no line."""
    if not x:
        raise ValueError("x is empty; expected one number or more")
    for what, parts in {"line": lines, "band": bands, "dotted line": dotted}.items():
        for name, numbers in parts.items():
            check_count(f"the {what} {name!r}", len(numbers), len(x), "numbers x")
            if name not in lines:
                raise ValueError(f"the {what} {name!r} belongs to no line; there are {', '.join(map(repr, lines))}")


def _count_upward(axes: Axes, x: Sequence[float], unit: str) -> None:
    """Numbers below, from the first x to the last; whole ones where all are."""
    if x[-1] > x[0]:
        axes.set_xlim(x[0], x[-1])
    whole = all(float(one).is_integer() for one in x)
    axes.locator_params(axis="x", integer=whole, nbins=6)
    name_axis(axes, "x", unit)


def _name_lines(axes: Axes, named: Sequence[Line2D], others: Sequence[Line2D]) -> None:
    """Write the names of lines beside the axes, and how many others there are."""
    if not named:
        return
    texts = [fit_text(str(line.get_label()), LABEL_WIDTH - 0.4, 2) for line in named]
    texts += [f"{len(others)} others"] * bool(others)
    without_math(axes.legend([*named, *others[:1]], texts, loc="upper left", bbox_to_anchor=(1.03, 1)))
