"""The frame of the pages of a site, whose style and scripts are files beside them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from optvis.viz.pages.document import html_frame

# 'self' covers pages from a server; pages opened from a disk have no origin, so file: is needed too.
OWN_FILES = "'self' file:"
POLICY = (
    f"default-src 'none'; img-src {OWN_FILES}; style-src {OWN_FILES}; script-src {OWN_FILES}; "
    "base-uri 'none'; form-action 'none'"
)


def site_page(generator: str, title: str, breadcrumbs: str, main: Iterable[str], style: str, script: str) -> str:
    """An HTML text that loads the site's own style, script and images, and nothing else.

    Args:
        generator: the command that writes such pages.
        title: any text.
        breadcrumbs: HTML above the title: where in the site this page is.
        main: HTML.
        style: address of the style sheet.
        script: address of the script, or none.

    Example:
        >>> "<h1>&lt;b&gt;</h1>" in site_page("optvis", "<b>", "", [], "a.css", "")
        True
    """
    resources = [f'<link rel="stylesheet" href="{escape(style)}">']
    resources.append(f'<script src="{escape(script)}" defer></script>' if script else "")
    return html_frame(generator, title, POLICY, resources, f"{breadcrumbs}<h1>{escape(title)}</h1>", main, [])
