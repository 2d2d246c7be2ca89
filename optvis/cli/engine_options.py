"""Options of commands that can run on a Ray cluster."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from optvis.cli.options import AddOption, check_together

if TYPE_CHECKING:
    from optvis.engines import EngineLike

LOCAL = "local"


def add_engine_options(add: AddOption, work: str) -> None:
    """Add `--ray` and the options beside it; `work` says in the imperative what the workers do."""
    ray = f"{work} on the Ray cluster at ADDRESS; without ADDRESS, on all cores or GPUs of this machine"
    add("--ray", nargs="?", const=LOCAL, metavar="ADDRESS", help=ray)
    add(
        "--workers",
        type=int,
        help="maximum number of Ray workers; by default one for each GPU, or for each --cores of the CPU",
    )
    add("--cores", type=int, help="CPU cores of each Ray worker (default: 1)")


def select_engine(options: argparse.Namespace) -> EngineLike:
    """Return the engine that `--ray` and the options beside it name.

    Raises:
        UsageError: one of the options beside it, without `--ray`.
    """
    from optvis.engines import RayEngine

    check_together(options, ["workers", "cores"], "--ray", options.ray is not None)
    if options.ray is None:
        return "process"
    cores = 1 if options.cores is None else options.cores
    return RayEngine(None if options.ray == LOCAL else options.ray, options.workers, cores)
