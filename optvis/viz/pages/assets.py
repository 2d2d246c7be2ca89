"""The templates, style sheets and scripts of the pages: real files, read when a page is written."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def read_assets(*names: str) -> str:
    """Read style sheets or scripts, one after the other.

    Args:
        names: paths below `assets`, e.g. "base.css", "atlas/view.js".

    Example:
        >>> ":focus-visible" in read_assets("base.css")
        True
    """
    folder = files("optvis.viz.pages") / "assets"
    return "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def build_script(*names: str, more: str = "") -> str:
    """Join scripts into one, whose names are not visible outside it.

    Args:
        names: paths below `assets`.
        more: JavaScript at the end.
    """
    return f'(() => {{\n"use strict";\n{read_assets(*names)}{more}}})();\n'
