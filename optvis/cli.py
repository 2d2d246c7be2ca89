"""The `optvis` command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from optvis import commands
from optvis.version import __version__

# RuntimeError is torch's: a picture too small for the network, a device without memory.
USER_MISTAKES = (ValueError, TypeError, KeyError, IndexError, OSError, ImportError, RuntimeError)
FAILED, INTERRUPTED = 1, 130
# Of attribution; written out here, so that help is quick.
METHODS = ("halved", "gradient", "path", "stochastic", "smooth", "ablation")
BLINDING = ("search", "subspace", "contrast", "loudest", "commonest")
WITHOUT_NETWORK = ("layers", "render")  # what can be said with no network: then it is the embedded one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0, 1 for an error, 2 for wrong usage, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = options.run
    try:
        run(options)
    except USER_MISTAKES as error:
        if options.debug:
            raise
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"optvis: error: {' '.join(str(text).split())}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("optvis: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        says_nothing = action.default is None or action.default is False
        return action.help if says_nothing else super()._get_help_string(action)


class _Command(argparse.ArgumentParser):
    """Takes options between positional arguments too: `render NETWORK --weights none LAYER`."""

    is_intermixing = False

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        if self.is_intermixing:
            return super().parse_known_args(args, namespace)
        self.is_intermixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.is_intermixing = False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="optvis",
        description="See what a vision network has learned.",
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"optvis {__version__}")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Command)
    for add in (_add_layers, _add_render, _add_dream, _add_classify, _add_grid, _add_attribute, _add_blind, _add_demo):
        add(subparsers)
    return parser


def _command(subparsers: argparse._SubParsersAction, name: str, run: Callable[..., None], help: str, example: str):  # type: ignore[no-untyped-def,type-arg]
    command = subparsers.add_parser(
        name,
        help=help,
        description=help,
        epilog=f"example: {example}",
        formatter_class=_Defaults,
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


def _add_layers(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = _command(
        subparsers,
        "layers",
        commands.layers,
        "list a network's layers: names, types, output shapes",
        "optvis layers resnet18 --weights none",
    )
    command.add_argument(
        "--size", type=_size, help="side of the image in pixels, or HEIGHTxWIDTH; the network's own if not given"
    )


def _add_render(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = _command(
        subparsers,
        "render",
        commands.render,
        "draw what excites channels or classes, one PNG each",
        "optvis render squeezenet1_0 features.12 --channels 50,450 --out pictures",
    )
    command.add_argument("layer", metavar="LAYER", nargs="?", help="layer name, as `optvis layers` lists them")
    command.add_argument("--channels", type=_numbers, help="which channels: 50,450 or 0-63 or both mixed")
    command.add_argument(
        "--label", action="append", help="draw a class's logit, by label text or index; may be repeated"
    )
    command.add_argument("--out", type=Path, default=Path("pictures"), help="folder for the pictures; made if need be")
    command.add_argument(
        "--size", type=_size, help="side of the pictures in pixels, or HEIGHTxWIDTH; the network's own if not given"
    )
    command.add_argument("--steps", type=int, default=64, help="updates of each picture")
    command.add_argument("--rate", type=float, default=0.4, help="learning rate of the first step, falling off")
    command.add_argument("--param", choices=("fft", "pixel"), default="fft", help="parameterization of the pictures")
    command.add_argument("--decay", type=float, default=1.0, help="with --param fft: power that damps high frequencies")
    command.add_argument("--variation", type=float, default=0.0, help="weight of total variation, subtracted")
    command.add_argument(
        "--no-transforms", action="store_true", help="show the network the pictures as they are, not jittered"
    )
    command.add_argument("--seed", type=int, default=0, help="of noise and transforms")
    command.add_argument("--chunk", type=int, help="pictures made at a time; all if not given")
    command.add_argument(
        "--animate", choices=("gif", "webp", "apng"), help="also write the pictures' growth as an animation"
    )


def _add_dream(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = _command(
        subparsers,
        "dream",
        commands.dream,
        "dream of a photograph",
        "optvis dream squeezenet1_0 photo.jpg --layer features.9 --out dreams",
    )
    command.add_argument("photo", metavar="PHOTO", nargs="?", help="an image file; not with --start")
    command.add_argument(
        "--start", choices=("noise", "black"), help="start from nothing, at --size, in place of a photograph"
    )
    command.add_argument("--layer", required=True, help="whose activations grow")
    command.add_argument(
        "--loss", choices=("norm", "gram"), default="norm", help="the layer's L2 norm, or its Gram matrix summed"
    )
    command.add_argument("--channel", type=int, help="with --loss norm: only this channel of the layer")
    command.add_argument("--out", type=Path, default=Path("dreams"), help="folder for the picture; made if need be")
    command.add_argument("--size", type=_size, help="longer side in pixels; the photograph's own if not given")
    command.add_argument("--steps", type=int, default=10, help="steps at each octave")
    command.add_argument("--step-size", type=float, default=0.01, help="change of pixels in [0, 1] at each step")
    command.add_argument("--octaves", type=int, default=4, help="sizes, from coarse to fine")
    command.add_argument("--octave-scale", type=float, default=1.4, help="how much larger each size is")
    command.add_argument("--rounds", type=int, default=1, help="feed the result back so often: deeper and deeper")
    command.add_argument(
        "--raw", action="store_true", help="steps along the raw gradient, not divided by its deviation"
    )
    command.add_argument("--tile", type=int, help="side in pixels of the pieces of a large canvas; whole if not given")
    command.add_argument("--seed", type=int, default=0, help="of the random shifts, and of --start noise")
    command.add_argument("--animate", choices=("gif", "webp", "apng"), help="also write the octaves as an animation")


def _add_classify(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = _command(
        subparsers,
        "classify",
        commands.classify,
        "say what a network calls photographs",
        "optvis classify squeezenet1_0 photo.jpg",
    )
    command.add_argument("photos", metavar="PHOTO", nargs="+", help="image files, or folders of them")
    command.add_argument("--top", type=int, default=5, help="how many classes of each")


def _add_grid(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = _command(
        subparsers,
        "grid",
        commands.grid,
        "show what a layer saw at each place of a photograph: icons, groups, and a page to walk through",
        "optvis grid squeezenet1_0 photo.jpg --layer features.12 --out grid",
    )
    command.add_argument("photo", metavar="PHOTO", help="an image file")
    command.add_argument("--layer", action="append", required=True, help="layer name; may be repeated")
    command.add_argument(
        "--label",
        action="append",
        help="a class whose attribution is shown, by text or index; may be repeated; the three likeliest if not given",
    )
    command.add_argument("--groups", type=int, default=6, help="of neurons, shared by the icons; 0 for none")
    command.add_argument("--size", type=int, default=64, help="side of an icon in pixels")
    command.add_argument("--steps", type=int, default=256, help="each moves 64 icons")
    command.add_argument("--channels", type=int, default=0, help="draw so many channels of each place too; 0 for none")
    command.add_argument("--seed", type=int, default=0, help="of noise, transforms and groups")
    command.add_argument("--out", type=Path, default=Path("grid"), help="folder for index.html and its pictures")


def _add_attribute(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = _command(
        subparsers,
        "attribute",
        commands.attribute,
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


def _add_blind(subparsers) -> None:  # type: ignore[no-untyped-def]
    command = _command(
        subparsers,
        "blind",
        commands.blind,
        "find what to switch off so that a network no longer sees a class, and judge what that costs",
        "optvis blind squeezenet1_0 --target ships --class 'container ship' --keep liners controls --out blinded",
    )
    command.add_argument("--target", required=True, help="folder of photographs of the class")
    command.add_argument("--class", dest="label", required=True, help="the class, by label text or index")
    command.add_argument("--keep", nargs="+", default=[], help="folders of photographs whose labels must stay")
    command.add_argument("--judge", nargs="+", help="folders that judge, the target's first; those above if not given")
    command.add_argument("--layer", action="append", help="where; may be repeated; the last stage if not given")
    command.add_argument("--method", choices=BLINDING, default="search", help="how units are found")
    command.add_argument("--most", type=int, help="channels at most; as the method says if not given")
    command.add_argument(
        "--leave-one-out", action="store_true", help="also judge each photograph by a search that did not see it"
    )
    command.add_argument("--random", type=int, default=200, help="random sets of the same size that are tried")
    command.add_argument("--seed", type=int, default=0, help="of whatever is drawn")
    command.add_argument("--bake", action="store_true", help="also write the blinded network's weights")
    command.add_argument("--out", type=Path, default=Path("blinded"), help="folder for the report; made if need be")


def _add_demo(subparsers) -> None:  # type: ignore[no-untyped-def]
    what = "show on the embedded network what optvis does: one page with its pictures"
    command = subparsers.add_parser(
        "demo",
        help=what,
        description=what,
        epilog="example: optvis demo --out optvis-demo",
        formatter_class=_Defaults,
    )
    command.set_defaults(run=commands.demo)
    command.add_argument(
        "--out", type=Path, default=Path("optvis-demo"), help="folder for index.html and its pictures; made if need be"
    )
    command.add_argument("--seed", type=int, default=0, help="of scenes, noise and transforms")
    command.add_argument("--device", default="cpu", help="where to work: cpu, cuda, cuda:1, mps")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _numbers(text: str) -> list[int]:
    """
    >>> _numbers("50,3-5")
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


def _size(text: str) -> int | tuple[int, int]:
    """
    >>> _size("128"), _size("96x128")
    (128, (96, 128))
    """
    sides = text.casefold().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(f"{text!r}: expected pixels, like 224 or 96x128")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


if __name__ == "__main__":
    sys.exit(main())
