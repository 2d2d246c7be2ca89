"""What several commands share: the options that all have, networks, files and classes by name."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

WITHOUT_NETWORK = ("layers", "render")  # what can be said with no network: then it is the embedded one


class Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        says_nothing = action.default is None or action.default is False
        return action.help if says_nothing else super()._get_help_string(action)


def command_of(subparsers: argparse._SubParsersAction, name: str, run: Callable[..., None], help: str, example: str):  # type: ignore[no-untyped-def,type-arg]
    """A subcommand with the options that all of them have that take a network."""
    command = subparsers.add_parser(
        name,
        help=help,
        description=help,
        epilog=f"example: {example}",
        formatter_class=Defaults,
    )
    command.set_defaults(run=run)
    alone = {"nargs": "?", "default": "demo"} if name in WITHOUT_NETWORK else {}
    command.add_argument(
        "network", metavar="NETWORK", help="demo, torchvision name, timm/NAME, or a file of weights", **alone
    )
    command.add_argument(
        "--weights", default="DEFAULT", help="which published weights (DEFAULT, IMAGENET1K_V1), or none for random ones"
    )
    command.add_argument("--architecture", metavar="NAME", help="the network that a file of weights belongs to")
    command.add_argument("--device", default="cpu", help="where to work: cpu, cuda, cuda:1, mps")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return command


def loaded(options: argparse.Namespace):  # type: ignore[no-untyped-def]
    from optvis.models.zoo import load

    weights = None if options.weights.casefold() == "none" else options.weights
    return placed(load(options.network, weights=weights, architecture=options.architecture), options.device)


def placed(classifier, device: str):  # type: ignore[no-untyped-def]
    try:
        classifier.network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"cannot work on {device!r}: {str(error).splitlines()[0]}") from error
    return classifier


def classes_of(classifier, photo, labels: Sequence[str] | None) -> list[tuple[str, int]]:  # type: ignore[no-untyped-def]
    """Texts and indices of the classes that were named, or of the three likeliest."""
    from optvis.models.classify import classify as classified

    if labels is not None:
        return [(text, class_index(text, classifier.labels)) for text in labels]
    likeliest = classified(classifier, photo, top=3)
    return list(zip(likeliest.labels[0], likeliest.indices[0].tolist(), strict=True))


def image_files(paths: Sequence[str]) -> list[Path]:
    """Files, and the images in folders, sorted."""
    from PIL import Image

    Image.init()
    found: list[Path] = []
    for path in map(Path, paths):
        inside = (
            sorted(file for file in path.iterdir() if file.suffix.casefold() in Image.EXTENSION)
            if path.is_dir()
            else [path]
        )
        if not inside:
            raise ValueError(f"no images in the folder {str(path)!r}")
        found += inside
    return found


def images_of(options: argparse.Namespace):  # type: ignore[no-untyped-def]
    """The folder of `--images`, or else so many `--scenes` of the embedded world.

    Raises:
        ValueError: no folder is named, for another network than the embedded one.
    """
    from optvis.world import Scenes

    if options.images is not None:
        return options.images
    if options.network != "demo":
        raise ValueError("which photographs? name their folder with --images; only the embedded network has scenes")
    return Scenes(options.scenes, seed=options.seed + 1)  # those of seed 0 it was trained on


def distinct(names: Sequence[str]) -> list[str]:
    """
    >>> distinct(["a", "A", "sheet"])
    ['a', 'A-2', 'sheet-2']
    """
    taken, found = {"sheet"}, list[str]()
    for name in names:
        choices = (name if n == 1 else f"{name}-{n}" for n in count(1))
        found.append(next(choice for choice in choices if choice.casefold() not in taken))
        taken.add(found[-1].casefold())
    return found


def class_index(text: str, labels: Sequence[str]) -> int:
    from optvis.objectives.labels import index_of

    return int(text) if text.isdecimal() else index_of(text, labels)


def numbers(text: str) -> list[int]:
    """
    >>> numbers("50,3-5")
    [50, 3, 4, 5]
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        is_range = first.isdecimal() and last.isdecimal() and int(first) <= int(last)
        if not is_range and ("-" in part or not first.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r}: expected numbers and ranges, like 50,450 or 0-63")
        found += range(int(first), int(last or first) + 1)
    return found


def sides(text: str) -> int | tuple[int, int]:
    """
    >>> sides("128"), sides("96x128")
    (128, (96, 128))
    """
    sides = text.casefold().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r}: expected pixels, like 224 or 96x128")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))
