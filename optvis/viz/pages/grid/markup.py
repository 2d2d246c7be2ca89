"""The page of an activation grid as one HTML text."""

from __future__ import annotations

from html import escape

import torch

from optvis.viz.pages.document import document, footer_of
from optvis.viz.pages.grid.numbers import shown_channels, to_json
from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage
from optvis.viz.pages.grid.panel import PANEL
from optvis.viz.pages.grid.script import SCRIPT
from optvis.viz.pages.grid.sprites import data_uri, nearly_square, packed, sprite
from optvis.viz.pages.grid.style import STYLE
from optvis.viz.sheet import to_pil_image

GENERATOR = "optvis grid"
HELP = (
    "Point at an icon or the photograph, or tap. A click or Enter pins it, Escape lets go, arrow keys go on. "
    "Rows and columns are counted from 0."
)


def to_html(page: GridPage) -> str:
    """The page as one HTML text: pictures, style and script in it, nothing loaded from anywhere.

    Pointing at an icon, or at a place on the photograph, shows the icon large, its channels and its attributions.
    A click or Enter pins it, Escape lets go; arrow keys go from cell to cell. Rows and columns are counted from 0.
    Without JavaScript the photograph and the icons are there and nothing answers. A content security policy lets this
    script and this style run, and nothing else.

    Raises:
        ValueError: the icons of a layer together are larger than WebP holds.

    Example:
        >>> one = torch.ones(1, 1)
        >>> layer = GridLayer("mixed4", torch.rand(1, 1, 3, 8, 8), one > 0, one, one[..., None].long(), one[..., None])
        >>> text = to_html(GridPage("Ships & boats", (layer,), torch.rand(3, 8, 8), {}))
        >>> "<h1>Ships &amp; boats</h1>" in text, "http:" in text
        (True, False)
    """
    style = STYLE + "".join(_pictures(place, layer) for place, layer in enumerate(page.layers))
    main = [
        _tools(page),
        '<div class="exhibit">',
        _photo(page),
        '<div class="layers">',
        *(_section(place, layer) for place, layer in enumerate(page.layers)),
        "</div>",
        PANEL,
        "</div>",
    ]
    footer = footer_of(HELP, page.recipe)
    return document(GENERATOR, page.title, page.lead, main, footer, style, to_json(page), SCRIPT)


def _pictures(place: int, layer: GridLayer) -> str:
    """The rules that bring a layer's icons: each picture stands in the page once."""
    rows, columns = layer.size
    rules = (
        f".of-{place} {{ --rows: {rows}; --columns: {columns}; }}\n"
        f".of-{place}.still, .of-{place} .icon {{ background-image: url({sprite(layer.icons, layer.present)}); }}\n"
    )
    shown = shown_channels(layer)
    if not shown:
        return rules
    address = packed(torch.stack([layer.channel_icons[channel] for channel in shown]))
    down, across = nearly_square(len(shown))
    return rules + (
        f".channels-{place} {{ --rows: {down}; --columns: {across}; }}\n"
        f".channels-{place} .icon {{ background-image: url({address}); }}\n"
    )


def _tools(page: GridPage) -> str:
    choices = "".join(
        f'<label><input type="radio" name="layer" value="{place}"{" checked" * (place == 0)}>'
        f"<span>{escape(layer.layer)}</span></label>"
        for place, layer in enumerate(page.layers)
    )
    tabs = f'<fieldset class="tabs"><legend>Layer</legend>{choices}</fieldset>' if len(page.layers) > 1 else ""
    options = "".join(f'<option value="{place}">{escape(label)}</option>' for place, label in enumerate(page.labels))
    classes = (
        f'<label class="class">Attribution to <select name="class"><option value="">no class</option>{options}'
        "</select></label>"
    )
    return (
        f'<form class="tools" autocomplete="off" hidden>{tabs}{classes if options else ""}'
        '<label><input type="checkbox" name="sized"> Sized by activation</label>'
        '<label><input type="checkbox" name="gaps"> Gaps</label></form>'
        "<noscript><p>Without JavaScript the icons can be seen but not asked.</p></noscript>"
    )


def _photo(page: GridPage) -> str:
    legend = (
        '<figcaption class="legend" hidden><p></p><div class="scale"></div>'
        '<div class="ends"><span></span><span>0</span><span></span></div></figcaption>'
    )
    return (
        f'<figure class="photo"><div class="frame"><img src="{data_uri(to_pil_image(page.photo))}" '
        'alt="the photograph"><canvas hidden></canvas><i class="place" hidden></i></div>'
        f"{legend}</figure>"
    )


def _section(place: int, layer: GridLayer) -> str:
    rows, columns = layer.size
    name = escape(layer.layer)
    return (
        f'<section class="layer"><div class="sheet"><h2>{name} <small>{rows} × {columns} cells</small></h2>'
        f'<div class="cells of-{place} still" role="img" aria-label="activation grid of {name}"></div></div>'
        f"{'' if layer.groups is None else _groups(layer.groups)}</section>"
    )


def _groups(groups: GridGroups) -> str:
    buttons = "".join(
        f'<button type="button" aria-pressed="false"><img src="{data_uri(to_pil_image(icon))}" alt="">'
        f'<span>Group {place}</span><span class="share"></span></button>'
        for place, icon in enumerate(groups.icons)
    )
    heading = '<h3>Groups of neurons <small class="whose"></small></h3>'
    return f'<div class="grouped">{heading}<div class="groups">{buttons}</div></div>'
