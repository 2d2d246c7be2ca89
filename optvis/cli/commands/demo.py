"""`optvis demo`: the tour of the embedded network."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import DefaultsFormatter, move_to_device


def add_parser(subparsers) -> None:  # type: ignore[no-untyped-def]
    summary = "show on the embedded network what optvis does: one page with its pictures"
    command = subparsers.add_parser(
        "demo",
        help=summary,
        description=summary,
        epilog="example: optvis demo --out optvis-demo",
        formatter_class=DefaultsFormatter,
    )
    command.set_defaults(run=run)
    command.add_argument(
        "--out",
        type=Path,
        default=Path("optvis-demo"),
        help="folder for index.html and its images; created if it does not exist",
    )
    command.add_argument("--seed", type=int, default=0, help="of scenes, noise and transforms")
    command.add_argument("--device", default="cpu", help="device to run on: cpu, cuda, cuda:1, mps")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")


def run(options: argparse.Namespace) -> None:
    from optvis.demo.config import TourConfig
    from optvis.demo.tour import write_tour
    from optvis.models.zoo import load

    write_tour(move_to_device(load(), options.device), options.out, TourConfig(seed=options.seed))
