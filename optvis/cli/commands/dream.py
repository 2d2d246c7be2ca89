"""`optvis dream`: DeepDream of an image."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import AddOption, UsageError, check_together, load_model, parse_size

HELP = "run DeepDream on an image, or on noise"
EXAMPLE = "optvis dream squeezenet1_0 image.jpg --layer features.9 --out dreams"


def add_options(add: AddOption) -> None:
    add("image", metavar="IMAGE", nargs="?", help="image file; not with --start")
    add(
        "--start",
        choices=("noise", "black"),
        help="start from noise or a black image of --size, instead of an image file",
    )
    add("--layer", required=True, help="layer whose activations are maximised")
    add(
        "--loss",
        choices=("norm", "gram"),
        default="norm",
        help="maximise the L2 norm of the layer, or the sum of its Gram matrix",
    )
    add("--channel", type=int, help="with --loss norm: only this channel of the layer")
    add("--out", type=Path, default=Path("dreams"), help="folder for the image; created if it does not exist")
    add(
        "--size",
        type=parse_size,
        help="longer side in pixels, by default that of the image; with --start a side or HEIGHTxWIDTH",
    )
    add("--steps", type=int, default=10, help="number of steps at each octave")
    add("--step-size", type=float, default=0.01, help="change of pixel values in [0, 1] at each step")
    add("--octaves", type=int, default=4, help="number of sizes, from small to large")
    add("--octave-scale", type=float, default=1.4, help="ratio of each size to the one before")
    add(
        "--passes",
        type=int,
        default=1,
        help="number of passes through all octaves, each from the result of the pass before",
    )
    add("--raw", action="store_true", help="do not divide the gradient by its standard deviation")
    add("--tile-size", type=int, help="side of tiles in pixels, for large images; by default the whole image at once")
    add("--seed", type=int, default=0, help="seed of the random shifts, and of --start noise")
    add("--animate", choices=("gif", "webp", "apng", "mp4"), help="also write the octaves as an animation")


def run(options: argparse.Namespace) -> None:
    from optvis.data.files import ensure_dir, safe_file_name
    from optvis.objectives import gram, layer_norm
    from optvis.rendering import Octaves, Rendering, black_start, divide_by_std, dream, identity, noise_start
    from optvis.viz.animation import check_animation

    if (options.image is None) == (options.start is None):
        raise UsageError("dream needs an IMAGE, or else --start noise or --start black")
    check_together(options, ["channel"], "--loss norm", options.loss == "norm")
    if options.animate:
        check_animation(f".{options.animate}")
    classifier = load_model(options)
    folder = ensure_dir(options.out)
    size = classifier.resolve_size(options.size)
    starts = {"noise": lambda: noise_start(size, options.seed), "black": lambda: black_start(size)}
    objective = 1e-5 * gram(options.layer) if options.loss == "gram" else layer_norm(options.layer, options.channel)
    start = Path(options.image).stem if options.image else options.start
    file = folder / f"{safe_file_name(f'{start}-{options.layer}-{options.loss}')}.png"
    Rendering.check_target(file)
    result = dream(
        classifier,
        options.image if options.start is None else starts[options.start](),
        objective,
        steps=options.steps,
        step_size=options.step_size,
        octaves=Octaves(options.octaves, options.octave_scale, options.passes, options.tile_size),
        gradient_scaling=identity if options.raw else divide_by_std,
        size=None if options.size is None or options.start else max(size),
        seed=options.seed,
        snapshots=options.animate is not None,
    )
    print(result.save(file))
    if options.animate:
        print(result.animate(file.with_name(f"{file.stem}-growing.{options.animate}"), milliseconds=200))
    if result.recipe["interrupted"]:
        raise KeyboardInterrupt
