"""The sheet of all channels of a layer, and the first page with links to the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from optvis.viz.pages.assets import read_assets
from optvis.viz.pages.document import page_footer
from optvis.viz.pages.microscope.site import site_page


@dataclass(frozen=True)
class Tile:
    """A channel on a sheet.

    Args:
        channel: its number.
        sprite: file of its group's thumbnails: positives in a row, negatives below.
        index: of its own thumbnail among them.
        count: how many there are.
        label: the class with the largest attribution, or "".
        strength: its largest activation.
    """

    channel: int
    sprite: str
    index: int
    count: int
    label: str
    strength: float


@dataclass(frozen=True)
class SheetPage:
    """All that a layer's sheet shows.

    Args:
        network: its name.
        layer: name of the layer.
        tiles: of the finished channels.
        channels: how many the finished layer has.
        unit: what the page calls them, a noun.
    """

    network: str
    layer: str
    tiles: tuple[Tile, ...]
    channels: int
    unit: str = "channel"


@dataclass(frozen=True)
class LayerLink:
    """A layer on the first page.

    Args:
        layer: its name.
        folder: of its pages.
        channels: how many the finished layer has.
        finished: how many are finished.
        unit: what the page calls them, a noun.
    """

    layer: str
    folder: str
    channels: int
    finished: int
    unit: str = "channel"


def sheet_html(page: SheetPage) -> str:
    """The sheet of a layer: icons of its channels, by number, strongest class or activation.

    Example:
        >>> page = SheetPage("demo", "<b>", (Tile(3, "group-0-7.webp", 3, 8, "owl", 1.5),), 16)
        >>> "1 of 16 channels" in sheet_html(page)
        True
    """
    breadcrumbs = f'<nav class="breadcrumbs"><a href="../index.html">{escape(page.network)}</a></nav>'
    count = len(page.tiles) if len(page.tiles) == page.channels else f"{len(page.tiles)} of {page.channels}"
    tiles, tools = "\n".join(map(_tile, page.tiles)), read_assets("microscope/tools.html").rstrip()
    parts = [f'<p class="lead">{count} {page.unit}s</p>', tools, f'<div class="tiles">\n{tiles}\n</div>']
    return site_page(page.layer or "(output)", breadcrumbs, parts, "../microscope.css", "../sheet.js")


def index_html(network: str, links: Sequence[tuple[LayerLink, str, int]], recipe: Mapping[str, Any]) -> str:
    """The first page.

    Args:
        network: its name.
        links: the layers, each with the address of the thumbnails of its first group, if any, and how many these are.
        recipe: everything that computed it, in JSON types.
    """
    items = "\n".join(_layer(*link) for link in links)
    general = {key: value for key, value in recipe.items() if key != "channels"}
    parts = [f'<ul class="layers">\n{items}\n</ul>', page_footer(general)]
    return site_page(network, "", parts, "microscope.css", "")


def _tile(tile: Tile) -> str:
    label = escape(tile.label)
    return (
        f'<a class="tile" href="{tile.channel}.html" data-channel="{tile.channel}" data-strength="{tile.strength:g}" '
        f'title="{tile.channel}: {label if label else "no class"}">'
        f"{_thumbnail(tile.sprite, tile.index, tile.count)}<b>{tile.channel}</b> <span>{label}</span></a>"
    )


def _thumbnail(sprite: str, index: int, count: int) -> str:
    return f'<i class="p{index} of{count}"><img loading="lazy" src="{escape(sprite)}" alt=""></i>'


def _layer(link: LayerLink, sprite: str, count: int) -> str:
    thumbnails = "".join(_thumbnail(sprite, index, count) for index in range(min(count, 8)))
    name = escape(link.layer or "(output)")
    count_text = f"{link.channels} {link.unit}s" + (
        "" if link.finished == link.channels else f", {link.finished} finished"
    )
    inside = f'<span class="strip">{thumbnails}</span><b>{name}</b> <span>{count_text}</span>'
    return (
        f'<li><a href="{escape(link.folder)}/index.html">{inside}</a></li>' if link.finished else f"<li>{inside}</li>"
    )
