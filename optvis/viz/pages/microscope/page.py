"""The page of one channel of a microscope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from optvis.viz.pages.microscope.site import made_how, site_page

GENERATOR = "optvis microscope"
VIEWS = ("Positive", "Negative", "Diverse 1", "Diverse 2", "Diverse 3", "Diverse 4")


@dataclass(frozen=True)
class ChannelPage:
    """All that a channel's page shows.

    Args:
        network: its name.
        layer: name of the layer.
        told: what the channel's group has stored of it.
        picture: file of its six pictures, side by side.
        size: side of each in pixels.
        photographs: address of the folder of photographs.
        seen: (height, width) of a photograph in pixels.
        before: the channel before this one, if any.
        after: the next one, if any.
        recipe: what made it, in JSON's types.
    """

    network: str
    layer: str
    told: Mapping[str, Any]
    picture: str
    size: int
    photographs: str
    seen: tuple[int, int]
    before: int | None
    after: int | None
    recipe: Mapping[str, Any]


def channel_html(page: ChannelPage) -> str:
    """The page of a channel; arrow keys turn to the next one and the one before.

    Example:
        >>> ablation = {"images": 2, "prediction_changes": 0, "classes": []}
        >>> told = {"channel": 3, "images": [], "prediction_changes": 0, "classes": [], "ablation": ablation}
        >>> page = ChannelPage("demo", "<b>", told, "3.webp", 32, "../images/", (8, 8), 2, None, {})
        >>> "Channel 3 of &lt;b&gt;" in channel_html(page)
        True
    """
    parts = [
        _turns(page),
        _views(page),
        _photographs(page),
        '<div class="twice">',
        _classes(page),
        _sample(page.told["ablation"]),
        "</div>",
        made_how(
            page.recipe, "Arrow keys turn to the channel before and to the next one; Escape goes to all channels."
        ),
    ]
    return site_page(
        GENERATOR, f"Channel {page.told['channel']} of {page.layer or 'the output'}", _way(page), parts,
        "../microscope.css", "../turn.js",
    )  # fmt: skip


def _way(page: ChannelPage) -> str:
    return (
        f'<nav class="way"><a href="../index.html">{escape(page.network)}</a> / '
        f'<a href="index.html" rel="up">{escape(page.layer or "(output)")}</a></nav>'
    )


def _turns(page: ChannelPage) -> str:
    before = "" if page.before is None else f'<a rel="prev" href="{page.before}.html">← {page.before}</a>'
    after = "" if page.after is None else f'<a rel="next" href="{page.after}.html">{page.after} →</a>'
    return f'<nav class="turns" aria-label="channels">{before}<a href="index.html">all channels</a>{after}</nav>'


def _views(page: ChannelPage) -> str:
    """Each of six pictures, cut out of the one file."""
    figures = "".join(
        f'<figure><svg viewBox="{place * page.size} 0 {page.size} {page.size}" role="img" aria-label="{name}">'
        f'<image href="{escape(page.picture)}" width="{len(VIEWS) * page.size}" height="{page.size}"/></svg>'
        f"<figcaption>{name}</figcaption></figure>"
        for place, name in enumerate(VIEWS)
    )
    return f'<section class="views" aria-label="pictures">{figures}</section>'


def _photographs(page: ChannelPage) -> str:
    heading = "<h2>What excites it most</h2>"
    if not page.told["images"]:
        return f"<section>{heading}<p>None of the photographs excites it.</p></section>"
    figures = "".join(_photograph(page, one) for one in page.told["images"])
    changed, of = page.told["prediction_changes"], len(page.told["images"])
    return (
        f'<section class="seen">{heading}<label class="whole"><input type="checkbox"> Whole photographs</label>'
        f'<div class="photographs">{figures}</div>'
        f"<p>Without the channel, {changed} of {_photos(of)} get another answer.</p></section>"
    )


def _photos(count: int) -> str:
    return f"{count} photograph{'' if count == 1 else 's'}"


def _photograph(page: ChannelPage, told: Mapping[str, Any]) -> str:
    """The patch that was seen, and the whole photograph with a frame about it, which takes its place on demand."""
    height, width = page.seen
    top, bottom, left, right = told["window"]
    address = escape(page.photographs + told["file"])
    image = f'<image href="{address}" width="{width}" height="{height}"/>'
    place = f'x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"'
    frame = f'<rect class="dark" {place}/><rect {place}/>'
    answers = " → ".join(dict.fromkeys(told["predictions"]))
    name = escape(told["name"])
    return (
        f'<figure tabindex="0"><svg class="patch" viewBox="{left} {top} {right - left} {bottom - top}" role="img" '
        f'aria-label="patch of {name}">{image}</svg><svg class="photo" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{name}">{image}{frame}</svg><figcaption><b>{_number(told["activation"])}</b> '
        f'<span title="{name}">{escape(answers)}</span></figcaption></figure>'
    )


def _classes(page: ChannelPage) -> str:
    rows: Sequence[Mapping[str, Any]] = page.told["classes"]
    most = max((abs(value) for one in rows for value in (one["attribution"], one["logit_drop"])), default=0.0)
    bars = "".join(
        f'<tr><th scope="row">{escape(one["label"])}</th><td>{_bar(one["attribution"], most)}</td>'
        f"<td>{_number(one['attribution'], True)}</td><td>{_bar(one['logit_drop'], most)}</td>"
        f"<td>{_number(one['logit_drop'], True)}</td></tr>"
        for one in rows
    )
    told = "Gradient × activation, and what the logit loses when the channel is off: means over the photographs above."
    table = (
        f"<p>{told}</p><table><thead><tr><th>Class</th><th colspan=2>Attribution</th><th colspan=2>Cost</th></tr>"
        f"</thead><tbody>{bars}</tbody></table>"
    )
    return f'<section class="classes"><h2>Classes it serves</h2>{table if rows else "<p>None.</p>"}</section>'


def _sample(told: Mapping[str, Any]) -> str:
    most = max((one["probability_drop"] for one in told["classes"]), default=0.0)
    bars = "".join(
        f'<tr><th scope="row">{escape(one["label"])}</th><td>{_bar(one["probability_drop"], most)}</td>'
        f"<td>{_number(100 * one['probability_drop'])} %</td></tr>"
        for one in told["classes"]
    )
    table = (
        f"<table><thead><tr><th>Class</th><th colspan=2>Probability lost</th></tr></thead><tbody>{bars}</tbody></table>"
    )
    return (
        '<section class="off"><h2>What switching it off costs</h2>'
        f"<p>{told['prediction_changes']} of {_photos(told['images'])}, the same for all channels, get another answer."
        f"</p>{table if bars else ''}</section>"
    )


def _bar(value: float, most: float) -> str:
    """A signed bar; in SVG, because the page's policy lets no element have a style of its own."""
    long = 0 if most == 0 else 50 * abs(value) / most
    side, start = ("more", 50.0) if value >= 0 else ("less", 50 - long)
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{side}" x="{start:.2f}" width="{long:.2f}" height="8"/>'
        '<line x1="50" x2="50" y1="0" y2="8"/></svg>'
    )


def _number(value: float, signed: bool = False) -> str:
    """
    >>> _number(-0.01234, True)
    '−0.0123'
    """
    return f"{value:{'+' if signed else ''}.3g}".replace("-", "−")
