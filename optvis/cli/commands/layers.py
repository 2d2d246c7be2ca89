"""`optvis layers`: the layers of a network."""

from __future__ import annotations

import argparse

from optvis.cli.options import AddOption, load_model, parse_size

HELP = "list a network's layers: names, types, output shapes"
EXAMPLE = "optvis layers resnet18 --weights none"


def add_options(add: AddOption) -> None:
    add("--size", type=parse_size, help="side of the image in pixels, or HEIGHTxWIDTH; the network's own if not given")


def run(options: argparse.Namespace) -> None:
    from optvis.models.layers import layers

    print(layers(load_model(options), size=options.size))
