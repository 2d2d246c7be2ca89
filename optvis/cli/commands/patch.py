"""`optvis patch`: paste a patch onto images of one class, and count how often another is predicted."""

from __future__ import annotations

import argparse
from pathlib import Path

from torch import Tensor

from optvis.cli.options import AddOption, add_scenes_option, has_scenes, load_model, parse_class

OBJECTS = ("locomotive", "baseball", "noodles")  # written out, so that help is quick
SCENES = 100  # where no folder is given
SCENES_PER_SEED = 10_000  # of the next seed are others
FIRST_SEED = 2_000_000  # of scenes that were not trained on
HELP = "paste a patch and control patches onto images of a class, and count how often another class is predicted"
EXAMPLE = "optvis patch demo baseball --source 'grey whale' --target 'white shark' --out patch"


def add_options(add: AddOption) -> None:
    patch = (
        f"image file, best with transparency; or an object of the package: {', '.join(OBJECTS[:-1])} or {OBJECTS[-1]}"
    )
    add("patch", metavar="PATCH", help=patch)
    add(
        "--images",
        metavar="FOLDER",
        help="folder of images of the source class; by default scenes, for demo and demo-vit",
    )
    add("--source", required=True, help="class of these images, by label or index")
    add("--target", required=True, help="class that the patch should make the network predict, by label or index")
    add_scenes_option(add, SCENES)
    add("--seed", type=int, default=0, help="seed of controls and scenes")
    add("--out", type=Path, default=Path("patch"), help="folder for the plot")


def run(options: argparse.Namespace) -> None:
    from optvis.data.files import ensure_dir, safe_file_name
    from optvis.patches.sources import load_patch
    from optvis.patches.trial import PatchTrial
    from optvis.patches.try_patch import try_patch
    from optvis.world import object_patch

    classifier = load_model(options)
    source, target = (parse_class(text, classifier.labels) for text in (options.source, options.target))
    images = _scenes(options, source) if has_scenes(options) else options.images
    is_object = options.patch in OBJECTS and not Path(options.patch).exists()
    patch = object_patch(options.patch, options.seed) if is_object else load_patch(options.patch)
    file = ensure_dir(options.out) / f"{safe_file_name(Path(options.patch).stem)}.png"
    PatchTrial.check_target(file)
    result = try_patch(classifier, patch, images, source, target, seed=options.seed, progress=True)
    print(result.table())
    print(result.save(file))


def _scenes(options: argparse.Namespace, source: int) -> list[Tensor]:
    from optvis.world import LABELS, scene

    scenes = SCENES if options.scenes is None else options.scenes
    if not 1 <= scenes <= SCENES_PER_SEED:
        raise ValueError(f"--scenes is {scenes}; expected 1 to {SCENES_PER_SEED}")
    if source >= len(LABELS):
        raise IndexError(f"class is {source}; expected 0 to {len(LABELS) - 1}")
    first = FIRST_SEED + options.seed * SCENES_PER_SEED
    return [scene(LABELS[source], first + index).image for index in range(scenes)]
