"""The page of a report as one HTML text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from optvis.ablation.evaluation.findings import Answer, Estimate, Tally
from optvis.ablation.evaluation.report_text import by_chance, interval, percent, title
from optvis.version import __version__
from optvis.viz.pages.grid.sprites import data_uri
from optvis.viz.pages.report.charts import TINTS, Line, cloud, curves, histogram
from optvis.viz.pages.report.style import STYLE
from optvis.viz.sheet import to_picture

if TYPE_CHECKING:
    from optvis.ablation.evaluation.report import Report

GENERATOR = "optvis report"
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
ORDER = ("kept", "gained", "wrong", "lost")  # of the target's images: first those that should not be there
AT_ONCE = 12  # rows of a list that are open from the start


def to_html(report: Report) -> str:
    """The page as one HTML text: pictures and style in it, no script, nothing loaded from anywhere."""
    heading = escape(title(report))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            f'<meta name="generator" content="{GENERATOR} {escape(__version__)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{heading} · optvis</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            f"<header><h1>{heading}</h1>{_figures(report)}{_warnings(report)}</header>",
            "<main>",
            _sets(report),
            _curves(report),
            _chance(report),
            _classes(report),
            _images(report),
            "</main>",
            _footer(report),
            "</body>",
            "</html>",
            "",
        ]
    )


def _figures(report: Report) -> str:
    """The three numbers that matter."""
    target, worst, chance = report.targeted, report.worst, report.chance
    before, after = percent(target.before.value), percent(target.after.value)
    told = [("own", f"<s>{before} →</s> {after}", f"of {report.target} is still called what it is")]
    if worst is not None:
        others = len(report.collateral)
        words = (
            f"{worst.name}, which falls most of {others} other classes" if worst.drop.value else "no other class falls"
        )
        told.append(("", _change(worst.drop.value), words))
    told.append(
        ("", f"p = {chance.p_drop:.2g}", f"against {len(chance.drops)} random sets of as many, about as strong units")
    )
    rows = "".join(f'<div class="{kind}"><dt>{escape(text)}</dt><dd>{number}</dd></div>' for kind, number, text in told)
    return f'<dl class="figures">{rows}</dl>'


def _change(drop: float | None) -> str:
    """A fall as a change: −12.5 %."""
    return percent(None if drop is None else 0.0 - drop)


def _warnings(report: Report) -> str:
    items = "".join(f"<li>{escape(warning)}</li>" for warning in report.warnings)
    return f'<ul class="warnings">{items}</ul>' if items else ""


def _sets(report: Report) -> str:
    rows = [_bar(one, one.name == report.target) for one in report.sets]
    return (
        "<section><h2>What is lost, what is kept</h2>"
        "<p>The share of each set's images that is called what it is: before, a ring; without the units, a dot. "
        "The shade is the 95 % interval of a bootstrap over images; it has no width where all images agree.</p>"
        f"{_bars(rows)}</section>"
    )


def _bars(rows: Sequence[str]) -> str:
    head = (
        '<div class="bar head"><span class="name"></span><span class="count">images</span>'
        '<span class="scale"><span>0</span><span>50</span><span>100 %</span></span>'
        '<span class="told">after</span></div>'
    )
    more = rows[AT_ONCE:]
    rest = f"<details><summary>{len(more)} more</summary>{''.join(more)}</details>" if more else ""
    return f'<div class="bars">{head}{"".join(rows[:AT_ONCE])}{rest}</div>'


def _bar(one: Tally, own: bool) -> str:
    """A ring for before, a dot for after, on a line from 0 to 100 %."""
    track = ""
    if one.before.value is not None and one.after.value is not None:
        ends = sorted((one.before.value, one.after.value))
        track = _between("way", *ends) + _dot("was", one.before.value) + _dot("is", one.after.value)
        if one.after.low is not None and one.after.high is not None:
            track = _between("sure", one.after.low, one.after.high) + track
    words = interval(one.after)
    number, _, rest = words.partition(" (")
    told = f"<b>{number}</b>" + (f" ({rest}" if rest else "")
    name = escape(one.name)
    return (
        f'<div class="bar{" own" * own}"><span class="name" title="{name}">{name}</span>'
        f'<span class="count">{one.images}</span><span class="track">{track}</span>'
        f'<span class="told">{told}</span></div>'
    )


def _between(kind: str, low: float, high: float) -> str:
    return f'<i class="{kind}" style="left: {100 * low:.2f}%; width: {100 * (high - low):.2f}%"></i>'


def _dot(kind: str, value: float) -> str:
    return f'<i class="{kind}" style="left: {100 * value:.2f}%"></i>'


def _curves(report: Report) -> str:
    names = [report.target, *(name for name in report.curve.removed if name != report.target)]
    legend = "".join(
        f'<li class="s{min(place, TINTS - 1)}"><i></i><span>{escape(name)}</span></li>'
        for place, name in enumerate(names)
    )
    counts = report.curve.counts
    curve = report.curve
    removed, kept = ({name: _line(half[name]) for name in names} for half in (curve.removed, curve.kept))
    sure = [_line(half[report.target]) for half in (curve.removed_confidence, curve.kept_confidence)]
    charts = [
        ("Removed", curves(counts, removed, sure[0], "units off")),
        ("Kept alone", curves(counts, kept, sure[1], "units kept, all others off")),
    ]
    return (
        "<section><h2>Unit by unit</h2><p>The share that is recognised with the first units off, in their order, and "
        f"with nothing but them left in their layers. The dotted line is the mean confidence in {escape(names[0])}.</p>"
        f'<ul class="legend">{legend}</ul>{_pair(charts)}</section>'
    )


def _pair(charts: Sequence[tuple[str, str]]) -> str:
    """Charts side by side, each below its name."""
    drawn = "".join(f"<figure><figcaption>{name}</figcaption>{chart}</figure>" for name, chart in charts)
    return f'<div class="pair">{drawn}</div>'


def _line(row: Sequence[Estimate]) -> Line:
    return [None if one.value is None else (one.value, one.low, one.high) for one in row]


def _chance(report: Report) -> str:
    chance, fell = report.chance, report.targeted.drop.value
    own = 0.0 if fell is None else fell
    figures = [("Recall: how many random sets fall how far", histogram(chance.drops, own, f"{report.target} falls by"))]
    if chance.others:
        points = list(zip(chance.others, chance.odds, strict=True))
        here = chance.others_without, report.targeted.odds.value or 0.0
        drawn = cloud(points, here, "everything else falls by, nats", f"{report.target} falls by, nats")
        figures.append(("Log-odds, which hardly tie", drawn))
    words = " ".join(by_chance(report))
    return f"<section><h2>Against chance</h2><p>{escape(words)}</p>{_pair(figures)}</section>"


def _classes(report: Report) -> str:
    if not report.collateral:
        return ""
    rows = [_bar(one, False) for one in report.collateral]
    return (
        "<section><h2>Class by class</h2><p>Every class that the target does not show, over all sets; those that fall "
        f"most come first.</p>{_bars(rows)}</section>"
    )


def _images(report: Report) -> str:
    pictures = [""] * len(report.answers)
    if report.thumbnails is not None:
        pictures = [f'<img src="{data_uri(to_picture(one))}" alt="">' for one in report.thumbnails]
    rows = list(zip(report.answers, pictures, strict=True))
    tables = []
    for tally in report.sets:
        order = ORDER if tally.name == report.target else ORDER[::-1]
        own = sorted((row for row in rows if row[0].set == tally.name), key=lambda row: order.index(row[0].state))
        tables += [_table(tally, [_row(*row) for row in own])] if own else []
    return (
        f"<section><h2>Image by image</h2><p>What does not go with the rest comes first.</p>{''.join(tables)}</section>"
    )


def _table(one: Tally, rows: Sequence[str]) -> str:
    head = (
        '<tr><th class="thumb"></th><th class="file">image</th><th>before %</th><th>after %</th>'
        '<th class="state"></th></tr>'
    )
    more = rows[AT_ONCE:]
    rest = f"<details><summary>{len(more)} more</summary><table>{head}{''.join(more)}</table></details>" if more else ""
    count = "1 image" if one.images == 1 else f"{one.images} images"
    return f"<h3>{escape(one.name)}<small>{count}</small></h3><table>{head}{''.join(rows[:AT_ONCE])}</table>{rest}"


def _row(one: Answer, picture: str) -> str:
    said = [
        f'<td class="{when}"><data>{100 * share:.2f}</data> {escape(label)}</td>'
        for when, share, label in (
            ("before", one.confidence_before, one.before),
            ("after", one.confidence_after, one.after),
        )
    ]
    truth = f" ({escape(one.truth)})" if one.state in ("wrong", "gained") else ""
    return (
        f'<tr class="{one.state}"><td class="thumb">{picture}</td><td class="file">{escape(one.image)}{truth}</td>'
        f'{"".join(said)}<td class="state">{one.state}</td></tr>'
    )


def _footer(report: Report) -> str:
    recipe = json.dumps(dict(report.recipe), indent=2, ensure_ascii=False)
    return (
        f"<footer><details><summary>How this was made</summary><pre><code>{escape(recipe)}</code></pre></details>"
        f"<p>Made with optvis {escape(__version__)}.</p></footer>"
    )
