"""The page of an activation atlas as one HTML text."""

from __future__ import annotations

from html import escape

from optvis.viz.pages.assets import build_script, read_assets
from optvis.viz.pages.atlas.data import atlas_data
from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.pages.document import LEGEND, class_menu, interactive_page
from optvis.viz.pages.sprites import check_sprite_size, data_uri, icon_sheet_uri
from optvis.viz.sheet import draw_cells

STYLES = (
    *("base.css", "tools.css", "atlas/map.css", "legend.css", "panel.css"),
    *("atlas/cell.css", "footer.css", "atlas/narrow.css"),
)
SCRIPTS = ("helpers.js", *(f"atlas/{name}.js" for name in ("state", "panel", "view", "interaction", "main")))
HELP = (
    "Drag the map to move it; zoom with the wheel, two fingers, a double click or the keys + − 0. Point at a cell, or "
    "tap it. A click or Enter pins it, Escape unpins it, arrow keys move to the next cell, and with Shift they move "
    "the map. Rows and columns are counted from 0."
)


def atlas_html(page: AtlasPage) -> str:
    """The page as one HTML text, with its images, style and script in it: it loads nothing.

    The map pans and zooms, and finer levels appear as it grows. Pointing at a cell shows its icon large, how many
    points it holds, its classes, and the nearest images. Without JavaScript the page shows one level as an image. A
    content security policy allows this script and this style, and nothing else.

    Raises:
        ValueError: the icons of a level, or the exemplars, are together larger than WebP allows.

    Example:
        >>> import torch
        >>> cells, count, none = torch.zeros(1, 2).long(), torch.tensor([4]), torch.zeros(1, 0)
        >>> level = AtlasLevel(1, cells, count, torch.rand(1, 3, 8, 8), count > 0, none, none.long())
        >>> text = atlas_html(AtlasPage("Ships & boats", "mixed4", (level,), (), torch.rand(0, 3, 8, 8), (), 1, {}))
        >>> "<h1>Ships &amp; boats</h1>" in text, "http:" in text
        (True, False)
    """
    main = [_tools(page), '<div class="exhibit">', _map(page), read_assets("atlas/panel.html").rstrip(), "</div>"]
    return interactive_page("atlas", page, main, HELP, read_assets(*STYLES), atlas_data(page), build_script(*SCRIPTS))


def _tools(page: AtlasPage) -> str:
    return (
        f'<form class="tools" autocomplete="off" hidden>{class_menu(page.labels)}'
        '<label><input type="checkbox" name="filled"> Fill the cells</label>'
        '<div class="zoom"><button type="button" data-zoom="2" aria-label="larger">+</button>'
        '<button type="button" data-zoom="0.5" aria-label="smaller">−</button>'
        '<button type="button" data-zoom="0" aria-label="the whole map">Whole</button></div></form>'
        "<noscript><p>Without JavaScript the map shows one level and does not respond.</p></noscript>"
    )


def _map(page: AtlasPage) -> str:
    middle = (len(page.levels) - 1) // 2
    images = "".join(_level_image(index, level, visible=index == middle) for index, level in enumerate(page.levels))
    exemplars = f'<img id="exemplars" src="{icon_sheet_uri(page.exemplars)}" alt="" hidden>' if page.names else ""
    name = escape(page.layer)
    return (
        f'<figure class="atlas"><div class="map">{images}{exemplars}'
        f'<canvas tabindex="0" role="application" aria-roledescription="map" aria-label="activation atlas of {name}" '
        'hidden></canvas><p class="tag" aria-hidden="true" hidden></p></div>'
        f"{_ends(page.ends)}"
        f'<figcaption><p class="level"></p><div class="legend" hidden>{LEGEND}</div>'
        '<p class="announcement" role="status"></p></figcaption></figure>'
    )


def _level_image(index: int, level: AtlasLevel, *, visible: bool) -> str:
    alt = f"the map in {level.size} × {level.size} cells"
    return f'<img id="level-{index}" src="{_map_uri(level)}" alt="{alt}"{"" if visible else " hidden"}>'


def _map_uri(level: AtlasLevel) -> str:
    """The icons in their cells, on a transparent background, as a data URI."""
    side = level.size * level.icons.shape[-1]
    check_sprite_size(side, side)
    rows = level.present
    return data_uri(draw_cells(level.icons[rows.to(level.icons.device)], level.cells[rows], level.size, mode="RGBA"))


def _ends(ends: tuple[str, str] | None) -> str:
    if ends is None:
        return ""
    left, right = (escape(end) for end in ends)
    return (
        f'<div class="axis" role="note"><span title="{left}">← {left}</span><i></i>'
        f'<span title="{right}">{right} →</span></div>'
    )
