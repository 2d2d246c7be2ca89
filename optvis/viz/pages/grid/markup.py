"""The page of an activation grid as one HTML text."""

from __future__ import annotations

from html import escape

import torch

from optvis.viz.pages.assets import build_script, read_assets
from optvis.viz.pages.document import LEGEND, class_menu, interactive_page
from optvis.viz.pages.grid.data import channels_with_icons, grid_data
from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage
from optvis.viz.pages.sprites import data_uri, icon_sheet_uri, sheet_shape, sprite_uri
from optvis.viz.sheet import to_pil_image

STYLES = (
    *("base.css", "tools.css", "grid/exhibit.css", "legend.css", "grid/cells.css"),
    *("panel.css", "footer.css", "grid/narrow.css"),
)
SCRIPTS = ("helpers.js", "grid/state.js", "grid/panel.js", "grid/main.js")
HELP = (
    "Point at an icon or at the image, or tap it. A click or Enter pins it, Escape unpins it, arrow keys move on. "
    "Rows and columns are counted from 0."
)


def grid_html(page: GridPage) -> str:
    """The page as one HTML text, with its images, style and script in it: it loads nothing.

    Pointing at an icon, or at a position of the image, shows the icon large, its channels and its attributions.
    A click or Enter pins it, Escape unpins it; arrow keys move from cell to cell. Rows and columns are counted from 0.
    Without JavaScript the page shows the image and the icons. A content security policy allows this script and this
    style, and nothing else.

    Raises:
        ValueError: the icons of a layer together are larger than WebP allows.

    Example:
        >>> one = torch.ones(1, 1)
        >>> layer = GridLayer("mixed4", torch.rand(1, 1, 3, 8, 8), one > 0, one, one[..., None].long(), one[..., None])
        >>> text = grid_html(GridPage("Ships & boats", (layer,), torch.rand(3, 8, 8), {}))
        >>> "<h1>Ships &amp; boats</h1>" in text, "http:" in text
        (True, False)
    """
    style = read_assets(*STYLES) + "".join(_icon_rules(index, layer) for index, layer in enumerate(page.layers))
    main = [
        _tools(page),
        '<div class="exhibit">',
        _image(page),
        '<div class="layers">',
        *(_section(index, layer) for index, layer in enumerate(page.layers)),
        "</div>",
        read_assets("grid/panel.html").rstrip(),
        "</div>",
    ]
    return interactive_page("grid", page, main, HELP, style, grid_data(page), build_script(*SCRIPTS))


def _icon_rules(index: int, layer: GridLayer) -> str:
    """The CSS that shows a layer's icons: each image is in the page once."""
    rows, columns = layer.size
    rules = (
        f".of-{index} {{ --rows: {rows}; --columns: {columns}; }}\n"
        f".of-{index}.still, .of-{index} .icon {{ background-image: url({sprite_uri(layer.icons, layer.present)}); }}\n"
    )
    channels = channels_with_icons(layer)
    if not channels:
        return rules
    uri = icon_sheet_uri(torch.stack([layer.channel_icons[channel] for channel in channels]))
    rows, columns = sheet_shape(len(channels))
    return rules + (
        f".channels-{index} {{ --rows: {rows}; --columns: {columns}; }}\n"
        f".channels-{index} .icon {{ background-image: url({uri}); }}\n"
    )


def _tools(page: GridPage) -> str:
    choices = "".join(
        f'<label><input type="radio" name="layer" value="{index}"{" checked" * (index == 0)}>'
        f"<span>{escape(layer.layer)}</span></label>"
        for index, layer in enumerate(page.layers)
    )
    tabs = f'<fieldset class="tabs"><legend>Layer</legend>{choices}</fieldset>' if len(page.layers) > 1 else ""
    return (
        f'<form class="tools" autocomplete="off" hidden>{tabs}{class_menu(page.labels)}'
        '<label><input type="checkbox" name="sized"> Sized by activation</label>'
        '<label><input type="checkbox" name="gaps"> Gaps</label></form>'
        "<noscript><p>Without JavaScript the icons do not respond.</p></noscript>"
    )


def _image(page: GridPage) -> str:
    return (
        f'<figure class="photo"><div class="frame"><img src="{data_uri(to_pil_image(page.image))}" '
        'alt="the image"><canvas hidden></canvas><i class="place" hidden></i></div>'
        f'<figcaption class="legend" hidden>{LEGEND}</figcaption></figure>'
    )


def _section(index: int, layer: GridLayer) -> str:
    rows, columns = layer.size
    name = escape(layer.layer)
    return (
        f'<section class="layer"><div class="sheet"><h2>{name} <small>{rows} × {columns} cells</small></h2>'
        f'<div class="cells of-{index} still" role="img" aria-label="activation grid of {name}"></div></div>'
        f"{'' if layer.groups is None else _groups(layer.groups)}</section>"
    )


def _groups(groups: GridGroups) -> str:
    buttons = "".join(
        f'<button type="button" aria-pressed="false"><img src="{data_uri(to_pil_image(icon))}" alt="">'
        f'<span>Group {index}</span><span class="share"></span></button>'
        for index, icon in enumerate(groups.icons)
    )
    heading = '<h3>Neuron groups <small class="class-name"></small></h3>'
    return f'<div class="grouped">{heading}<div class="groups">{buttons}</div></div>'
