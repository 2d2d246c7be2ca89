"""`optvis grid`: the activation grid of an image."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from optvis.cli.options import LAYERS_HELP, AddOption, load_model, make_unique, resolve_classes
from optvis.models import Classifier

if TYPE_CHECKING:
    from optvis.grids.page import AnnotatedGrid

PAGE_KIND, GROUPS_KIND = "grid page", "sheet of groups"  # what `read_kind` reads from the files
HELP = "draw the activation grid of an image: an icon at each position, neuron groups, and an interactive page"
EXAMPLE = "optvis grid squeezenet1_0 image.jpg --layers features.12 --out grid"


def add_options(add: AddOption) -> None:
    add("image", metavar="IMAGE", help="image file")
    add("--layers", nargs="+", action="extend", required=True, metavar="LAYER", help=LAYERS_HELP)
    classes = "classes whose attribution is shown, by label or index; by default the three most likely"
    add("--classes", nargs="+", action="extend", metavar="LABEL", help=classes)
    add("--groups", type=int, default=6, help="number of neuron groups that the icons share; 0 for none")
    add("--size", type=int, default=64, help="side of an icon in pixels")
    add("--steps", type=int, default=256, help="number of steps, of 64 icons each; for a first look: 64, and --size 48")
    add("--top", type=int, default=0, help="number of strongest channels to draw at each position; 0 for none")
    add("--seed", type=int, default=0, help="seed of noise, transforms and groups")
    add("--out", type=Path, default=Path("grid"), help="folder for index.html and its images")


def run(options: argparse.Namespace) -> None:
    from optvis.data.files import ensure_dir, safe_file_name
    from optvis.data.own_files import check_own_files, write_own_files
    from optvis.grids.page import build_grid_page
    from optvis.grids.result import ActivationGrid

    classifier = load_model(options)
    folder = ensure_dir(options.out)
    page, layers = folder / "index.html", list(dict.fromkeys(options.layers))
    files = [folder / f"{name}.png" for name in make_unique([safe_file_name(layer) for layer in layers])]
    check_own_files({page: PAGE_KIND} | {_groups_file(file): GROUPS_KIND for file in files})
    for file in files:
        ActivationGrid.check_target(file)
    classes = resolve_classes(classifier, options.image, options.classes)
    pairs = zip(layers, files, strict=True)
    annotated = [_draw_layer(classifier, layer, file, classes, options) for layer, file in pairs]
    write_own_files({page: (PAGE_KIND, build_grid_page(annotated).encode())})
    print(page)


def _groups_file(file: Path) -> Path:
    """The file of a grid's groups, beside that of the grid."""
    return file.with_name(f"{file.stem}-groups.png")


def _draw_layer(
    classifier: Classifier, layer: str, file: Path, classes: Sequence[tuple[str, int]], options: argparse.Namespace
) -> AnnotatedGrid:
    """Draw the grid of a layer and write its files; KeyboardInterrupt where it was interrupted."""
    from optvis.attribution.attribute import attribute
    from optvis.data.own_files import write_own_files
    from optvis.grids.activation_grid import activation_grid
    from optvis.grids.page import AnnotatedGrid
    from optvis.grids.semantic_dictionary import semantic_dictionary
    from optvis.objectives import logit
    from optvis.viz.sheet import encode_png

    image, icons = options.image, {"size": options.size, "seed": options.seed}
    grid = activation_grid(classifier, image, layer, groups=options.groups, steps=options.steps, **icons)
    print(grid.save(file))
    if grid.groups is not None:
        sheet = encode_png(grid.groups_sheet(), kind=GROUPS_KIND)
        write_own_files({_groups_file(file): (GROUPS_KIND, sheet)})
        print(_groups_file(file))
    if grid.recipe["interrupted"]:
        raise KeyboardInterrupt
    attributions = {text: attribute(classifier, image, layer, logit(k), progress=False) for text, k in classes}
    top = options.top
    dictionary = semantic_dictionary(classifier, image, layer, top=top, **icons) if top else None
    return AnnotatedGrid(grid, attributions, dictionary)
