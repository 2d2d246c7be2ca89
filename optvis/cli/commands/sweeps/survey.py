"""`optvis survey`: one pass over the images that records when each channel is active."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.engine_options import add_engine_options, select_engine
from optvis.cli.options import LAYERS_HELP, AddOption, add_scenes_option, load_model, parse_class, select_images

SCENES = 512  # of the embedded world, where no folder is given
HELP = "record the activations of all channels over a data set; a stopped run resumes when it is started again"
EXAMPLE = "optvis survey squeezenet1_0 --layers features.9 features.12 --images images --out survey"


def add_options(add: AddOption) -> None:
    add("--layers", nargs="+", action="extend", metavar="LAYER", help=f"{LAYERS_HELP}; by default all")
    add(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="folder of images, or shards such as train-{000..015}.tar; by default scenes, for demo and demo-vit",
    )
    add_scenes_option(add, SCENES)
    add(
        "--class",
        dest="target",
        metavar="LABEL",
        help="record the attribution of channels to this class, by label or index, in place of activations",
    )
    add("--top-images", type=int, default=16, help="number of images to keep that activate a channel most")
    add(
        "--sample-size",
        type=int,
        default=64,
        help="number of images in the sample of each channel, spread over its activations",
    )
    add("--seed", type=int, default=0, help="seed of the scenes")
    add_engine_options(add, "run the network")
    add("--out", type=Path, default=Path("survey"), help="folder of the store; created if it does not exist")


def run(options: argparse.Namespace) -> None:
    from optvis.survey import survey_channels

    classifier, images = load_model(options), select_images(options, SCENES)
    target = None if options.target is None else parse_class(options.target, classifier.labels)
    how = {
        "target": target,
        "top": options.top_images,
        "sample_size": options.sample_size,
        "engine": select_engine(options),
    }
    print(survey_channels(classifier, images, options.layers, options.out, **how))
    print(options.out)
