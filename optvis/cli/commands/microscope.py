"""`optvis microscope`: a site with a page for each channel."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.engine_options import add_engine_options, select_engine
from optvis.cli.options import (
    ALL,
    LAYERS_HELP,
    MAX_DIGITS,
    AddOption,
    UsageError,
    add_scenes_option,
    load_model,
    parse_channels,
    parse_class,
    select_images,
    shorten,
)

FINISH = "finish"
SCENES = 512  # of the embedded world, where no folder is given
HELP = "write a site with a page for each channel of some layers; a stopped run resumes when it is started again"
EXAMPLE = "optvis microscope squeezenet1_0 --layers features.12 --images images --out microscope"


def add_options(add: AddOption) -> None:
    add("--layers", nargs="+", action="extend", required=True, metavar="LAYER", help=LAYERS_HELP)
    add("--images", type=Path, metavar="FOLDER", help="folder of images; by default scenes, for demo and demo-vit")
    add_scenes_option(add, SCENES)
    add("--channels", type=parse_channels, help="channels of each layer, such as 50,450 or 0-63; by default all")
    add("--size", type=int, help="side of the renderings in pixels; by default the network's own, at most 128")
    add("--steps", type=int, default=32, help="number of updates of each rendering")
    add("--group-size", type=int, default=8, help="number of channels rendered together")
    add("--top-images", type=int, default=9, help="number of images to show that activate a channel most")
    add("--sample-size", type=int, default=64, help="number of images on which each channel is ablated")
    add(
        "--class-images",
        type=int,
        default=6,
        help="number of images on the page of a class, those predicted with the largest margins; 0 for no such pages",
    )
    add("--class-channels", type=int, default=12, help="number of channels of each layer on the page of a class")
    chosen = "show the images with the largest attribution of a channel to this class, by label or index"
    add("--exemplar-class", metavar="CLASS", help=f"{chosen}; by default those that activate it most")
    add(
        "--survey",
        type=Path,
        metavar="FOLDER",
        help="store that `optvis survey` wrote for these images, in place of a pass over them",
    )
    add("--seed", type=int, default=0, help="seed of noise, transforms and scenes")
    add("--part", type=parse_part, metavar="N/COUNT", help="build one part of all groups, such as 3/16, and no pages")
    add("--finish", action="store_true", help="build nothing: check that all parts are there, and write the pages")
    add_engine_options(add, "build the groups")
    add("--out", type=Path, default=Path("microscope"), help="folder for the site; created if it does not exist")


def run(options: argparse.Namespace) -> None:
    from optvis.microscope import MicroscopeOptions, build_microscope

    if options.finish and options.part is not None:
        raise UsageError("--part builds groups, and --finish none: run the parts first, then --finish alone")
    classifier = load_model(options)
    images = select_images(options, SCENES)
    how = {name: getattr(options, name) for name in ("size", "steps", "seed")}
    how["channels"] = None if options.channels == ALL else options.channels
    how |= {"part": FINISH if options.finish else options.part, "engine": select_engine(options)}
    own = ("group_size", "top_images", "sample_size", "class_images", "class_channels")
    label = None if options.exemplar_class is None else parse_class(options.exemplar_class, classifier.labels)
    numbers = {name: getattr(options, name) for name in own}
    how["options"] = MicroscopeOptions(**numbers, exemplar_class=label, survey=options.survey)
    try:
        page = build_microscope(classifier, images, options.layers, options.out, **how)
    except KeyboardInterrupt:
        print(f"stopped; the same command continues with the first incomplete group in {options.out}")
        raise
    print(page)


def parse_part(text: str) -> tuple[int, int]:
    """Parse a part.

    >>> parse_part("3/16")
    (3, 16)
    """
    numbers = text.split("/") if len(text) <= MAX_DIGITS else []
    is_part = len(numbers) == 2 and all(map(str.isdecimal, numbers)) and 1 <= int(numbers[0]) <= int(numbers[1])
    if not is_part:
        raise argparse.ArgumentTypeError(f"{shorten(text)!r}: expected a part, like 3/16 for the third of sixteen")
    return int(numbers[0]), int(numbers[1])
