"""`optvis layers`: the layers of a network."""

from __future__ import annotations

import argparse

from optvis.cli.options import create_command, load_model, parse_size


def add_parser(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = create_command(
        subparsers,
        "layers",
        run,
        "list a network's layers: names, types, output shapes",
        "optvis layers resnet18 --weights none",
    )
    command.add_argument(
        "--size", type=parse_size, help="side of the image in pixels, or HEIGHTxWIDTH; the network's own if not given"
    )


def run(options: argparse.Namespace) -> None:
    from optvis.models.layers import layers

    print(layers(load_model(options), size=options.size))
