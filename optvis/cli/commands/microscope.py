"""`optvis microscope`: a site with a page for each channel."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import create_command, load_model, parse_numbers, select_images

SCENES = 512  # of the embedded world, where no folder is given


def add_parser(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = create_command(
        subparsers,
        "microscope",
        run,
        "write a site with a page for each channel of some layers; a stopped run continues when it is started again",
        "optvis microscope squeezenet1_0 --layers features.12 --images images --out microscope",
    )
    command.add_argument(
        "--layers", nargs="+", required=True, metavar="LAYER", help="names, as `optvis layers` lists them"
    )
    command.add_argument("--images", type=Path, metavar="FOLDER", help="images; scenes for the embedded network")
    command.add_argument("--scenes", type=int, default=SCENES, help="how many scenes, where no folder is given")
    command.add_argument(
        "--channels", type=parse_numbers, help="which of each layer, like 50,450 or 0-63; all if not given"
    )
    command.add_argument(
        "--size", type=int, help="side of each channel's renderings in pixels; 128 at most if not given"
    )
    command.add_argument("--steps", type=int, default=32, help="updates of each rendering")
    command.add_argument("--group-size", type=int, default=8, help="channels rendered together")
    command.add_argument("--top-images", type=int, default=9, help="images of each channel that activate it most")
    command.add_argument("--sample-size", type=int, default=64, help="images on which every channel is ablated")
    command.add_argument("--seed", type=int, default=0, help="of noise and transforms, and of the scenes")
    command.add_argument(
        "--out", type=Path, default=Path("microscope"), help="folder of the site; created if it does not exist"
    )


def run(options: argparse.Namespace) -> None:
    from optvis.microscope import MicroscopeOptions, build_microscope

    classifier = load_model(options)
    images = select_images(options)
    try:
        page = build_microscope(
            classifier,
            images,
            options.layers,
            options.out,
            channels=options.channels,
            size=options.size,
            steps=options.steps,
            options=MicroscopeOptions(options.group_size, options.top_images, options.sample_size),
            seed=options.seed,
        )
    except KeyboardInterrupt:
        print(f"stopped; the same command continues with the first incomplete group in {options.out}")
        raise
    print(page)
