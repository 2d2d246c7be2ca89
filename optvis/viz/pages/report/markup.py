"""The page of a report as one HTML text."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from optvis.viz.formatting import format_interval, format_percent
from optvis.viz.pages.assets import read_assets
from optvis.viz.pages.document import format_header, html_frame, page_footer
from optvis.viz.pages.report.charts import TINTS, curves, histogram, scatter
from optvis.viz.pages.report.page import PredictionRow, RecallRow, ReportPage
from optvis.viz.pages.sprites import data_uri
from optvis.viz.sheet import to_pil_image

POLICY = {"img": "data:", "style": "'unsafe-inline'"}
STATE_ORDER = ("kept", "gained", "wrong", "lost")  # of the target's images: the unwanted states first; else reversed
OPEN_ROWS = 12  # of a list; the other rows are folded


def report_html(page: ReportPage) -> str:
    """The page as one HTML text, with its images and style in it: it loads nothing and runs no script."""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in page.warnings)
    warnings = f'<ul class="warnings">{items}</ul>' if items else ""
    header = f"{format_header(page.title)}{_figures(page)}{warnings}"
    main = [_sets(page), _curves(page), _random_sets(page), _classes(page), _images(page)]
    style = f"<style>{read_assets('report/report.css')}</style>"
    return html_frame("optvis report", page.title, POLICY, [style], header, main, [page_footer(page.recipe)])


def _figures(page: ReportPage) -> str:
    """The three numbers that matter most."""
    target, random = page.target_row, page.random_sets
    recall = f"<s>{format_percent(target.before)} →</s> {format_percent(target.after.value)}"
    figures = [("own", recall, f"of {page.target} is still recognised")]
    if page.other_classes:
        worst, count = page.other_classes[0], len(page.other_classes)
        words = f"{worst.name}, the largest drop of {count} other classes" if worst.drop else "no other class drops"
        figures.append(("", format_percent(None if worst.drop is None else 0.0 - worst.drop), words))
    text = f"against {len(random.drops)} random sets of as many, about as strong units"
    figures.append(("", f"p = {random.p_value:.2g}", text))
    rows = "".join(
        f'<div class="{kind}"><dt>{escape(text)}</dt><dd>{number}</dd></div>' for kind, number, text in figures
    )
    return f'<dl class="figures">{rows}</dl>'


def _sets(page: ReportPage) -> str:
    return (
        "<section><h2>What is lost, what is kept</h2>"
        "<p>Recall: the share of each set's images that the network predicts correctly. The ring is the recall before, "
        "the dot the recall without the units. The shade is its 95 % interval, Wilson's.</p>"
        f"{_bars(page.sets, page.target)}</section>"
    )


def _bars(rows: Sequence[RecallRow], target: str | None = None) -> str:
    head = (
        '<div class="bar head"><span class="name"></span><span class="count">images</span>'
        '<span class="scale"><span>0</span><span>50</span><span>100 %</span></span>'
        '<span class="value">after</span></div>'
    )
    return f'<div class="bars">{head}{_fold([_bar(row, row.name == target) for row in rows])}</div>'


def _fold(rows: Sequence[str], before: str = "", after: str = "") -> str:
    """The first rows, and the others folded; each part between two texts."""
    shown, more = (f"{before}{''.join(part)}{after}" for part in (rows[:OPEN_ROWS], rows[OPEN_ROWS:]))
    count = len(rows) - OPEN_ROWS
    return shown + (f"<details><summary>{count} more</summary>{more}</details>" if count > 0 else "")


def _bar(row: RecallRow, is_target: bool) -> str:
    """A ring for before, a dot for after, on a line from 0 to 100 %."""
    track, after = "", row.after
    if row.before is not None and after.value is not None:
        ends = sorted((row.before, after.value))
        track = _mark("change", *ends) + _mark("before", row.before) + _mark("after", after.value)
        if after.low is not None and after.high is not None:
            track = _mark("interval", after.low, after.high) + track
    number, _, ends_text = format_interval(*after).partition(" (")
    text = f"<b>{number}</b>" + (f" ({ends_text}" if ends_text else "")
    name = escape(row.name)
    return (
        f'<div class="bar{" own" * is_target}"><span class="name" title="{name}">{name}</span>'
        f'<span class="count">{row.images}</span><span class="track">{track}</span>'
        f'<span class="value">{text}</span></div>'
    )


def _mark(kind: str, low: float, high: float | None = None) -> str:
    """A dot, or a line between two shares."""
    width = "" if high is None else f"; width: {100 * (high - low):.2f}%"
    return f'<i class="{kind}" style="left: {100 * low:.2f}%{width}"></i>'


def _curves(page: ReportPage) -> str:
    lines = page.curves
    names = [page.target, *(name for name in lines.removed if name != page.target)]
    legend = "".join(
        f'<li class="s{min(place, TINTS - 1)}"><i></i><span>{escape(name)}</span></li>'
        for place, name in enumerate(names)
    )
    removed, kept = ({name: half[name] for name in names} for half in (lines.removed, lines.kept))
    charts = [
        ("Removed", curves(lines.counts, removed, lines.removed_confidence, "units off")),
        ("Kept alone", curves(lines.counts, kept, lines.kept_confidence, "units kept, all others off")),
    ]
    return (
        "<section><h2>Unit by unit</h2><p>Recall with the first units off, in their order, and with all other units of "
        f"their layers off. The dotted line is the mean confidence in {escape(names[0])}.</p>"
        f'<ul class="legend">{legend}</ul>{_pair(charts)}</section>'
    )


def _pair(charts: Sequence[tuple[str, str]]) -> str:
    """Charts side by side, each below its name."""
    figures = "".join(f"<figure><figcaption>{name}</figcaption>{chart}</figure>" for name, chart in charts)
    return f'<div class="pair">{figures}</div>'


def _random_sets(page: ReportPage) -> str:
    random, drop = page.random_sets, page.target_row.drop
    recall = histogram(random.drops, 0.0 if drop is None else drop, f"drop of {page.target}")
    figures = [("Recall: the number of random sets by their drop", recall)]
    if random.log_odds:
        axes = "drop of everything else, nats", f"drop of {page.target}, nats"
        figures.append(("Log-odds, which rarely tie", scatter(random.log_odds, random.own_log_odds, *axes)))
    words = " ".join(random.sentences)
    return f"<section><h2>Against chance</h2><p>{escape(words)}</p>{_pair(figures)}</section>"


def _classes(page: ReportPage) -> str:
    if not page.other_classes:
        return ""
    return (
        "<section><h2>Class by class</h2><p>Every class that the target does not show, over all sets; the largest drop "
        f"comes first.</p>{_bars(page.other_classes)}</section>"
    )


def _images(page: ReportPage) -> str:
    thumbnails = [""] * len(page.predictions)
    if page.thumbnails is not None:
        thumbnails = [f'<img src="{data_uri(to_pil_image(image))}" alt="">' for image in page.thumbnails]
    rows = list(zip(page.predictions, thumbnails, strict=True))
    tables = []
    for images in page.sets:
        order = STATE_ORDER if images.name == page.target else STATE_ORDER[::-1]
        own = sorted((row for row in rows if row[0].set == images.name), key=lambda row: order.index(row[0].state))
        tables += [_table(images, [_prediction(*row) for row in own])] if own else []
    return f"<section><h2>Image by image</h2><p>The exceptions of each set come first.</p>{''.join(tables)}</section>"


def _table(images: RecallRow, rows: Sequence[str]) -> str:
    head = (
        '<tr><th class="thumb"></th><th class="file">image</th><th>before %</th><th>after %</th>'
        '<th class="state"></th></tr>'
    )
    count = "1 image" if images.images == 1 else f"{images.images} images"
    return f"<h3>{escape(images.name)}<small>{count}</small></h3>{_fold(rows, f'<table>{head}', '</table>')}"


def _prediction(row: PredictionRow, thumbnail: str) -> str:
    halves = ("before", row.confidence_before, row.before), ("after", row.confidence_after, row.after)
    cells = "".join(
        f'<td class="{when}"><data>{100 * share:.2f}</data> {escape(label)}</td>' for when, share, label in halves
    )
    truth = f" ({escape(row.truth)})" if row.state in ("wrong", "gained") else ""
    return (
        f'<tr class="{row.state}"><td class="thumb">{thumbnail}</td><td class="file">{escape(row.image)}{truth}</td>'
        f'{cells}<td class="state">{row.state}</td></tr>'
    )
