"""What pages of a site have around them, whose style and scripts lie beside them in files of their own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from optvis.version import __version__

# 'self' is what a server gives; opened from a disk, pages have no origin that it could mean.
OWN = "'self' file:"
POLICY = f"default-src 'none'; img-src {OWN}; style-src {OWN}; script-src {OWN}; base-uri 'none'; form-action 'none'"


def site_page(generator: str, title: str, way: str, main: Iterable[str], style: str, script: str) -> str:
    """One HTML text that loads the site's own style, script and pictures, and nothing else.

    Args:
        generator: the command that makes such pages.
        title: any text.
        way: HTML above the title: where in the site this is.
        main: HTML.
        style: address of the style sheet.
        script: address of the script, or none.

    Example:
        >>> "<h1>&lt;b&gt;</h1>" in site_page("optvis", "<b>", "", [], "a.css", "")
        True
    """
    loaded = f'<script src="{escape(script)}" defer></script>' if script else ""
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
            loaded,
            "</head>",
            "<body>",
            f"<header>{way}<h1>{escape(title)}</h1></header>",
            "<main>",
            *main,
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def made_how(recipe: Mapping[str, Any], help_text: str = "") -> str:
    """A footer: how the page is used, and how it was made."""
    text = json.dumps(dict(recipe), indent=2, ensure_ascii=False)
    told = f'<p class="help">{escape(help_text)}</p>' if help_text else ""
    return (
        f"<footer>{told}<details><summary>How this was made</summary><pre><code>{escape(text)}</code></pre></details>"
        f"<p>Made with optvis {escape(__version__)}.</p></footer>"
    )
