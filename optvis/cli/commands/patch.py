"""`optvis patch`: does a thing, pasted into a picture, turn one class into another?"""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import class_index, command_of, loaded

THINGS = ("locomotive", "baseball", "noodles")  # written out, so that help is quick
FRESH = 2_000_000  # seeds of scenes that no training saw


def add(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = command_of(
        subparsers,
        "patch",
        run,
        "paste a patch onto pictures of one class, and say how often they are taken for another; controls beside it",
        "optvis patch demo baseball --of 'grey whale' --into 'white shark' --out patch",
    )
    command.add_argument(
        "patch", metavar="PATCH", help=f"an image file, best with transparency; or, of the embedded world, {_things()}"
    )
    command.add_argument("--onto", metavar="FOLDER", help="pictures of the class; for demo, scenes if not given")
    command.add_argument("--of", required=True, help="the class that they show, by text or index")
    command.add_argument("--into", required=True, help="the class that the patch should make of them")
    command.add_argument("--images", type=int, default=100, help="how many scenes, where no folder is given")
    command.add_argument("--seed", type=int, default=0, help="of controls, and of scenes")
    command.add_argument("--out", type=Path, default=Path("patch"), help="folder for the picture")


def run(options: argparse.Namespace) -> None:
    from optvis.data.files import ensure_dir, safe_file_name
    from optvis.patches.cutouts import cutout
    from optvis.patches.try_patch import try_patch
    from optvis.world import object_patch

    classifier = loaded(options)
    of, into = (class_index(text, classifier.labels) for text in (options.of, options.into))
    images = _scenes(options, of) if options.onto is None else options.onto
    is_thing = options.patch in THINGS and not Path(options.patch).exists()
    patch = object_patch(options.patch, options.seed) if is_thing else cutout(options.patch)
    folder = ensure_dir(options.out)
    found = try_patch(classifier, patch, images, of, into, seed=options.seed, progress=True)
    print(found.table())
    print(found.save(folder / f"{safe_file_name(Path(options.patch).stem)}.png"))


def _scenes(options: argparse.Namespace, of: int):  # type: ignore[no-untyped-def]
    from optvis.world import LABELS, scene

    if options.network != "demo":
        raise ValueError("--onto is missing: a folder with pictures of the class; only demo has scenes of its own")
    if of >= len(LABELS):
        raise IndexError(f"class {of} of a network with 0..{len(LABELS) - 1}")
    first = FRESH + options.seed * 10_000
    return [scene(LABELS[of], first + place).image for place in range(options.images)]


def _things() -> str:
    return f"{', '.join(THINGS[:-1])} or {THINGS[-1]}"
