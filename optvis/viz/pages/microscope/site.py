"""What the pages of a site share: their frame, and the style sheet beside them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from optvis.viz.pages.assets import read_assets
from optvis.viz.pages.document import format_header, html_frame

# 'self' covers pages from a server; pages opened from a disk have no origin, so file: is needed too.
OWN_FILES = "'self' file:"
POLICY = dict.fromkeys(("img", "style", "script"), OWN_FILES)


def site_page(title: str, breadcrumbs: str, main: Iterable[str], style: str, script: str) -> str:
    """An HTML text that loads the site's own style, script and images, and nothing else.

    Args:
        title: any text.
        breadcrumbs: HTML above the title: where in the site this page is.
        main: HTML.
        style: address of the style sheet.
        script: address of the script, or none.

    Example:
        >>> "<h1>&lt;b&gt;</h1>" in site_page("<b>", "", [], "a.css", "")
        True
    """
    deferred = f'<script src="{escape(script)}" defer></script>' if script else ""
    resources = [f'<link rel="stylesheet" href="{escape(style)}">', deferred]
    return html_frame("optvis microscope", title, POLICY, resources, breadcrumbs + format_header(title), main, [])


def site_style(group: int) -> str:
    """The style sheet of all pages of a site, whose sprites hold so many thumbnails."""
    rules = (f".p{index} img {{ left: -{100 * index}%; }}\n".replace("-0%", "0%") for index in range(group))
    return read_assets("base.css", "tools.css", "footer.css", "microscope/microscope.css") + "".join(rules)
