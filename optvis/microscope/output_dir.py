"""The folder of a microscope: whose it is, what is finished in it, and what a run that was stopped left behind."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optvis.data.files import atomic_write, ensure_dir

RECIPE = "recipe.json"
MADE_BY = "optvis microscope"
PART = re.compile(r"\.[a-z0-9_]{8}\.part")  # what `atomic_write` has beside a file until it is whole


def claimed(path: str | Path, recipe: Mapping[str, Any], names: Iterable[str]) -> Path:
    """The folder, made if need be, once it is sure that nothing of another's, or of another recipe, is in the way.

    What a run that was killed left half written is removed.

    Args:
        path: of the folder.
        recipe: of what is to be written there.
        names: of files and folders that will be in it.

    Raises:
        FileExistsError: a file that no microscope wrote, or a microscope by another recipe.
        OSError: as in `ensure_dir`.
    """
    folder = Path(path)
    file = folder / RECIPE
    mine = {"made_by": MADE_BY, **recipe}
    if os.path.lexists(file):
        _check_same(folder, _read(file), json.loads(json.dumps(mine)))
    else:
        taken = [name for name in names if os.path.lexists(folder / name)]
        if taken:
            raise FileExistsError(
                f"{str(folder / taken[0])!r} is there and no microscope made it; name another folder, or move it"
            )
        ensure_dir(folder)
        atomic_write(file, _json(mine))
    for name in ("", *names):
        _clean(folder / name)
    return folder


def stored(file: Path) -> Any:
    """What a JSON file holds, or None where there is none or it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def store(file: Path, told: Mapping[str, Any]) -> Path:
    """Write a JSON file whole or not at all."""
    return atomic_write(file, _json(told))


def _clean(folder: Path) -> None:
    if folder.is_dir():
        for part in [each for each in folder.iterdir() if PART.fullmatch(each.name)]:
            part.unlink(missing_ok=True)


def _check_same(folder: Path, there: Any, mine: Mapping[str, Any]) -> None:
    if not isinstance(there, dict) or there.get("made_by") != MADE_BY:
        raise FileExistsError(f"{str(folder / RECIPE)!r} is there and no microscope made it; name another folder")
    for key in [key for key in mine if there.get(key) != mine[key]]:
        was, now = (str(told.get(key)) for told in (there, mine))
        texts = f"{key} is {was} there and {now} here" if len(was + now) < 80 else f"its {key} are others"
        raise FileExistsError(
            f"the microscope in {str(folder)!r} was made by another recipe: {texts}; name another folder, or delete it"
        )


def _read(file: Path) -> Any:
    return stored(file) if file.is_file() else None


def _json(told: Mapping[str, Any]) -> bytes:
    return (json.dumps(told, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
