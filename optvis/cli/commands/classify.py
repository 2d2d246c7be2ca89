"""`optvis classify`: the most likely classes of images."""

from __future__ import annotations

import argparse

from optvis.cli.options import create_command, list_image_files, load_model


def add_parser(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = create_command(
        subparsers,
        "classify",
        run,
        "list the most likely classes of images",
        "optvis classify squeezenet1_0 image.jpg",
    )
    command.add_argument("images", metavar="IMAGE", nargs="+", help="image files, or folders of them")
    command.add_argument("--top", type=int, default=5, help="how many classes for each image")


def run(options: argparse.Namespace) -> None:
    from optvis.models.classify import classify

    classifier = load_model(options)
    for path in list_image_files(options.images):
        print(f"{path}\n{classify(classifier, path, top=options.top)}\n")
