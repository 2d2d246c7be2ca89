"""The page of one channel of a microscope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from optvis.viz.pages.document import page_footer
from optvis.viz.pages.microscope.site import site_page

VIEWS = ("Positive", "Negative", "Diverse 1", "Diverse 2", "Diverse 3", "Diverse 4")
HELP = "Arrow keys lead to the previous and to the next {unit}; Escape leads to all {unit}s."


@dataclass(frozen=True)
class ChannelPage:
    """All that a channel's page shows.

    Args:
        network: its name.
        layer: name of the layer.
        record: what is stored about the channel.
        renderings: file of its six renderings, side by side.
        size: side of each in pixels.
        image_folder: address of the folder of images.
        image_size: (height, width) of an image in pixels.
        previous: the channel before this one, or None.
        next: the channel after this one, or None.
        recipe: everything that computed it, in JSON types.
        unit: what the page calls it, a noun.
    """

    network: str
    layer: str
    record: Mapping[str, Any]
    renderings: str
    size: int
    image_folder: str
    image_size: tuple[int, int]
    previous: int | None
    next: int | None
    recipe: Mapping[str, Any]
    unit: str = "channel"


def channel_html(page: ChannelPage) -> str:
    """The page of a channel; arrow keys lead to the next one and the one before.

    Example:
        >>> ablation = {"images": 2, "prediction_changes": 0, "classes": []}
        >>> record = {"channel": 3, "images": [], "prediction_changes": 0, "classes": [], "ablation": ablation}
        >>> page = ChannelPage("demo", "<b>", record, "3.webp", 32, "../images/", (8, 8), 2, None, {})
        >>> "Channel 3 of &lt;b&gt;" in channel_html(page)
        True
    """
    parts = [
        _neighbor_links(page),
        _views(page),
        _top_images(page),
        '<div class="columns">',
        _classes(page),
        _ablation(page),
        "</div>",
        page_footer(page.recipe, HELP.format(unit=page.unit)),
    ]
    breadcrumbs = (
        f'<nav class="breadcrumbs"><a href="../index.html">{escape(page.network)}</a> / '
        f'<a href="index.html" rel="up">{escape(page.layer or "(output)")}</a></nav>'
    )
    title = f"{page.unit.capitalize()} {page.record['channel']} of {page.layer or 'the output'}"
    return site_page(title, breadcrumbs, parts, "../microscope.css", "../turn.js")


def _neighbor_links(page: ChannelPage) -> str:
    before = "" if page.previous is None else f'<a rel="prev" href="{page.previous}.html">← {page.previous}</a>'
    after = "" if page.next is None else f'<a rel="next" href="{page.next}.html">{page.next} →</a>'
    units = f"{page.unit}s"
    return f'<nav class="neighbors" aria-label="{units}">{before}<a href="index.html">all {units}</a>{after}</nav>'


def _views(page: ChannelPage) -> str:
    """Each of the six renderings, cut out of their file."""
    figures = "".join(
        f'<figure><svg viewBox="{index * page.size} 0 {page.size} {page.size}" role="img" aria-label="{name}">'
        f'<image href="{escape(page.renderings)}" width="{len(VIEWS) * page.size}" height="{page.size}"/></svg>'
        f"<figcaption>{name}</figcaption></figure>"
        for index, name in enumerate(VIEWS)
    )
    return f'<section class="views" aria-label="renderings">{figures}</section>'


def _top_images(page: ChannelPage) -> str:
    heading = "<h2>Top activations</h2>"
    if not page.record["images"]:
        return f"<section>{heading}<p>No image activates it.</p></section>"
    figures = "".join(_top_image(page, image) for image in page.record["images"])
    changed, count = page.record["prediction_changes"], len(page.record["images"])
    return (
        f'<section class="activations">{heading}<label class="whole"><input type="checkbox"> Whole images</label>'
        f'<div class="photographs">{figures}</div>'
        f"<p>Without the {page.unit}, {changed} of {_count_images(count)} get another prediction.</p></section>"
    )


def _count_images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _top_image(page: ChannelPage, record: Mapping[str, Any]) -> str:
    """The patch of an image, and the whole image with a frame around the patch, which replaces it on demand."""
    height, width = page.image_size
    top, bottom, left, right = record["window"]
    address = escape(page.image_folder + record["file"])
    image = f'<image href="{address}" width="{width}" height="{height}"/>'
    area = f'x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"'
    frame = f'<rect class="dark" {area}/><rect {area}/>'
    predictions = " → ".join(dict.fromkeys(record["predictions"]))
    name = escape(record["name"])
    return (
        f'<figure tabindex="0"><svg class="patch" viewBox="{left} {top} {right - left} {bottom - top}" role="img" '
        f'aria-label="patch of {name}">{image}</svg><svg class="photo" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{name}">{image}{frame}</svg><figcaption><b>{_format_number(record["activation"])}</b> '
        f'<span title="{name}">{escape(predictions)}</span></figcaption></figure>'
    )


def _classes(page: ChannelPage) -> str:
    rows: Sequence[Mapping[str, Any]] = page.record["classes"]
    most = max((abs(value) for one in rows for value in (one["attribution"], one["logit_drop"])), default=0.0)
    bars = "".join(
        f'<tr><th scope="row">{escape(one["label"])}</th><td>{_bar(one["attribution"], most)}</td>'
        f"<td>{_format_number(one['attribution'], True)}</td><td>{_bar(one['logit_drop'], most)}</td>"
        f"<td>{_format_number(one['logit_drop'], True)}</td></tr>"
        for one in rows
    )
    text = f"Gradient × activation, and the drop of the logit when the {page.unit} is off: means over the images above."
    table = f"<p>{text}</p>{_table(('Attribution', 'Logit drop'), bars)}"
    return f'<section class="classes"><h2>Attribution to classes</h2>{table if rows else "<p>None.</p>"}</section>'


def _ablation(page: ChannelPage) -> str:
    """What changes on a sample of images when the channel is off."""
    record = page.record["ablation"]
    most = max((one["probability_drop"] for one in record["classes"]), default=0.0)
    bars = "".join(
        f'<tr><th scope="row">{escape(one["label"])}</th><td>{_bar(one["probability_drop"], most)}</td>'
        f"<td>{_format_number(100 * one['probability_drop'])} %</td></tr>"
        for one in record["classes"]
    )
    table = _table(("Probability drop",), bars)
    return (
        '<section class="ablation"><h2>Effect of ablation</h2>'
        f"<p>Without the {page.unit}, {record['prediction_changes']} of {_count_images(record['images'])}, the same "
        f"for all {page.unit}s, get another prediction.</p>{table if bars else ''}</section>"
    )


def _table(columns: Sequence[str], rows: str) -> str:
    head = "".join(f"<th colspan=2>{column}</th>" for column in columns)
    return f"<table><thead><tr><th>Class</th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _bar(value: float, most: float) -> str:
    """A signed bar, as SVG, because the page's content security policy forbids style attributes."""
    length = 0 if most == 0 else 50 * abs(value) / most
    side, start = ("more", 50.0) if value >= 0 else ("less", 50 - length)
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="{side}" x="{start:.2f}" width="{length:.2f}" height="8"/>'
        '<line x1="50" x2="50" y1="0" y2="8"/></svg>'
    )


def _format_number(value: float, signed: bool = False) -> str:
    """Write a number with three significant digits.

    >>> _format_number(-0.01234, True)
    '−0.0123'
    """
    return f"{value:{'+' if signed else ''}.3g}".replace("-", "−")
