"""`optvis attribute`: what carried an answer."""

from __future__ import annotations

import argparse
from pathlib import Path

from optvis.cli.options import class_index, classes_of, command_of, distinct, image_files, loaded

METHODS = ("halved", "gradient", "path", "stochastic", "smooth", "ablation")  # written out, so that help is quick


def add(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = command_of(
        subparsers,
        "attribute",
        run,
        "say which channels and places of a layer carried an answer",
        "optvis attribute squeezenet1_0 photo.jpg --layer features.12 --label 'container ship' --against liner",
    )
    command.add_argument("photos", metavar="PHOTO", nargs="+", help="image files, or folders of them")
    command.add_argument("--layer", required=True, help="layer name, as `optvis layers` lists them")
    command.add_argument("--label", help="the class that is asked about, by text or index; the likeliest if not given")
    command.add_argument("--against", help="another class: its logit is subtracted")
    command.add_argument("--method", choices=METHODS, default="halved", help="how; ablation switches each channel off")
    command.add_argument("--top", type=int, default=10, help="how many channels for and against")
    command.add_argument("--out", type=Path, default=Path("attribution"), help="folder for the pictures")


def run(options: argparse.Namespace) -> None:
    from optvis.attribution.attribute import attribute as attributed
    from optvis.data.files import ensure_dir, safe_file_name
    from optvis.objectives import logit

    classifier = loaded(options)
    folder = ensure_dir(options.out)
    paths = image_files(options.photos)
    names = distinct([safe_file_name(f"{path.stem}-{options.layer}") for path in paths])
    for path, name in zip(paths, names, strict=True):
        (_, label), *_ = classes_of(classifier, path, None if options.label is None else [options.label])
        question = logit(label)
        if options.against is not None:
            question -= logit(class_index(options.against, classifier.labels))
        found = attributed(classifier, path, options.layer, question, method=options.method)
        print(f"{path}\n{found.table(options.top)}\n{found.save(folder / f'{name}.png')}\n")
