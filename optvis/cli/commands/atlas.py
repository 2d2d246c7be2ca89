"""`optvis atlas`: an activation atlas of a layer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from optvis.cli.options import (
    AddOption,
    add_scenes_option,
    check_together,
    load_model,
    parse_class,
    parse_numbers,
    select_images,
)

LAYOUTS = ("auto", "umap", "tsne")
SCENES = 4000  # of the embedded world, where no folder is given
HELP = "build an activation atlas of many images: an interactive map of all classes, of one, or of two compared"
EXAMPLE = "optvis atlas squeezenet1_0 --layer features.12 --images photos --out atlas"


def add_options(add: AddOption) -> None:
    add("--layer", required=True, help="layer name, as `optvis layers` lists them")
    add(
        "--images",
        metavar="FOLDER",
        help="folder of images, read with its subfolders; by default scenes, for demo and demo-vit",
    )
    add_scenes_option(add, SCENES)
    add("--class", dest="label", help="map only activations with attribution to this class, by label or index")
    add("--against", help="with --class: compare the two classes; this one is on the right of the map")
    levels = "cells per side of each level; by default 10,20,40 or, with --class, 5,10,20, and fewer for few images"
    add("--levels", type=parse_numbers, help=levels)
    add("--layout", choices=LAYOUTS, default="auto", help="auto: umap if it is installed, else tsne")
    add("--samples", metavar="FILE", help="samples.safetensors of an earlier atlas of the same images")
    add(
        "--min-points",
        type=int,
        help="number of points that a cell needs for an icon; by default 5, or fewer for few images",
    )
    add("--size", type=int, default=64, help="side of an icon in pixels")
    add("--steps", type=int, default=48, help="updates of each icon")
    add("--seed", type=int, default=0, help="seed of positions, layout, noise and transforms")
    add("--out", type=Path, default=Path("atlas"), help="folder for the page and its images")


def run(options: argparse.Namespace) -> None:
    from optvis.atlas import ActivationAtlas, AtlasBuilder, AtlasOptions, Samples
    from optvis.data.files import ensure_dir

    check_together(options, ["against"], "--class: the class to compare with", options.label is not None)
    classifier = load_model(options)
    images, folder = select_images(options, SCENES), ensure_dir(options.out)
    ActivationAtlas.check_target(folder)
    labels = [parse_class(text, classifier.labels) for text in (options.label, options.against) if text is not None]
    samples = None if options.samples is None else Samples.load(options.samples)
    atlas_options = AtlasOptions(options.layout, min_points=options.min_points, size=options.size, steps=options.steps)
    builder = AtlasBuilder(classifier, images, options.layer, samples, atlas_options, options.seed)
    build: Any = (builder.all, builder.of_class, builder.compare)[len(labels)]
    result = build(*labels, options.levels)
    print(result)
    print(result.save(folder))
    if not result.complete:
        raise KeyboardInterrupt
