"""The page of an activation atlas as one HTML text."""

from __future__ import annotations

from html import escape

from optvis.viz.pages.atlas.numbers import to_json
from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.pages.atlas.panel import PANEL
from optvis.viz.pages.atlas.script import SCRIPT
from optvis.viz.pages.atlas.style import STYLE
from optvis.viz.pages.document import document, footer_of
from optvis.viz.pages.grid.sprites import check_fits, data_uri, packed
from optvis.viz.sheet import draw_cells

GENERATOR = "optvis atlas"
HELP = (
    "Drag the map to move it; zoom with the wheel, two fingers, a double click or the keys + − 0. Point at a cell, or "
    "tap it. A click or Enter pins it, Escape lets go, arrow keys go to the next cell, and with Shift they move the "
    "map. Rows and columns are counted from 0."
)


def to_html(page: AtlasPage) -> str:
    """The page as one HTML text: pictures, style and script in it, nothing loaded from anywhere.

    The map can be moved and enlarged, and finer levels come up as it grows. Pointing at a cell shows its icon large,
    how many points it holds, its classes, and the photographs nearest to it. Without JavaScript one level is there as
    a still picture. A content security policy lets this script and this style run, and nothing else.

    Raises:
        ValueError: the icons of a level, or the exemplars, are together larger than WebP holds.

    Example:
        >>> import torch
        >>> cells, count, none = torch.zeros(1, 2).long(), torch.tensor([4]), torch.zeros(1, 0)
        >>> level = AtlasLevel(1, cells, count, torch.rand(1, 3, 8, 8), count > 0, none, none.long())
        >>> text = to_html(AtlasPage("Ships & boats", "mixed4", (level,), (), torch.rand(0, 3, 8, 8), (), 1, {}))
        >>> "<h1>Ships &amp; boats</h1>" in text, "http:" in text
        (True, False)
    """
    main = [_tools(page), '<div class="exhibit">', _map(page), PANEL, "</div>"]
    footer = footer_of(HELP, page.recipe)
    return document(GENERATOR, page.title, page.lead, main, footer, STYLE, to_json(page), SCRIPT)


def _tools(page: AtlasPage) -> str:
    options = "".join(f'<option value="{place}">{escape(label)}</option>' for place, label in enumerate(page.labels))
    classes = (
        f'<label class="class">Attribution to <select name="class"><option value="">no class</option>{options}'
        "</select></label>"
    )
    return (
        f'<form class="tools" autocomplete="off" hidden>{classes if options else ""}'
        '<label><input type="checkbox" name="filled"> Fill the cells</label>'
        '<div class="zoom"><button type="button" data-zoom="2" aria-label="larger">+</button>'
        '<button type="button" data-zoom="0.5" aria-label="smaller">−</button>'
        '<button type="button" data-zoom="0" aria-label="the whole map">Whole</button></div></form>'
        "<noscript><p>Without JavaScript one level of the map can be seen, but not enlarged or asked.</p></noscript>"
    )


def _map(page: AtlasPage) -> str:
    still = (len(page.levels) - 1) // 2
    pictures = "".join(_picture(place, level, shown=place == still) for place, level in enumerate(page.levels))
    exemplars = f'<img id="exemplars" src="{packed(page.exemplars)}" alt="" hidden>' if page.names else ""
    name = escape(page.layer)
    return (
        f'<figure class="atlas"><div class="map">{pictures}{exemplars}'
        f'<canvas tabindex="0" role="application" aria-roledescription="map" aria-label="activation atlas of {name}" '
        'hidden></canvas><p class="tag" aria-hidden="true" hidden></p></div>'
        f"{_ends(page.ends)}"
        '<figcaption><p class="level"></p><div class="legend" hidden><p></p><div class="scale"></div>'
        '<div class="ends"><span></span><span>0</span><span></span></div></div>'
        '<p class="heard" role="status"></p></figcaption></figure>'
    )


def _picture(place: int, level: AtlasLevel, *, shown: bool) -> str:
    alt = f"the map in {level.size} × {level.size} cells"
    return f'<img id="level-{place}" src="{_laid_out(level)}" alt="{alt}"{"" if shown else " hidden"}>'


def _laid_out(level: AtlasLevel) -> str:
    """Every icon where its cell is, and nothing elsewhere."""
    side = level.size * level.icons.shape[-1]
    check_fits(side, side)
    drawn = level.present
    return data_uri(draw_cells(level.icons[drawn.to(level.icons.device)], level.cells[drawn], level.size, mode="RGBA"))


def _ends(ends: tuple[str, str] | None) -> str:
    if ends is None:
        return ""
    left, right = (escape(end) for end in ends)
    return (
        f'<div class="axis" role="note"><span title="{left}">← {left}</span><i></i>'
        f'<span title="{right}">{right} →</span></div>'
    )
