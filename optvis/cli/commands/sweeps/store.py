"""`optvis store`: list, check and clean what `optvis survey` writes."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import AddOption
from optvis.data.files import is_dir

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
    from optvis.survey import Survey, list_stores

    if not is_dir(options.folder):
        raise FileNotFoundError(f"no folder {str(options.folder)!r}")
    stores = list_stores(options.folder)
    if not stores:
        raise FileNotFoundError(f"no stores in {str(options.folder)!r}; `optvis survey` writes them")
    is_right = True
    for store in stores:
        if options.action == "ls":
            size = sum(record.size for record in store.shards()) / 1e6
            print(
                f"{store.folder}: {store.manifest.recipe['network']}, {Survey(store)}, {size:,.1f} MB, {store.digest()}"
            )
        elif options.action == "check":
            wrong = store.check()
            is_right = is_right and not wrong
            print(*(f"{store.folder}: {text}" for text in wrong or ["whole"]), sep="\n")
        else:
            print(f"{store.folder}: {len(store.collect_garbage())} files removed")
    return is_right
