"""`optvis plan`: what a microscope and a survey cost, from throughput that is measured here and now."""

from __future__ import annotations

import argparse

from optvis.cli.options import AddOption, load_model

HELP = "measure how fast this machine is, and say what all channels of some layers over a data set would cost"
EXAMPLE = "optvis plan squeezenet1_0 --layers features.9 features.12 --count 50000 --workers 1 8 64"


def add_options(add: AddOption) -> None:
    add("--layers", nargs="+", metavar="LAYER", help="names, as `optvis layers` lists them; all if not given")
    add("--count", type=int, default=50_000, help="images of the data set")
    add("--size", type=int, help="side of each channel's renderings in pixels; 128 at most if not given")
    add("--steps", type=int, default=32, help="updates of each rendering")
    add("--group-size", type=int, default=8, help="channels rendered together")
    add("--workers", type=int, nargs="+", default=[1, 8, 64], help="how many machines like this one, or cores")


def run(options: argparse.Namespace) -> None:
    from optvis.microscope import MicroscopeOptions, estimate_cost

    sizes = {"size": options.size, "steps": options.steps, "options": MicroscopeOptions(options.group_size)}
    cost = estimate_cost(load_model(options), options.layers, images=options.count, **sizes)
    print(cost.table(options.workers))
