"""The templates, style sheets and scripts of the pages: real files, read when a page is written."""

from __future__ import annotations

import posixpath
import re
from functools import cache
from importlib.resources import files

IMPORT = re.compile(r'^import\s*\{[^}]*\}\s*from\s*"([^"]+)";\n', re.MULTILINE)
EXPORT = re.compile("^export ", re.MULTILINE)


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
    """Join modules, each once and after those that it imports, into one script whose names are not visible outside it.

    Args:
        names: paths below `assets`, e.g. "atlas/main.js".
        more: JavaScript at the end, which sees the names of all modules.

    Example:
        >>> build_script("atlas/main.js").count("function create(")
        1
    """
    joined: dict[str, str] = {}
    for name in names:
        _join(name, joined)
    return f'(() => {{\n"use strict";\n{"".join(joined.values())}{more}}})();\n'


def _join(name: str, joined: dict[str, str], opened: tuple[str, ...] = ()) -> None:
    """Add a module behind those that it imports; modules may import each other's functions."""
    if name in joined or name in opened:
        return
    text = read_assets(name)
    for imported in IMPORT.findall(text):
        _join(posixpath.normpath(posixpath.join(posixpath.dirname(name), imported)), joined, (*opened, name))
    joined[name] = EXPORT.sub("", IMPORT.sub("", text))
