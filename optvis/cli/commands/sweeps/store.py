"""`optvis store`: list, check and clean what `optvis survey` writes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from optvis.cli.options import AddOption
from optvis.data.files import is_dir
from optvis.formatting import format_count

if TYPE_CHECKING:
    from optvis.survey import Store

HELP = "list the stores of surveys in a folder, check their shards, or remove what stopped runs have left in them"
EXAMPLE = "optvis store check survey"


def add_options(add: AddOption) -> None:
    add(
        "action",
        choices=("ls", "check", "gc"),
        help="ls: list stores; check: read all shards again; gc: remove what stopped runs have left",
    )
    add("folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="store, or folder of stores")


def run(options: argparse.Namespace) -> bool:
    """Act on each store; False where one cannot be opened, or the check finds damage."""
    from optvis.survey.store import Store, find_stores

    if not is_dir(options.folder):
        raise FileNotFoundError(f"no folder {str(options.folder)!r}")
    places = find_stores(options.folder)
    if not places:
        raise FileNotFoundError(f"no stores in {str(options.folder)!r}; `optvis survey` writes them")
    act = {"ls": _describe, "check": _check, "gc": _clean}[options.action]
    is_right = True
    for place in places:
        try:
            is_right &= act(Store(place))
        except (FileNotFoundError, ValueError) as error:  # no manifest, or a damaged one
            print(error)
            is_right = False
    return is_right


def _describe(store: Store) -> bool:
    from optvis.survey import Survey

    size = sum(record.size for record in store.shards()) / 1e6
    network = store.manifest.recipe.get("network")
    print(f"{store.folder}: {network}, {Survey(store)}, {size:,.1f} MB, {store.digest()}")
    return True


def _check(store: Store) -> bool:
    wrong = store.check()
    print(*(f"{store.folder}: {text}" for text in wrong or ["whole"]), sep="\n")
    return not wrong


def _clean(store: Store) -> bool:
    print(f"{store.folder}: {format_count(len(store.collect_garbage()), 'file')} removed")
    return True
