"""`optvis grid`: the activation grid of an image."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import AddOption, load_model, resolve_classes

PAGE_KIND, GROUPS_KIND = "grid page", "sheet of groups"  # what `read_kind` reads from the files
HELP = "draw the activation grid of an image: an icon at each position, neuron groups, and an interactive page"
EXAMPLE = "optvis grid squeezenet1_0 image.jpg --layer features.12 --out grid"


def add_options(add: AddOption) -> None:
    add("image", metavar="IMAGE", help="image file")
    add("--layer", action="append", required=True, help="layer name, as `optvis layers` lists them; may be repeated")
    label = "class whose attribution is shown, by label or index; may be repeated; by default the three most likely"
    add("--class", dest="label", action="append", help=label)
    add("--groups", type=int, default=6, help="number of neuron groups that the icons share; 0 for none")
    add("--size", type=int, default=64, help="side of an icon in pixels")
    add("--steps", type=int, default=256, help="number of steps, of 64 icons each; for a first look: 64, and --size 48")
    add("--channels", type=int, default=0, help="number of strongest channels to draw at each position; 0 for none")
    add("--seed", type=int, default=0, help="seed of noise, transforms and groups")
    add("--out", type=Path, default=Path("grid"), help="folder for index.html and its images")


def run(options: argparse.Namespace) -> None:
    from optvis.attribution.attribute import attribute
    from optvis.data.files import ensure_dir, safe_file_name
    from optvis.data.own_files import check_own_files, write_own_files
    from optvis.grids.activation_grid import activation_grid
    from optvis.grids.page import AnnotatedGrid, build_grid_page
    from optvis.grids.result import ActivationGrid
    from optvis.grids.semantic_dictionary import semantic_dictionary
    from optvis.objectives import logit
    from optvis.viz.sheet import encode_png

    classifier = load_model(options)
    folder = ensure_dir(options.out)
    page, names = folder / "index.html", [safe_file_name(layer) for layer in options.layer]
    check_own_files({page: PAGE_KIND} | {folder / f"{name}-groups.png": GROUPS_KIND for name in names})
    for name in names:
        ActivationGrid.check_target(folder / f"{name}.png")
    labels = resolve_classes(classifier, options.image, options.label)
    annotated = []
    icons = {"size": options.size, "seed": options.seed}
    for layer, name in zip(options.layer, names, strict=True):
        grid = activation_grid(classifier, options.image, layer, groups=options.groups, steps=options.steps, **icons)
        print(grid.save(folder / f"{name}.png"))
        if grid.groups is not None:
            sheet = encode_png(grid.groups_sheet(), kind=GROUPS_KIND)
            write_own_files({folder / f"{name}-groups.png": (GROUPS_KIND, sheet)})
            print(folder / f"{name}-groups.png")
        attributions = {
            text: attribute(classifier, options.image, layer, logit(index), progress=False) for text, index in labels
        }
        dictionary = None
        if options.channels:
            dictionary = semantic_dictionary(classifier, options.image, layer, top=options.channels, **icons)
        annotated.append(AnnotatedGrid(grid, attributions, dictionary))
        if grid.recipe["interrupted"]:
            raise KeyboardInterrupt
    write_own_files({page: (PAGE_KIND, build_grid_page(annotated).encode())})
    print(page)
