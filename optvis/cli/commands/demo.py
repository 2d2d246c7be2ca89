"""`optvis demo`: the tour of the embedded network."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import AddOption, move_to_device

HELP = "write a page that shows what optvis does, on the embedded network"
EXAMPLE = "optvis demo --out optvis-demo"
MOST_WORKERS = 4  # each takes up to 1 GB


def add_options(add: AddOption) -> None:
    text = "folder for index.html and its images; created if it does not exist"
    add("--out", type=Path, default=Path("optvis-demo"), help=text)
    add("--quick", action="store_true", help="few steps, seconds in all: to try an installation")
    add("--seed", type=int, default=0, help="seed of scenes, noise and transforms")
    text = f"processes that share the sections; by default one per core, at most {MOST_WORKERS}, and one with a GPU"
    add("--workers", type=int, help=text)


def run(options: argparse.Namespace) -> None:
    from optvis.demo.config import QUICK, TourConfig
    from optvis.demo.tour import write_tour
    from optvis.models.zoo.by_name import load

    config = TourConfig(seed=options.seed, **(QUICK if options.quick else {}))
    workers = _count_workers(options.device) if options.workers is None else options.workers
    write_tour(move_to_device(load(), options.device), options.out, config, workers=workers)


def _count_workers(device: str) -> int:
    """One for each core that torch uses here, or one where a device other than the CPU computes."""
    import torch

    return min(torch.get_num_threads(), MOST_WORKERS) if device == "cpu" else 1
