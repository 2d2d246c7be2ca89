"""Options that several commands share, and how they are read: networks, image files, classes, numbers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

from optvis.data import ImageLike
from optvis.data.files import is_dir
from optvis.models import IMAGENET, Classifier, Normalize
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import Objective

AddOption = Callable[..., argparse.Action]  # the method `add_argument` of a parser
NEEDS_NO_WEIGHTS = ("layers",)  # commands that show what any weights have in common
ALL = "all"  # channels
LAYERS_HELP = "layer names, as `optvis layers` lists them"
FORMATS = ("png", "svg", "pdf")  # of a result
MAX_NUMBERS = 100_000  # in a list on the command line; no layer has as many channels
MAX_SHOWN = 60  # characters
MAX_DIGITS = 18  # of a number; more do not fit 64 bits
EMBEDDED = ("demo", "demo-vit")  # networks that have scenes of their own
NEEDS_NO_NETWORK = ("demo", "store")
NEEDS_NO_DEVICE = ("store",)
SWEEPS = ("survey", "store", "plan")  # commands that lie in a folder of their own
NETWORK_IS_OPTIONAL = ("layers", "render")  # commands that use the embedded network where none is given


class UsageError(ValueError):
    """Options that do not go together, or one that is missing beside another."""


class DefaultsFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, except None and False."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        is_hidden = action.default is None or action.default is False
        return action.help if is_hidden else super()._get_help_string(action)


def create_command(subparsers: argparse._SubParsersAction[Any], name: str) -> None:
    """Create a subcommand from its module, which has `HELP`, `EXAMPLE`, `add_options` and `run`."""
    module = import_module(f"optvis.cli.commands.{'sweeps.' if name in SWEEPS else ''}{name}")
    texts = {"help": module.HELP, "description": module.HELP, "epilog": f"example: {module.EXAMPLE}"}
    command = subparsers.add_parser(name, **texts, formatter_class=DefaultsFormatter, allow_abbrev=False)
    command.set_defaults(run=module.run)
    add = command.add_argument
    if name not in NEEDS_NO_NETWORK:
        _add_network_options(add, name)
    if name not in NEEDS_NO_DEVICE:
        add("--device", default="cpu", help="device to run on: cpu, cuda, cuda:1, mps")
    add("--quiet", action="store_true", help="show no progress bars but those of downloads")
    add("--debug", action="store_true", help="show the traceback of an error")
    module.add_options(add)


def check_together(options: argparse.Namespace, names: Sequence[str], needed: str, is_there: bool) -> None:
    """Check options that do something only beside another one.

    Args:
        options: of the command; those that were not given are None or False.
        names: the options.
        needed: what they go with, as it is typed.
        is_there: whether that is given.

    Raises:
        UsageError: one of them was given, and what it goes with was not.
    """
    for name in names:
        value = getattr(options, name)
        if value is not None and value is not False and not is_there:
            raise UsageError(f"--{name.replace('_', '-')} goes with {needed}")


def add_scenes_option(add: AddOption, count: int) -> None:
    """Add the number of scenes of the embedded world, where no folder is given."""
    add("--scenes", type=int, help=f"number of scenes, in place of --images (default: {count})")


def _add_network_options(add: AddOption, command: str) -> None:
    """Add the network of a command, and how it is loaded."""
    optional: dict[str, Any] = {"nargs": "?", "default": "demo"} if command in NETWORK_IS_OPTIONAL else {}
    networks = "demo, demo-vit, a name of torchvision, timm/NAME, hf/NAME, or a file of weights"
    add("network", metavar="NETWORK", help=networks + ("; by default demo" if optional else ""), **optional)
    weights = "published weights to load, such as DEFAULT or IMAGENET1K_V1; none for random weights"
    add("--weights", default="none" if command in NEEDS_NO_WEIGHTS else "DEFAULT", help=weights)
    add("--architecture", metavar="NAME", help="name of the network that a file of weights belongs to")
    labels = "text file with one class label per line; by default the published labels, which a file of weights lacks"
    add("--labels", type=Path, metavar="FILE", help=labels)
    side = "input size of the network in pixels, a side or HEIGHTxWIDTH; by default the published one"
    add("--input-size", type=parse_size, metavar="SIZE", help=side)
    how = "normalisation: imagenet, none, MEAN/STD like 0.5/0.2 or 0.5,0.4,0.5/0.2,0.2,0.3; infer: the published one"
    add("--normalize", type=parse_normalization, default=INFER, metavar="HOW", help=how)


def load_model(options: argparse.Namespace) -> Classifier:
    """Load the network that the options name, onto its device."""
    from optvis.models.zoo.by_name import load

    weights = None if options.weights.casefold() == "none" else options.weights
    own = {"architecture": options.architecture, "labels": options.labels}
    own |= {"size": options.input_size, "normalize": options.normalize}
    classifier = load(options.network, weights=weights, **own)
    return move_to_device(classifier, options.device)


def move_to_device(classifier: Classifier, device: str) -> Classifier:
    """Move a network to a device.

    Raises:
        ValueError: the device does not exist, or computes nothing.
    """
    import torch

    try:
        if torch.device(device).type == "meta":
            raise ValueError(f"cannot use the device {device!r}: it holds shapes, and no numbers")
        classifier.network.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(f"cannot use the device {device!r}: {str(error).splitlines()[0]}") from error
    return classifier


def resolve_classes(classifier: Classifier, image: ImageLike, labels: Sequence[str] | None) -> list[tuple[str, int]]:
    """Return labels and indices of the named classes, or of the three most likely ones of an image."""
    from optvis.models.classify import classify

    if labels is not None:
        return [(text, parse_class(text, classifier.labels)) for text in labels]
    best = classify(classifier, image, top=3)
    return list(zip(best.labels[0], best.indices[0].tolist(), strict=True))


def list_image_files(paths: Sequence[str]) -> list[Path]:
    """List files, and the images in folders, sorted."""
    from optvis.data import list_images

    found: list[Path] = []
    for path in map(Path, paths):
        found += list_images(path) if is_dir(path) else [path]
    return found


def select_images(options: argparse.Namespace, scenes: int) -> Any:
    """Return the folder of `--images`, or else `--scenes` of the embedded world, by default so many.

    Raises:
        UsageError: see `has_scenes`.
    """
    from optvis.world import Scenes

    if not has_scenes(options):
        return options.images
    count = scenes if options.scenes is None else options.scenes
    return Scenes(count, seed=options.seed + 1)  # it was trained on those of seed 0


def has_scenes(options: argparse.Namespace) -> bool:
    """Whether the images are scenes, since no folder of them is named.

    Raises:
        UsageError: a network other than the embedded ones, which has no scenes; or both are named.
    """
    check_together(options, ["scenes"], "the embedded networks, without --images", options.images is None)
    if options.images is None and options.network not in EMBEDDED:
        raise UsageError("--images is missing: a folder of images; only the embedded networks have scenes of their own")
    return options.images is None


def make_unique(names: Sequence[str]) -> list[str]:
    """Number equal file names, whatever their case; "sheet" is taken.

    >>> make_unique(["a", "A", "sheet"])
    ['a', 'A-2', 'sheet-2']
    """
    taken, found = {"sheet"}, list[str]()
    for name in names:
        choices = (name if n == 1 else f"{name}-{n}" for n in count(1))
        found.append(next(choice for choice in choices if choice.casefold() not in taken))
        taken.add(found[-1].casefold())
    return found


def parse_class(text: str, labels: Sequence[str]) -> int:
    """Return the index of a class that is given by index or label."""
    from optvis.objectives.labels import index_of

    if not text.isdecimal():
        return index_of(text, labels)
    if len(text) > MAX_DIGITS or (labels and int(text) >= len(labels)):
        expected = f"a label, or 0 to {len(labels) - 1}" if labels else "the index of a class"
        raise IndexError(f"class is {shorten(text)}; expected {expected}")
    return int(text)


def class_score(text: str, labels: Sequence[str]) -> Objective:
    """Build the logit of a class that is given by index or label; it prints as it was typed."""
    from optvis.objectives import logit

    return logit(parse_class(text, labels) if text.isdecimal() else text)


def parse_channels(text: str) -> list[int] | str:
    """Parse channels: numbers and ranges, or "all"."""
    return ALL if text.strip().casefold() == ALL else parse_numbers(text)


def split_channel(layer: str, channels: list[int] | str | None) -> tuple[str, list[int] | str | None]:
    """Take "layer:3,17" apart where channels are not given on their own.

    >>> split_channel("mixed4:3-5", None), split_channel("mixed4", [3])
    (('mixed4', [3, 4, 5]), ('mixed4', [3]))
    """
    name, colon, numbers = layer.rpartition(":")
    return (name, parse_channels(numbers)) if colon and channels is None else (layer, channels)


def list_channels(classifier: Classifier, layer: str, channels: list[int] | str) -> list[int]:
    """List the channels that were asked: these, or all that the layer has."""
    from optvis.models.activations import read_channels

    if not isinstance(channels, str):
        return channels
    return list(range(read_channels(classifier, classifier.gray_image(), layer).shape[1]))


def parse_numbers(text: str) -> list[int]:
    """Parse numbers and ranges.

    >>> parse_numbers("50,3-5")
    [50, 3, 4, 5]
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or ("-" in part and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{shorten(text)!r}: expected numbers and ranges, like 50,450 or 0-63")
        span = (
            range(int(first), int(last or first) + 1) if len(first + last) < 2 * MAX_DIGITS else range(MAX_NUMBERS + 1)
        )
        if len(span) > MAX_NUMBERS - len(found):
            raise argparse.ArgumentTypeError(f"{shorten(text)!r}: expected at most {MAX_NUMBERS:,} numbers")
        if not span:
            raise argparse.ArgumentTypeError(f"{shorten(text)!r}: expected ranges that rise, like 0-63")
        found += span
    return found


def parse_normalization(text: str) -> Normalizer | str:
    """Parse how a network's images are normalised.

    >>> parse_normalization("none"), parse_normalization("0.13/0.3"), parse_normalization("Infer")
    (None, Normalize(mean=(0.13,), std=(0.3,)), 'infer')
    """
    named: dict[str, Normalizer | str] = {INFER: INFER, "imagenet": IMAGENET, "none": None}
    if text.casefold() in named:
        return named[text.casefold()]
    try:
        mean, std = ([float(number) for number in half.split(",")] for half in text.split("/"))
        return Normalize(tuple(mean), tuple(std))
    except ValueError as error:
        expected = "imagenet, none, infer, or MEAN/STD for all channels, like 0.5/0.2, or each: 0.5,0.4,0.5/0.2,0.2,0.3"
        raise argparse.ArgumentTypeError(f"{shorten(text)!r}: expected {expected}") from error


def shorten(text: str) -> str:
    """Cut a long text for an error message."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def parse_size(text: str) -> int | tuple[int, int]:
    """Parse a side in pixels, or HEIGHTxWIDTH.

    >>> parse_size("128"), parse_size("96x128")
    (128, (96, 128))
    """
    if len(text) > 2 * MAX_DIGITS:
        raise argparse.ArgumentTypeError(f"{shorten(text)!r}: expected pixels, like 224 or 96x128")
    sides = text.casefold().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r}: expected pixels, like 224 or 96x128")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))
