"""What all pages have around their content: a head with a content security policy, a header, a recipe."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from typing import Any

from optvis.version import __version__

# Buttons of a panel that move from cell to cell, for touch screens.
STEP_BUTTONS = """<div class="steps"><button type="button" data-step="-1 0" aria-label="one row up">↑</button
><button type="button" data-step="1 0" aria-label="one row down">↓</button
><button type="button" data-step="0 -1" aria-label="one column left">←</button
><button type="button" data-step="0 1" aria-label="one column right">→</button
><button type="button" class="close" aria-label="close">×</button></div>"""


def html_frame(
    generator: str,
    title: str,
    policy: str,
    resources: Iterable[str],
    header: str,
    main: Iterable[str],
    end: Iterable[str],
) -> str:
    """An HTML text: what all pages have around their content.

    Args:
        generator: the command that writes such pages.
        title: any text.
        policy: the content security policy.
        resources: HTML of the head: style, scripts.
        header: HTML.
        main: HTML.
        end: HTML below it: footer, scripts.
    """
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f'<meta name="generator" content="{generator} {escape(__version__)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)} · optvis</title>",
            *resources,
            "</head>",
            "<body>",
            f"<header>{header}</header>",
            "<main>",
            *main,
            "</main>",
            *end,
            "</body>",
            "</html>",
            "",
        ]
    )


def interactive_page(
    generator: str, title: str, lead: str, main: Iterable[str], footer: str, style: str, data: str, script: str
) -> str:
    """An HTML text that loads nothing and runs only its own script.

    Args:
        generator: the command that writes such pages.
        title: any text.
        lead: any text, or none.
        main: HTML.
        footer: HTML.
        style: CSS.
        data: what the script reads, as JSON that can stand inside HTML.
        script: JavaScript.

    Example:
        >>> text = interactive_page("optvis", "<b>", "", [], "", "p { color: red }", "{}", "'use strict'")
        >>> "<h1>&lt;b&gt;</h1>" in text
        True
    """
    header = f"<h1>{escape(title)}</h1>" + (f'<p class="lead">{escape(lead)}</p>' if lead else "")
    scripts = f'<script type="application/json" id="data">{data}</script>', f"<script>{script}</script>"
    resources = [f"<style>{style}</style>"]
    return html_frame(generator, title, _policy(style, script), resources, header, main, [footer, *scripts])


def page_footer(recipe: Mapping[str, Any], help_text: str = "") -> str:
    """How to use the page, and its recipe; tensors in the recipe become lists."""
    text = json.dumps(dict(recipe), indent=2, ensure_ascii=False, default=lambda value: value.tolist())
    help_html = f'<p class="help">{escape(help_text)}</p>' if help_text else ""
    return (
        f"<footer>{help_html}<details><summary>Recipe</summary><pre><code>{escape(text)}</code></pre></details>"
        f"<p>Made with optvis {escape(__version__)}.</p></footer>"
    )


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
