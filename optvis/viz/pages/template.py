"""Pages from templates: one base has the head, the content security policy and the recipe of all pages."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any

from optvis.formatting import format_number, format_percent
from optvis.formatting.version import __version__
from optvis.viz.pages.assets import build_script, read_assets
from optvis.viz.pages.sprites import data_uri
from optvis.viz.sheet import to_pil_image

if TYPE_CHECKING:
    from jinja2 import Environment, Template

IMAGES_INSIDE = "data:"
# 'self' covers pages from a server; pages opened from a disk have no origin, so file: is needed too.
IMAGES_BESIDE = "'self' file:"
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def build_page(
    template: str | Template,
    kind: str,
    page: Any,
    *,
    styles: Sequence[str] = (),
    rules: str = "",
    scripts: Sequence[str] = (),
    script: str = "",
    data: Mapping[str, Any] | None = None,
    images: str = IMAGES_INSIDE,
    **values: Any,
) -> str:
    """Fill a template in: an HTML text that runs only its own script and loads nothing, save images.

    The content security policy has the hashes of the one style sheet and of the one script, and allows nothing else.
    Half of a surrogate pair, which no file in UTF-8 can hold, becomes U+FFFD.

    Args:
        template: which extends "base.html": the name of one in `assets`, or one from `page_templates().from_string`.
        kind: of page: the command that writes it, such as "atlas".
        page: any object; the template sees it by this name. The base reads its title, lead and recipe, unless the
            template replaces those blocks.
        styles: style sheets in `assets`, after "tokens.css" and "base.css", which all pages have.
        rules: more CSS.
        scripts: scripts in `assets`, joined into one.
        script: more JavaScript, at the end of it.
        data: what the script reads, in JSON types.
        images: sources of images, as in a content security policy.
        values: other names for the template.

    Example:
        >>> from types import SimpleNamespace
        >>> page = SimpleNamespace(title="Ships & boats", lead="", recipe={})
        >>> template = page_templates().from_string('{% extends "base.html" %}{% block main %}Two.{% endblock %}')
        >>> "Ships &amp; boats</h1>" in build_page(template, "example", page)
        True
    """
    style = read_assets("tokens.css", "base.css", *styles) + rules
    code = build_script(*scripts, more=script) if scripts or script else ""
    values |= {"kind": kind, "version": __version__, "page": page, "data": data}
    values |= {"style": style, "script": code, "policy": _policy(style, code, images)}
    return LONE_SURROGATE.sub("\ufffd", page_templates().get_template(template).render(values))


@cache
def page_templates() -> Environment:
    """The templates in `assets`; each text in them is escaped, and a name that is not known is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("optvis.viz.pages", "assets")
    templates = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    filters: dict[str, Callable[..., str]] = {
        "image_uri": lambda image: data_uri(to_pil_image(image)),
        "png_uri": lambda png: f"data:image/png;base64,{b64encode(png).decode()}",
        "indented_json": _indented_json,
        "number": format_number,
        "percent": format_percent,
    }
    templates.filters |= filters
    return templates


def _policy(style: str, script: str, images: str) -> str:
    rules = {"img": images, "style": _hash(style), **({"script": _hash(script)} if script else {})}
    allowed = "".join(f"{kind}-src {sources}; " for kind, sources in rules.items())
    return f"default-src 'none'; {allowed}base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _indented_json(recipe: Mapping[str, Any]) -> str:
    """A recipe as text; tensors become lists."""
    return json.dumps(dict(recipe), indent=2, ensure_ascii=False, default=lambda value: value.tolist())


def frame_page(page: str, title: str, height: int, *, scripts: bool = False) -> str:
    """Put a page into a frame of its own, in which nothing reaches the notebook around it.

    Args:
        page: an HTML text.
        title: of the frame, for those who cannot see it.
        height: in pixels.
        scripts: whether the page's own script runs.

    Example:
        >>> frame_page("<p>&</p>", "a page", 100)[:40]
        '<iframe srcdoc="&lt;p&gt;&amp;&lt;/p&gt;'
    """
    style = f"width: 100%; max-width: 1100px; height: {height}px; border: 0"
    sandbox = "allow-scripts" if scripts else ""
    return f'<iframe srcdoc="{escape(page)}" sandbox="{sandbox}" title="{escape(title)}" style="{style}"></iframe>'
