"""The folder of a microscope: open it for writing, and remove what a killed run left behind."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optvis.data.files import atomic_write, encode_json, ensure_dir, is_file, read_json_or_none, remove_temporary_files
from optvis.data.own_files import KIND, check_own_files, check_same_recipe, refuse_taken

RECIPE = "recipe.json"
INDEX = "index.html"
IMAGES = "images"  # the folder of the images of channels and classes
TOP_ACTIVATIONS = "top_activations.json"
RECIPE_KIND, PAGE_KIND = "microscope recipe", "microscope page"  # what `read_kind` reads from the two


def open_output_dir(path: str | Path, recipe: Mapping[str, Any], names: Sequence[str]) -> Path:
    """Create the folder, or check that it holds a microscope with the same recipe.

    Temporary files that a killed run left behind are removed.

    Args:
        path: of the folder.
        recipe: of the microscope to write.
        names: of the files and folders that will be in it.

    Returns:
        The folder.

    Raises:
        FileExistsError: one of the names is taken by a file that no microscope wrote, or the recipe differs.
        OSError: as in `ensure_dir`.
    """
    folder = Path(path)
    file = folder / RECIPE
    own = {KIND: RECIPE_KIND, **recipe}
    check_own_files({file: RECIPE_KIND, folder / INDEX: PAGE_KIND})
    taken = [folder / name for name in names if os.path.lexists(folder / name)]
    if not os.path.lexists(file):
        refuse_taken(taken, "microscope")
        atomic_write(ensure_dir(folder) / RECIPE, encode_json(own), replace=False)
    check_same_recipe("microscope", folder, read_json_or_none(file), own)
    for place in (folder, *(folder / name for name in names)):
        if place.is_dir():
            remove_temporary_files(place)
    return folder


def check_output_dir(path: str | Path) -> None:
    """Raise FileNotFoundError where no microscope was begun in the folder."""
    if not is_file(Path(path) / RECIPE):
        raise FileNotFoundError(f"no microscope in {str(path)!r}: it has no {RECIPE}; build the parts there first")
