"""`optvis render`: what excites channels or classes."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from optvis.cli.options import class_index, command_of, distinct, loaded, numbers, sides


def add(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = command_of(
        subparsers,
        "render",
        run,
        "draw what excites channels or classes, one PNG each",
        "optvis render squeezenet1_0 features.12 --channels 50,450 --out pictures",
    )
    command.add_argument("layer", metavar="LAYER", nargs="?", help="layer name, as `optvis layers` lists them")
    command.add_argument("--channels", type=numbers, help="which channels: 50,450 or 0-63 or both mixed")
    command.add_argument(
        "--label", action="append", help="draw a class's logit, by label text or index; may be repeated"
    )
    command.add_argument("--out", type=Path, default=Path("pictures"), help="folder for the pictures; made if need be")
    command.add_argument(
        "--size", type=sides, help="side of the pictures in pixels, or HEIGHTxWIDTH; the network's own if not given"
    )
    command.add_argument("--steps", type=int, default=64, help="updates of each picture")
    command.add_argument("--rate", type=float, default=0.4, help="learning rate of the first step, falling off")
    command.add_argument("--param", choices=("fft", "pixel"), default="fft", help="parameterization of the pictures")
    command.add_argument("--decay", type=float, default=1.0, help="with --param fft: power that damps high frequencies")
    command.add_argument("--variation", type=float, default=0.0, help="weight of total variation, subtracted")
    command.add_argument(
        "--no-transforms", action="store_true", help="show the network the pictures as they are, not jittered"
    )
    command.add_argument("--seed", type=int, default=0, help="of noise and transforms")
    command.add_argument("--chunk", type=int, help="pictures made at a time; all if not given")
    command.add_argument(
        "--animate", choices=("gif", "webp", "apng"), help="also write the pictures' growth as an animation"
    )


def run(options: argparse.Namespace) -> None:
    from optvis.data.files import atomic_write, ensure_dir, safe_file_name
    from optvis.objectives import channel, logit, total_variation
    from optvis.params import fft_image, pixel_image
    from optvis.rendering import render as making
    from optvis.rendering.optimizers import FAST_ADAM
    from optvis.transforms import STANDARD
    from optvis.viz.sheet import encode_png

    if (options.layer is None) == (options.label is None) or (options.layer is None) != (options.channels is None):
        taken = f"; {options.network!r} was taken for NETWORK" if options.layer is None and options.channels else ""
        raise ValueError(f"render needs LAYER and --channels, or else --label{taken}")
    classifier = loaded(options)
    folder = ensure_dir(options.out)
    if options.label is None:
        objective, names = channel(options.layer, options.channels), [f"{options.layer}-{n}" for n in options.channels]
    else:
        objective, names = logit([class_index(text, classifier.labels) for text in options.label]), options.label
    if options.variation:
        objective -= options.variation * total_variation()
    size, seeds = classifier.resolve_size(options.size), (options.seed,) * len(names)
    image = (
        pixel_image(size, seeds=seeds)
        if options.param == "pixel"
        else fft_image(size, seeds=seeds, decay=options.decay)
    )
    made = making.render(
        classifier,
        objective,
        image,
        steps=options.steps,
        transform=None if options.no_transforms else STANDARD,
        optimizer=partial(FAST_ADAM, lr=options.rate),
        seed=options.seed,
        snapshots=range(options.steps + 1) if options.animate else (),
        chunk=options.chunk,
    )
    files = distinct([safe_file_name(name) for name in names])
    for place in range(len(made)):
        print(made[place].save(folder / f"{files[place]}.png"))
        if options.animate:
            print(made[place].animate(folder / f"{files[place]}-growing.{options.animate}"))
    if len(made) > 1:
        print(atomic_write(folder / "sheet.png", encode_png(made.sheet(labels=names[: len(made)]))))
    if made.recipe["interrupted"]:
        raise KeyboardInterrupt
