"""`optvis layers`: a network's layers."""

from __future__ import annotations

import argparse

from optvis.cli.options import command_of, loaded, sides


def add(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = command_of(
        subparsers,
        "layers",
        run,
        "list a network's layers: names, types, output shapes",
        "optvis layers resnet18 --weights none",
    )
    command.add_argument(
        "--size", type=sides, help="side of the image in pixels, or HEIGHTxWIDTH; the network's own if not given"
    )


def run(options: argparse.Namespace) -> None:
    from optvis.models import layers as capture

    print(capture.layers(loaded(options), size=options.size))
