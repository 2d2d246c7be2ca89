"""A folder that a page and its PNGs are written into, and never over another's files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optvis.data.files import ensure_dir
from optvis.demo.page import GENERATOR

PAGE = "index.html"
HEAD = 2048  # bytes of a page in which it says what made it


def claimed(path: str | Path, names: Iterable[str]) -> Path:
    """The folder, made if need be, once none of these files in it, nor the page, is another's.

    Raises:
        FileExistsError: one of them is there and was not made by `optvis demo`.
        OSError: as in `ensure_dir`.
    """
    folder = Path(path)
    for file in (folder / name for name in (PAGE, *names)):
        if os.path.lexists(file) and not is_own(file):
            raise FileExistsError(
                f"{str(file)!r} is there and was not made by `{GENERATOR}`; name another folder with --out, or move it"
            )
    return ensure_dir(folder)


def is_own(file: Path) -> bool:
    """Whether a page or PNG says that `optvis demo` made it."""
    if not file.is_file():
        return False
    return _is_own_page(file) if file.name == PAGE else _is_own_picture(file)


def signed(recipe: Mapping[str, Any]) -> str:
    """A recipe for a PNG's text chunk that says what made it, in JSON."""
    return json.dumps({**recipe, "command": GENERATOR})


def _is_own_page(file: Path) -> bool:
    with file.open("rb") as page:
        return f'<meta name="generator" content="{GENERATOR} '.encode() in page.read(HEAD)


def _is_own_picture(file: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(file) as picture:
            recipe = json.loads(picture.info.get("optvis", ""))
    except (OSError, ValueError, TypeError, Image.DecompressionBombError):
        return False
    return isinstance(recipe, dict) and recipe.get("command") == GENERATOR
