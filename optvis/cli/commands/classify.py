"""`optvis classify`: what a network calls photographs."""

from __future__ import annotations

import argparse

from optvis.cli.options import command_of, image_files, loaded


def add(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = command_of(
        subparsers,
        "classify",
        run,
        "say what a network calls photographs",
        "optvis classify squeezenet1_0 photo.jpg",
    )
    command.add_argument("photos", metavar="PHOTO", nargs="+", help="image files, or folders of them")
    command.add_argument("--top", type=int, default=5, help="how many classes of each")


def run(options: argparse.Namespace) -> None:
    from optvis.models import classify as classes

    classifier = loaded(options)
    for path in image_files(options.photos):
        print(f"{path}\n{classes.classify(classifier, path, top=options.top)}\n")
