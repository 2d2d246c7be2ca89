"""`optvis grid`: what a layer saw at each place."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import classes_of, command_of, loaded


def add(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = command_of(
        subparsers,
        "grid",
        run,
        "show what a layer saw at each place of a photograph: icons, groups, and a page to walk through",
        "optvis grid squeezenet1_0 photo.jpg --layer features.12 --out grid",
    )
    command.add_argument("photo", metavar="PHOTO", help="an image file")
    command.add_argument("--layer", action="append", required=True, help="layer name; may be repeated")
    command.add_argument(
        "--label",
        action="append",
        help="a class whose attribution is shown, by text or index; may be repeated; the three likeliest if not given",
    )
    command.add_argument("--groups", type=int, default=6, help="of neurons, shared by the icons; 0 for none")
    command.add_argument("--size", type=int, default=64, help="side of an icon in pixels")
    command.add_argument("--steps", type=int, default=256, help="each moves 64 icons")
    command.add_argument("--channels", type=int, default=0, help="draw so many channels of each place too; 0 for none")
    command.add_argument("--seed", type=int, default=0, help="of noise, transforms and groups")
    command.add_argument("--out", type=Path, default=Path("grid"), help="folder for index.html and its pictures")


def run(options: argparse.Namespace) -> None:
    from optvis.attribution.attribute import attribute as attributed
    from optvis.data.files import atomic_write, ensure_dir, safe_file_name
    from optvis.grids.activation_grid import activation_grid
    from optvis.grids.page import Explained, grid_page
    from optvis.grids.semantic_dictionary import semantic_dictionary
    from optvis.objectives import logit
    from optvis.viz.sheet import encode_png

    classifier = loaded(options)
    folder = ensure_dir(options.out)
    labels = classes_of(classifier, options.photo, options.label)
    explained = []
    for layer in options.layer:
        made = activation_grid(
            classifier,
            options.photo,
            layer,
            groups=options.groups,
            size=options.size,
            steps=options.steps,
            seed=options.seed,
        )
        name = safe_file_name(layer)
        print(made.save(folder / f"{name}.png"))
        if made.groups is not None:
            print(atomic_write(folder / f"{name}-groups.png", encode_png(made.groups_sheet())))
        attributions = {text: attributed(classifier, options.photo, layer, logit(index)) for text, index in labels}
        words = (
            semantic_dictionary(
                classifier, options.photo, layer, top=options.channels, size=options.size, seed=options.seed
            )
            if options.channels
            else None
        )
        explained.append(Explained(made, attributions, words))
        if made.recipe["interrupted"]:
            raise KeyboardInterrupt
    print(atomic_write(folder / "index.html", grid_page(explained).encode()))
