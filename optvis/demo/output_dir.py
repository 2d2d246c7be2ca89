"""The folder of the page and its PNGs, in which no file of another program is overwritten."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from optvis.data.files import ensure_dir
from optvis.data.own_files import check_own_files

PAGE = "index.html"
PAGE_KIND, FIGURE_KIND = "demo page", "demo figure"  # what `read_kind` reads from the page and from each PNG


def open_output_dir(path: str | Path, names: Iterable[str]) -> Path:
    """Create the folder if needed, and check that the page and these PNGs in it may be written.

    Raises:
        FileExistsError: one of them exists and was not written by `optvis demo`.
        OSError: as in `ensure_dir`.
    """
    folder = Path(path)
    check_own_files({folder / PAGE: PAGE_KIND} | {folder / name: FIGURE_KIND for name in names})
    return ensure_dir(folder)
