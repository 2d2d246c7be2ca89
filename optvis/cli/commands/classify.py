"""`optvis classify`: the most likely classes of images."""

from __future__ import annotations

import argparse

from optvis.cli.options import AddOption, list_image_files, load_model

HELP = "list the most likely classes of images"
EXAMPLE = "optvis classify squeezenet1_0 image.jpg"


def add_options(add: AddOption) -> None:
    add("images", metavar="IMAGE", nargs="+", help="image files, or folders of them")
    add("--top", type=int, default=5, help="number of classes to list for each image")


def run(options: argparse.Namespace) -> None:
    from optvis.models.classify import classify

    classifier = load_model(options)
    for index, path in enumerate(list_image_files(options.images)):
        gap = "\n" if index else ""
        print(f"{gap}{path}\n{classify(classifier, path, top=options.top)}")
