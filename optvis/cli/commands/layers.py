"""`optvis layers`: the layers of a network."""

from __future__ import annotations

import argparse

from optvis.cli.options import AddOption, load_model, parse_size

HELP = "list the layers of a network: names, types, output shapes"
EXAMPLE = "optvis layers resnet18 --weights none"


def add_options(add: AddOption) -> None:
    add(
        "--size",
        type=parse_size,
        help="size of the image in pixels, a side or HEIGHTxWIDTH; by default the network's own",
    )


def run(options: argparse.Namespace) -> None:
    from optvis.models.layers import layers

    print(layers(load_model(options), size=options.size))
