"""The frame of the pages of a site, whose style and scripts are files beside them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from optvis.version import __version__

# 'self' covers pages from a server; pages opened from a disk have no origin, so file: is needed too.
OWN_FILES = "'self' file:"
POLICY = (
    f"default-src 'none'; img-src {OWN_FILES}; style-src {OWN_FILES}; script-src {OWN_FILES}; "
    "base-uri 'none'; form-action 'none'"
)


def site_document(generator: str, title: str, breadcrumbs: str, main: Iterable[str], style: str, script: str) -> str:
    """One HTML text that loads the site's own style, script and images, and nothing else.

    Args:
        generator: the command that writes such pages.
        title: any text.
        breadcrumbs: HTML above the title: where in the site this page is.
        main: HTML.
        style: address of the style sheet.
        script: address of the script, or none.

    Example:
        >>> "<h1>&lt;b&gt;</h1>" in site_document("optvis", "<b>", "", [], "a.css", "")
        True
    """
    script_tag = f'<script src="{escape(script)}" defer></script>' if script else ""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            f'<meta name="generator" content="{generator} {escape(__version__)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)} · optvis</title>",
            f'<link rel="stylesheet" href="{escape(style)}">',
            script_tag,
            "</head>",
            "<body>",
            f"<header>{breadcrumbs}<h1>{escape(title)}</h1></header>",
            "<main>",
            *main,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def recipe_footer(recipe: Mapping[str, Any], help_text: str = "") -> str:
    """A footer: how to use the page, and its recipe."""
    text = json.dumps(dict(recipe), indent=2, ensure_ascii=False)
    text_above = f'<p class="help">{escape(help_text)}</p>' if help_text else ""
    return (
        f"<footer>{text_above}<details><summary>Recipe</summary><pre><code>{escape(text)}</code></pre></details>"
        f"<p>Made with optvis {escape(__version__)}.</p></footer>"
    )
