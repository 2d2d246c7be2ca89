"""`optvis atlas`: a map of all that a layer says."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import class_index, command_of, images_of, loaded, numbers

LAYOUTS = ("auto", "umap", "tsne")
SCENES = 4000  # of the embedded world, where no folder is given


def add(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = command_of(
        subparsers,
        "atlas",
        run,
        "map what a layer says about many photographs: a page to zoom into, of all classes, of one, or of two compared",
        "optvis atlas squeezenet1_0 --layer features.12 --images photos --out atlas",
    )
    command.add_argument("--layer", required=True, help="layer name, as `optvis layers` lists them")
    command.add_argument(
        "--images", metavar="FOLDER", help="photographs, also in subfolders; scenes for the embedded network"
    )
    command.add_argument("--scenes", type=int, default=SCENES, help="how many scenes, where no folder is given")
    command.add_argument("--class", dest="label", help="map only what serves this class, by label text or index")
    command.add_argument("--against", help="with --class: compare the two classes, this one to the right")
    command.add_argument("--levels", type=numbers, help="cells a side of each level; 10,20,40 or, of classes, 5,10,20")
    command.add_argument("--layout", choices=LAYOUTS, default="auto", help="auto is umap where that is installed")
    command.add_argument("--samples", metavar="FILE", help="samples.safetensors of an earlier atlas of the same images")
    command.add_argument("--fewest", type=int, default=5, help="points under which a cell gets no icon")
    command.add_argument("--size", type=int, default=64, help="side of an icon in pixels")
    command.add_argument("--steps", type=int, default=48, help="updates of each icon")
    command.add_argument("--seed", type=int, default=0, help="of positions, layout, noise and transforms")
    command.add_argument("--out", type=Path, default=Path("atlas"), help="folder for the page and its pictures")


def run(options: argparse.Namespace) -> None:
    from optvis import atlas
    from optvis.atlas.builder import LEVELS
    from optvis.atlas.class_atlas import FEW_LEVELS
    from optvis.data.files import ensure_dir

    if options.against is not None and options.label is None:
        raise ValueError("--against needs --class: the class that it is compared with")
    classifier = loaded(options)
    images, folder = images_of(options), ensure_dir(options.out)
    usual = LEVELS if options.label is None else FEW_LEVELS
    labels = [class_index(text, classifier.labels) for text in (options.label, options.against) if text is not None]
    samples = None if options.samples is None else atlas.Samples.load(options.samples)
    asked = {
        "samples": samples,
        "levels": usual if options.levels is None else options.levels,
        "layout": options.layout,
        "fewest": options.fewest,
        "size": options.size,
        "steps": options.steps,
        "seed": options.seed,
    }
    made = _made(classifier, images, options.layer, labels, asked)
    print(made)
    print(made.save(folder))
    if made.recipe["interrupted"]:
        raise KeyboardInterrupt


def _made(classifier, images, layer: str, labels: list[int], asked):  # type: ignore[no-untyped-def]
    """An atlas of all, of one class, or of two."""
    from optvis import atlas

    if not labels:
        return atlas.activation_atlas(classifier, images, layer, **asked)
    if len(labels) == 1:
        return atlas.class_atlas(classifier, images, layer, labels[0], **asked)
    return atlas.compare(classifier, images, layer, labels[0], labels[1], **asked)
