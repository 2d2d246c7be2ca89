"""Options of commands that can run on a Ray cluster."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from optvis.cli.options import AddOption

if TYPE_CHECKING:
    from optvis.engines import EngineLike

LOCAL = "local"


def add_engine_options(add: AddOption, work: str) -> None:
    """Add `--ray` and the options beside it; `work` says in the imperative what the workers do."""
    ray = f"{work} on the Ray cluster at ADDRESS, or one on all cores or cards of this machine"
    add("--ray", nargs="?", const=LOCAL, metavar="ADDRESS", help=ray)
    add("--workers", type=int, help="of Ray at most; one for each card, or for so many --cores, if not given")
    add("--cores", type=int, default=1, help="of each worker of Ray")


def select_engine(options: argparse.Namespace) -> EngineLike:
    """Return the engine that `--ray` and the options beside it name."""
    from optvis.engines import RayEngine

    if options.ray is None:
        return "process"
    return RayEngine(None if options.ray == LOCAL else options.ray, options.workers, options.cores)
