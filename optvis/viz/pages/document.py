"""The frame of every interactive page: a head with its content security policy, a header, a recipe, a script."""

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


def html_document(
    generator: str, title: str, lead: str, main: Iterable[str], footer: str, style: str, data: str, script: str
) -> str:
    """One HTML text that loads nothing and runs only its own script.

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
        >>> text = html_document("optvis", "<b>", "", [], "", "p { color: red }", "{}", "'use strict'")
        >>> "<h1>&lt;b&gt;</h1>" in text
        True
    """
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">',
            f'<meta name="generator" content="{generator} {escape(__version__)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)} · optvis</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            f"<header><h1>{escape(title)}</h1>{_lead(lead)}</header>",
            "<main>",
            *main,
            "</main>",
            footer,
            f'<script type="application/json" id="data">{data}</script>',
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def page_footer(help_text: str, recipe: Mapping[str, Any]) -> str:
    """How to use the page, and its recipe; tensors in the recipe become lists."""
    text = json.dumps(dict(recipe), indent=2, ensure_ascii=False, default=lambda value: value.tolist())
    return (
        f'<footer><p class="help">{escape(help_text)}</p>'
        f"<details><summary>Recipe</summary><pre><code>{escape(text)}</code></pre></details>"
        f"<p>Made with optvis {escape(__version__)}.</p></footer>"
    )


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _lead(lead: str) -> str:
    return f'<p class="lead">{escape(lead)}</p>' if lead else ""
