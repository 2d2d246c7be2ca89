"""Small charts as SVG text, coloured by the style of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from optvis.viz.pages.report.page import Interval

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 40
Line = Sequence[Interval]
Ticks = Sequence[tuple[float, str]]  # a share of the axis, and its text
TINTS = 6
BINS = 25  # from 0 to 100 %


def curves(counts: Sequence[int], lines: Mapping[str, Line], dotted: Line, axis: str) -> str:
    """Shares from 0 to 100 % over a number of units, each with the band of its interval.

    Args:
        counts: T rising numbers.
        lines: T values a line, by its name; the first is drawn on top.
        dotted: T values, drawn as a dotted line in the color of the first line.
        axis: what is counted.
    """
    last = max(counts[-1], 1)

    def at(count: float, share: float) -> str:
        return f"{_x(count / last):.1f},{_y(share):.1f}"

    def points(line: Line) -> str:
        pairs = zip(counts, line, strict=True)
        return " ".join(at(count, one.value) for count, one in pairs if one.value is not None)

    parts = []
    for place, (name, line) in reversed(list(enumerate(lines.items()))):
        tint = f"s{min(place, TINTS - 1)}"
        ends = [
            (count, one.low, one.high)
            for count, one in zip(counts, line, strict=True)
            if one.value is not None and one.low is not None and one.high is not None
        ]
        if ends:
            around = [at(count, high) for count, _, high in ends] + [at(count, low) for count, low, _ in ends[::-1]]
            parts.append(f'<polygon class="band {tint}" points="{" ".join(around)}"/>')
        parts.append(f'<polyline class="curve {tint}" points="{points(line)}"><title>{escape(name)}</title></polyline>')
    parts.append(f'<polyline class="curve dotted s0" points="{points(dotted)}"/>')
    ticks = [(count / last, str(count)) for count in _round_counts(last)]
    return _chart(axis, ticks, [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")], "".join(parts))


def histogram(values: Sequence[float], own: float, axis: str) -> str:
    """A histogram of values, from −4 % or less to 100 %, with a mark at one more value.

    Args:
        values: in [−1, 1].
        own: the value to mark, in [−1, 1].
        axis: what is counted.
    """
    lowest = min(math.floor(BINS * min([0.0, own, *values]) - 1e-9), 0)
    bins = [math.floor(BINS * value + 1e-9) for value in values]
    counts = {place: bins.count(place) for place in sorted(set(bins))}
    most = max(counts.values())

    def x(place: float) -> float:
        return _x((place - lowest) / (BINS + 1 - lowest))

    bars = [
        f'<rect class="random" x="{x(place) + 1:.1f}" y="{_y(count / most):.1f}" '
        f'width="{x(place + 1) - x(place) - 2:.1f}" height="{_y(0) - _y(count / most):.1f}"/>'
        for place, count in counts.items()
    ]
    at = x(math.floor(BINS * own + 1e-9) + 0.5)
    mark = f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_y(0)}" y2="{_y(1) + 4}"/>{_mark_text(at, _y(1) + 12)}'
    ticks = [((BINS * share + 0.5 - lowest) / (BINS + 1 - lowest), f"{100 * share:.0f} %") for share in (0, 0.5, 1)]
    return _chart(axis, ticks, [(0.0, "0"), (1.0, str(most))], "".join(bars) + mark)


def scatter(points: Sequence[tuple[float, float]], own: tuple[float, float], x_axis: str, y_axis: str) -> str:
    """A scatter plot with a mark at one more point.

    Args:
        points: x and y, in nats.
        own: the point to mark.
        x_axis: the text of the horizontal axis.
        y_axis: the text of the vertical axis.
    """
    ends = [_ends([point[side] for point in [*points, own]]) for side in (0, 1)]

    def at(point: tuple[float, float]) -> tuple[float, float]:
        shares = [(value - low) / (high - low) for value, (low, high) in zip(point, ends, strict=True)]
        return _x(_inset(shares[0])), _y(_inset(shares[1]))

    dots = "".join('<circle class="cloud" cx="{:.1f}" cy="{:.1f}" r="3.5"/>'.format(*at(point)) for point in points)
    x, y = at(own)
    text = _mark_text(x, y - 10 if y > 45 else y + 20)  # clear of the text of the axis
    mark = f'<circle class="point s0" cx="{x:.1f}" cy="{y:.1f}" r="6"/>{text}'
    x_ticks, y_ticks = (
        [(_inset((value - low) / (high - low)), f"{value:g}".replace("-", "−")) for value in _round_values(low, high)]
        for low, high in ends
    )
    return _chart(x_axis, x_ticks, y_ticks, dots + mark, y_axis)


def _inset(share: float) -> float:
    """Away from the edges, so that no mark is cut and no text touches one."""
    return 0.04 + 0.86 * share


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """An interval that holds all values and 0."""
    low, high = min([*values, 0.0]), max([*values, 0.0])
    return low, high if high > low else low + 1.0


def _round_values(low: float, high: float) -> list[float]:
    """0, and the round number that is farthest out on each side."""
    step = 10.0 ** math.floor(math.log10(high - low))
    step = next(size for size in (step, step / 2, step / 5) if (high - low) / size >= 2)
    return sorted({0.0, step * math.floor(high / step), step * math.ceil(low / step)})


def _mark_text(x: float, y: float) -> str:
    side, shift = ("end", -8) if x > WIDTH / 2 else ("start", 8)
    return f'<text class="own" x="{x + shift:.1f}" y="{y:.1f}" text-anchor="{side}">these units</text>'


def _chart(x_axis: str, x_ticks: Ticks, y_ticks: Ticks, inner: str, y_axis: str = "") -> str:
    """Axes with their ticks, by their shares of the axis, around SVG."""
    rules = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(share):.1f}" y2="{_y(share):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{_y(share) + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        for share, text in y_ticks
    )
    feet = "".join(
        f'<text x="{_x(share):.1f}" y="{_y(0) + 17:.1f}" text-anchor="middle">{escape(text)}</text>'
        for share, text in x_ticks
    )
    words = f'<text x="{_x(0.5)}" y="{HEIGHT - 5}" text-anchor="middle">{escape(x_axis)}</text>'
    words += f'<text x="{LEFT}" y="{_y(1)}">{escape(y_axis)}</text>' if y_axis else ""
    label = escape(x_axis)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{rules}{feet}{words}{inner}</svg>'


def _round_counts(last: int) -> list[int]:
    """0, the last, and round numbers between them."""
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if last / size <= 6)
    return sorted({0, last, *(n for n in range(step, last, step) if last - n >= step / 2)})


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
