"""`optvis render`: feature visualizations of channels or classes."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optvis.cli.options import (
    AddOption,
    UsageError,
    check_together,
    list_channels,
    load_model,
    make_unique,
    parse_channels,
    parse_class,
    parse_size,
    split_channel,
)
from optvis.models import Classifier
from optvis.objectives import Objective

if TYPE_CHECKING:
    from optvis.rendering.result import Rendering

SHEET, SHEET_KIND = "sheet.png", "sheet"  # the file of all images, and what `read_kind` reads from it
HELP = "render feature visualizations of channels or classes, one PNG each"
RECIPE_NAMES = ("natural", "fast", "plain", "icon", "lucid")  # `optvis.rendering.RECIPES`; its import takes a second
PRECISIONS = ("highest", "tf32", "bf16")  # of `optvis.models.adapted.precision`, likewise
EXAMPLE = "optvis render squeezenet1_0 features.12 --channels 50,450 --out images"


def add_options(add: AddOption) -> None:
    layer = "layer name, as `optvis layers` lists them, or LAYER:CHANNELS such as features.12:50,450"
    add("layer", metavar="LAYER", nargs="?", help=layer)
    add("--channels", type=parse_channels, help="channels to render, such as 50,450 or 0-63, or all")
    add(
        "--classes",
        nargs="+",
        action="extend",
        metavar="LABEL",
        help="classes whose logits are maximised, by label or index",
    )
    add("--out", type=Path, default=Path("images"), help="folder for the images; created if it does not exist")
    add(
        "--size",
        type=parse_size,
        help="size of the images in pixels, a side or HEIGHTxWIDTH; by default the network's own",
    )
    add(
        "--recipe",
        choices=RECIPE_NAMES,
        default=RECIPE_NAMES[0],
        help="named settings of steps, transforms, optimizer and priors",
    )
    add("--steps", type=int, help="number of updates of each image; by default the recipe's")
    add("--rate", type=float, help="initial learning rate; by default the recipe's")
    add("--param", choices=("fft", "pixel"), default="fft", help="parameterization of the images")
    add("--decay", type=float, help="with --param fft: exponent of the damping of high frequencies (default: 1.0)")
    add(
        "--total-variation",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="smoother images: the gradient of a total variation penalty, as a share of the score's; try 0.2",
    )
    add("--no-transforms", action="store_true", help="give the network the images without random transforms")
    add("--seed", type=int, default=0, help="seed of the initial noise and the random transforms")
    add("--batch-size", type=int, help="number of images rendered together; by default all, on a GPU as many as fit")
    add("--precision", choices=PRECISIONS, default="tf32", help="precision of the network on CUDA")
    add(
        "--compile",
        action="store_true",
        help="compile the network first, which takes about a minute; faster for many images",
    )
    add("--animate", choices=("gif", "webp", "apng", "mp4"), help="also write an animation of all steps")


def run(options: argparse.Namespace) -> None:
    from optvis.data.files import ensure_dir
    from optvis.viz.animation import check_animation

    layer, channels = split_channel(options.layer or "", options.channels)
    if (options.layer is None) == (options.classes is None) or (options.layer is None) != (channels is None):
        taken = f"; {options.network!r} was taken for NETWORK" if options.layer is None and channels else ""
        raise UsageError(f"render needs LAYER and --channels, or else --classes{taken}")
    check_together(options, ["decay"], "--param fft", options.param == "fft")
    if options.animate:
        check_animation(f".{options.animate}")
    classifier = load_model(options)
    folder = ensure_dir(options.out)
    objective, names = _build_objective(classifier, layer, channels, options)
    files = _check_files(folder, names)
    result = _render(classifier, objective, len(names), options)
    _write(result, files, names, folder, options.animate)
    if result.recipe["interrupted"]:
        raise KeyboardInterrupt


def _build_objective(
    classifier: Classifier, layer: str, channels: list[int] | str | None, options: argparse.Namespace
) -> tuple[Objective, list[str]]:
    """The objective of all images, and a name of each."""
    from optvis.objectives import channel, logit

    if channels is not None:
        indices = list_channels(classifier, layer, channels)
        objective, names = channel(layer, indices), [f"{layer}-{n}" for n in indices]
    else:
        objective, names = logit([parse_class(text, classifier.labels) for text in options.classes]), options.classes
    return objective, names


def _check_files(folder: Path, names: Sequence[str]) -> list[Path]:
    """The file of each image, where all can be written."""
    from optvis.data.files import safe_file_name
    from optvis.data.own_files import check_own_files
    from optvis.rendering.result import Rendering

    files = [folder / f"{name}.png" for name in make_unique([safe_file_name(name) for name in names])]
    check_own_files({folder / SHEET: SHEET_KIND} if len(files) > 1 else {})
    for file in files:
        Rendering.check_target(file)
    return files


def _render(classifier: Classifier, objective: Objective, images: int, options: argparse.Namespace) -> Rendering:
    from optvis.objectives import total_variation
    from optvis.params import fft_image, pixel_image
    from optvis.rendering.priors import Prior
    from optvis.rendering.recipes import FROM_RECIPE, find_recipe
    from optvis.rendering.render import render

    recipe, share = find_recipe(options.recipe), options.total_variation
    steps = recipe.steps if options.steps is None else options.steps
    size, seeds = classifier.resolve_size(options.size), (options.seed,) * images
    own = {} if options.decay is None else {"decay": options.decay}
    build: Callable[..., Any] = pixel_image if options.param == "pixel" else partial(fft_image, **own)
    return render(
        classifier,
        objective,
        build(size, seeds=seeds),
        recipe=options.recipe,
        steps=steps,
        rate=options.rate,
        seed=options.seed,
        snapshots=range(steps + 1) if options.animate else (),
        batch_size=options.batch_size,
        precision=options.precision,
        compile=options.compile,
        transform=None if options.no_transforms else FROM_RECIPE,
        priors=(*recipe.priors, Prior(total_variation(), share)) if share else None,
    )


def _write(result: Rendering, files: Sequence[Path], names: Sequence[str], folder: Path, animate: str | None) -> None:
    """Write the images that are there, their animations, and the sheet; print the paths."""
    from optvis.data.own_files import write_own_files
    from optvis.viz.sheet import encode_png

    for index in range(len(result)):
        print(result[index].save(files[index]))
        if animate:
            print(result[index].animate(files[index].with_name(f"{files[index].stem}-growing.{animate}")))
    if len(result) > 1:
        image = encode_png(result.sheet(labels=names[: len(result)]), kind=SHEET_KIND)
        write_own_files({folder / SHEET: (SHEET_KIND, image)})
        print(folder / SHEET)
