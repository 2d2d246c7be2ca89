"""The folder of the page and its PNGs, in which no file of another program is overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optvis.data.files import ensure_dir
from optvis.demo.page import GENERATOR

PAGE = "index.html"
HEAD_BYTES = 2048  # of a page, in which its generator must stand


def open_output_dir(path: str | Path, names: Iterable[str]) -> Path:
    """Create the folder if needed, and check that the page and these files in it may be written.

    Raises:
        FileExistsError: one of them exists and was not written by `optvis demo`.
        OSError: as in `ensure_dir`.
    """
    folder = Path(path)
    for file in (folder / name for name in (PAGE, *names)):
        if os.path.lexists(file) and not is_own_file(file):
            cure = "choose another folder with --out, or move the file"
            raise FileExistsError(f"{str(file)!r} exists and was not written by `{GENERATOR}`; {cure}")
    return ensure_dir(folder)


def is_own_file(file: Path) -> bool:
    """Whether a page or PNG says that `optvis demo` wrote it."""
    return file.is_file() and (_is_own_page(file) if file.name == PAGE else _is_own_png(file))


def sign_recipe(recipe: Mapping[str, Any]) -> str:
    """JSON for a PNG's text chunk: the recipe, and the command that wrote it."""
    return json.dumps({**recipe, "command": GENERATOR})


def _is_own_page(file: Path) -> bool:
    with file.open("rb") as page:
        return f'<meta name="generator" content="{GENERATOR} '.encode() in page.read(HEAD_BYTES)


def _is_own_png(file: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(file) as image:
            recipe = json.loads(image.info.get("optvis", ""))
    except (OSError, ValueError, TypeError, Image.DecompressionBombError):
        return False
    return isinstance(recipe, dict) and recipe.get("command") == GENERATOR
