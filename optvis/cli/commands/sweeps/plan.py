"""`optvis plan`: what a microscope and a survey cost, from throughput that is measured here and now."""

from __future__ import annotations

import argparse

from optvis.cli.options import LAYERS_HELP, AddOption, load_model

HELP = "measure this machine, and estimate the time and storage of a microscope and a survey over a data set"
EXAMPLE = "optvis plan squeezenet1_0 --layers features.9 features.12 --count 50000 --workers 1 8 64"


def add_options(add: AddOption) -> None:
    add("--layers", nargs="+", action="extend", metavar="LAYER", help=f"{LAYERS_HELP}; by default all")
    add("--count", type=int, default=50_000, help="number of images of the data set")
    add("--size", type=int, help="side of the renderings in pixels; by default the network's own, at most 128")
    add("--steps", type=int, default=32, help="number of updates of each rendering")
    add("--group-size", type=int, default=8, help="number of channels rendered together")
    add(
        "--workers",
        type=int,
        nargs="+",
        default=[1, 8, 64],
        help="numbers of workers to estimate for, each as fast as this process",
    )


def run(options: argparse.Namespace) -> None:
    from optvis.microscope import MicroscopeOptions, estimate_cost

    sizes = {"size": options.size, "steps": options.steps, "options": MicroscopeOptions(options.group_size)}
    cost = estimate_cost(load_model(options), options.layers, images=options.count, **sizes)
    print(cost.table(options.workers))
