"""`optvis hinton`: weights, activations and expanded weights as squares."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import ALL, FORMATS, AddOption, UsageError, check_together, load_model, parse_channels
from optvis.models import Classifier
from optvis.viz import Hinton

ICONS = 64  # pixels
HELP = "draw a layer's weights, its activations, or expanded weights from an earlier layer, as Hinton diagrams"
EXAMPLE = "optvis hinton demo mixed4 --channels 17,40 --from mixed3 --out hinton"


def add_options(add: AddOption) -> None:
    add("layer", metavar="LAYER", help="layer name, as `optvis layers` lists them")
    add("--channels", type=parse_channels, help="channels of the layer, such as 3,17 or 0-15; by default all")
    add(
        "--from", dest="before", metavar="LAYER", help="earlier layer: draw the expanded weights between the two layers"
    )
    image = "image file: draw the activations of the layer for it; with --from, the weights of channels that are active"
    add("--image", metavar="FILE", help=image)
    add("--top", type=int, default=8, help="number of strongest inputs, or of activation maps, to draw")
    add("--icons", type=int, help=f"with --from: side in pixels of each channel's icon; 0 for none (default: {ICONS})")
    add("--seed", type=int, default=0, help="seed of the icons' noise and transforms")
    add("--format", choices=FORMATS, default="png", help="file format; svg and pdf keep shapes and text as vectors")
    add("--out", type=Path, default=Path("hinton"), help="folder for the image")


def run(options: argparse.Namespace) -> None:
    from optvis.data.files import ensure_dir, safe_file_name

    if options.before is not None and options.channels is None:
        raise UsageError(f"--from needs --channels: which of {options.layer!r}, like 3,17")
    check_together(options, ["icons"], "--from", options.before is not None)
    file = ensure_dir(options.out) / f"{safe_file_name(_name(options))}.{options.format}"
    Hinton.check_target(file)
    print(_draw(load_model(options), options).save(file))


def _name(options: argparse.Namespace) -> str:
    if options.before is not None:
        return f"{options.before}-to-{options.layer}"
    return f"{options.layer}-weights" if options.image is None else f"{Path(options.image).stem}-{options.layer}"


def _draw(classifier: Classifier, options: argparse.Namespace) -> Hinton:
    from optvis.circuits.hinton import hinton_of_activations, hinton_of_expanded_weights, hinton_of_weights

    layer, top = options.layer, options.top
    channels = None if options.channels == ALL else options.channels
    if options.before is not None:
        icons = ICONS if options.icons is None else options.icons
        how = {"top": top, "images": options.image, "icons": icons, "seed": options.seed}
        return hinton_of_expanded_weights(classifier, options.before, layer, channels, **how)
    if options.image is not None:
        return hinton_of_activations(classifier, options.image, layer, channels, top=top)
    return hinton_of_weights(classifier, layer, channels, top=top)
