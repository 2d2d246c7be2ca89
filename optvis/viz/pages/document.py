"""What all pages have around their content: a head with a content security policy, a header, a recipe."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from typing import Any, Protocol

from optvis.version import __version__

Parts = Iterable[str]
LEGEND = '<p></p><div class="scale"></div><div class="ends"><span></span><span>0</span><span></span></div>'


class InteractivePage(Protocol):
    """A page's texts, beside its content."""

    @property
    def title(self) -> str: ...
    @property
    def lead(self) -> str: ...
    @property
    def recipe(self) -> Mapping[str, Any]: ...


def html_frame(
    generator: str, title: str, policy: Mapping[str, str], resources: Parts, header: str, main: Parts, end: Parts
) -> str:
    """An HTML text: what all pages have around their content.

    Args:
        generator: the command that writes such pages.
        title: any text.
        policy: what the content security policy allows, by kind of resource; nothing else is loaded.
        resources, header, main, end: HTML of the head (style, scripts), above the content, of the content, and below.
    """
    allowed = "".join(f"{kind}-src {sources}; " for kind, sources in policy.items())
    rules = f"default-src 'none'; {allowed}base-uri 'none'; form-action 'none'"
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            *([f'<meta http-equiv="Content-Security-Policy" content="{rules}">'] if policy else []),
            f'<meta name="generator" content="{generator} {escape(__version__)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)} · optvis</title>",
            *resources,
            f"</head>\n<body>\n<header>{header}</header>\n<main>",
            *main,
            "</main>",
            *end,
            "</body>\n</html>\n",
        ]
    )


def format_header(title: str, lead: str = "") -> str:
    """A heading, and a sentence below it, or none."""
    return f"<h1>{escape(title)}</h1>" + (f'<p class="lead">{escape(lead)}</p>' if lead else "")


def interactive_page(
    kind: str, page: InteractivePage, main: Iterable[str], usage: str, style: str, data: str, script: str
) -> str:
    """An HTML text that loads nothing and runs only its own script.

    Args:
        kind: of page: the command that writes it, such as "atlas".
        page: any object with a title, a lead and a recipe.
        main: HTML.
        usage: how to use the page.
        style: CSS.
        data: what the script reads, as JSON that can stand inside HTML.
        script: JavaScript.
    """
    policy = {"img": "data:", "style": _hash(style), "script": _hash(script)}
    blocks = f'<script type="application/json" id="data">{data}</script>', f"<script>{script}</script>"
    end = [page_footer(page.recipe, usage), *blocks]
    header = format_header(page.title, page.lead)
    return html_frame(f"optvis {kind}", page.title, policy, [f"<style>{style}</style>"], header, main, end)


def class_menu(labels: Iterable[str]) -> str:
    """HTML of the choice of the class whose attribution is shown; empty where there are none."""
    options = "".join(f'<option value="{index}">{escape(label)}</option>' for index, label in enumerate(labels))
    menu = f'<select name="class"><option value="">no class</option>{options}</select>'
    return f'<label class="class">Attribution to {menu}</label>' if options else ""


def page_footer(recipe: Mapping[str, Any], help_text: str = "") -> str:
    """How to use the page, and its recipe; tensors in the recipe become lists."""
    text = json.dumps(dict(recipe), indent=2, ensure_ascii=False, default=lambda value: value.tolist())
    help_html = f'<p class="help">{escape(help_text)}</p>' if help_text else ""
    return (
        f"<footer>{help_html}<details><summary>Recipe</summary><pre><code>{escape(text)}</code></pre></details>"
        f"<p>Made with optvis {escape(__version__)}.</p></footer>"
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
