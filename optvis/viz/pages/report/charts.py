"""Small charts as SVG text, coloured by the page that they stand on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TypeAlias

WIDTH, HEIGHT = 440, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 40
TINTS = 6
BINS = 25  # from nought to 100 %

Line: TypeAlias = Sequence[tuple[float, float | None, float | None] | None]  # value, low and high, in [0, 1]


def curves(counts: Sequence[int], lines: Mapping[str, Line], dotted: Line, axis: str) -> str:
    """Shares from 0 to 100 % over a number of units, each with the band of its interval.

    Args:
        counts: T numbers that rise.
        lines: T values a line, by its name; the first is drawn on top.
        dotted: T values that go with the first line.
        axis: what is counted.
    """
    last = max(counts[-1], 1)

    def at(count: float, share: float) -> str:
        return f"{_across(count / last):.1f},{_up(share):.1f}"

    drawn = []
    for place, (name, line) in reversed(list(enumerate(lines.items()))):
        known = [(count, *one) for count, one in zip(counts, line, strict=True) if one is not None]
        tint = f"s{min(place, TINTS - 1)}"
        sure = [(count, low, high) for count, _, low, high in known if low is not None and high is not None]
        if sure:
            around = [at(count, high) for count, _, high in sure] + [at(count, low) for count, low, _ in sure[::-1]]
            drawn.append(f'<polygon class="band {tint}" points="{" ".join(around)}"/>')
        points = " ".join(at(count, value) for count, value, *_ in known)
        drawn.append(f'<polyline class="curve {tint}" points="{points}"><title>{escape(name)}</title></polyline>')
    points = " ".join(at(count, one[0]) for count, one in zip(counts, dotted, strict=True) if one is not None)
    drawn.append(f'<polyline class="curve dotted s0" points="{points}"/>')
    ticks = [(count / last, str(count)) for count in _ticks(last)]
    return _framed(axis, ticks, _shares(), "".join(drawn))


def histogram(values: Sequence[float], found: float, axis: str) -> str:
    """How many of the values lie where, from −4 % or less to 100 %, and where the one that is compared stands.

    Args:
        values: in [−1, 1].
        found: likewise.
        axis: what is counted.
    """
    lowest = min(math.floor(BINS * min([0.0, found, *values]) - 1e-9), 0)
    bins = [math.floor(BINS * value + 1e-9) for value in values]
    counts = {place: bins.count(place) for place in sorted(set(bins))}
    most = max(counts.values())

    def across(place: float) -> float:
        return _across((place - lowest) / (BINS + 1 - lowest))

    bars = [
        f'<rect class="random" x="{across(place) + 1:.1f}" y="{_up(count / most):.1f}" '
        f'width="{across(place + 1) - across(place) - 2:.1f}" height="{_up(0) - _up(count / most):.1f}"/>'
        for place, count in counts.items()
    ]
    x = across(math.floor(BINS * found + 1e-9) + 0.5)
    mark = f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_up(0)}" y2="{_up(1) + 4}"/>{_named(x, _up(1) + 12)}'
    ticks = [((BINS * share + 0.5 - lowest) / (BINS + 1 - lowest), f"{100 * share:.0f} %") for share in (0, 0.5, 1)]
    return _framed(axis, ticks, [(0.0, "0"), (1.0, str(most))], "".join(bars) + mark)


def cloud(points: Sequence[tuple[float, float]], found: tuple[float, float], axis: str, upward: str) -> str:
    """Two falls of each random set, and those of the one that is compared.

    Args:
        points: across and up, in nats.
        found: likewise.
        axis: what goes across.
        upward: what goes up.
    """
    ends = [_ends([point[side] for point in [*points, found]]) for side in (0, 1)]

    def at(point: tuple[float, float]) -> tuple[float, float]:
        shares = [(value - low) / (high - low) for value, (low, high) in zip(point, ends, strict=True)]
        return _across(_inside(shares[0])), _up(_inside(shares[1]))

    dots = "".join('<circle class="cloud" cx="{:.1f}" cy="{:.1f}" r="3.5"/>'.format(*at(point)) for point in points)
    x, y = at(found)
    mark = f'<circle class="point s0" cx="{x:.1f}" cy="{y:.1f}" r="6"/>{_named(x, y - 10 if y > 30 else y + 20)}'
    across, up = (
        [(_inside((value - low) / (high - low)), f"{value:g}".replace("-", "−")) for value in _round(low, high)]
        for low, high in ends
    )
    return _framed(axis, across, up, dots + mark, upward)


def _inside(share: float) -> float:
    """Off the edges, so that no mark is cut and no word lies on one."""
    return 0.04 + 0.86 * share


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Values and nought lie between them."""
    low, high = min([*values, 0.0]), max([*values, 0.0])
    return low, high if high > low else low + 1.0


def _round(low: float, high: float) -> list[float]:
    """Nought, and the round number that is farthest out on each side."""
    step = 10.0 ** math.floor(math.log10(high - low))
    step = next(size for size in (step, step / 2, step / 5) if (high - low) / size >= 2)
    return sorted({0.0, step * math.floor(high / step), step * math.ceil(low / step)})


def _named(x: float, y: float) -> str:
    """The words that say which mark is that of the units, beside it."""
    side, shift = ("end", -8) if x > WIDTH / 2 else ("start", 8)
    return f'<text class="own" x="{x + shift:.1f}" y="{y:.1f}" text-anchor="{side}">these units</text>'


def _framed(
    axis: str, across: Sequence[tuple[float, str]], up: Sequence[tuple[float, str]], inner: str, upward: str = ""
) -> str:
    rules = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_up(share):.1f}" y2="{_up(share):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{_up(share) + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        for share, text in up
    )
    feet = "".join(
        f'<text x="{_across(share):.1f}" y="{_up(0) + 17:.1f}" text-anchor="middle">{escape(text)}</text>'
        for share, text in across
    )
    words = f'<text x="{_across(0.5)}" y="{HEIGHT - 5}" text-anchor="middle">{escape(axis)}</text>'
    words += f'<text x="{LEFT}" y="{_up(1)}">{escape(upward)}</text>' if upward else ""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(axis)}">{rules}{feet}{words}{inner}</svg>'
    )


def _shares() -> list[tuple[float, str]]:
    return [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")]


def _ticks(last: int) -> list[int]:
    """Nought, the last, and round numbers between them."""
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 200, 500, 10**9) if last / size <= 6)
    return sorted({0, last, *(n for n in range(step, last, step) if last - n >= step / 2)})


def _across(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _up(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


__all__ = ["cloud", "curves", "histogram"]
