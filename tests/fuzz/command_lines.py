"""Random command lines in a folder with a few files, run in this process."""

from __future__ import annotations

import argparse
import functools
import io
import random
import shutil
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from optvis.cli.main import COMMANDS, build_parser, main

NETWORKS = ("demo", "demo", "demo", "demo", "nope", "w.pth", "", "timm/nope", "photo.png")
LAYERS = ("mixed5", "mixed4", "head", "nope", "<image>", "", "mixed5#9", "mixed5:3", "x" * 300)
FILES = (
    "photo.png",
    "text.jpg",
    "broken.png",
    "folder",
    "empty",
    "none.png",
    "",
    ".",
    "x" * 300,
    "日本 語.png",
    "a\0b",
    "caf\udce9.png",
)
NUMBERS = ("0", "1", "2", "-1", "3", "99999999", "9" * 30, "1.5", "nan", "x", "", "4294967296", "-9999999999999999999")
CHANNELS = ("0", "3,5", "0-9999999999", "all", "9-1", "-", "a", "999", "1-" + "9" * 40, "0,0", ",")
CLASSES = ("container ship", "ship", "0", "99", "-1", "", "9" * 30, "日本", "nope", "x" * 300)
TEXTS = ("", "none", "DEFAULT", "nope", "cpu", "meta", "cuda:99", "gif", "greedy", "x" * 300, "\udce9", "umap", "noise")
# What takes long by its nature gets small numbers always, so that a try ends.
QUICK = {
    "render": ("--steps", "1", "--size", "24"),
    "dream": ("--steps", "1", "--octaves", "1"),
    "classify": (),
    "grid": ("--steps", "1", "--size", "12"),
    "attribute": (),
    "blind": ("--random", "1"),
    "layers": (),
    "atlas": ("--scenes", "14", "--steps", "1", "--size", "12"),
    "hinton": ("--icons", "0"),
    "demo": ("--out", "photo.png"),
    "microscope": ("--scenes", "6", "--steps", "1", "--channels", "0", "--size", "24"),
    "patch": ("--scenes", "3"),
    "survey": ("--scenes", "6"),
    "store": ("ls",),
    "plan": ("--layers", "mixed5", "--steps", "1", "--size", "24"),
}
REQUIRED = {"blind": ("--images", "--class"), "grid": ("--layers",), "dream": ("--layer",), "attribute": ("--layer",),
            "atlas": ("--layer",), "microscope": ("--layers",), "patch": ("--source", "--target")}  # fmt: skip
OPTIONS = {
    "--size": NUMBERS, "--steps": ("0", "1", "-1", "x", "1.5", ""), "--seed": NUMBERS, "--channels": CHANNELS,
    "--levels": ("2", "99999", "0", "0-9999999999", "5,5", "x"), "--layer": LAYERS, "--layers": LAYERS,
    "--class": CLASSES, "--classes": CLASSES, "--against": CLASSES, "--source": CLASSES, "--target": CLASSES,
    "--out": ("out", "photo.png", "x" * 300, "", "a\0b", "caf\udce9", "/dev/null/x"),
    "--device": TEXTS, "--weights": TEXTS,
    "--labels": FILES, "--images": FILES, "--top": NUMBERS, "--groups": ("0", "1", "-1", "999999", "x"),
    "--from": LAYERS, "--image": FILES, "--keep": FILES, "--method": TEXTS, "--rate": NUMBERS, "--decay": NUMBERS,
    "--total-variation": NUMBERS, "--batch-size": NUMBERS, "--octave-scale": NUMBERS, "--tile-size": NUMBERS,
    "--step-size": NUMBERS, "--layout": TEXTS, "--samples": FILES, "--min-points": NUMBERS, "--max-units": NUMBERS,
    "--group-size": NUMBERS, "--top-images": NUMBERS, "--sample-size": NUMBERS,
    "--architecture": TEXTS, "--input-size": NUMBERS, "--normalize": ("none", "0.5/0", "1,2,3/1,2,3", "x"),
    "--start": TEXTS, "--loss": TEXTS, "--channel": NUMBERS, "--param": TEXTS, "--animate": TEXTS,
    "--icons": ("0", "-1", "x"),
    "--nonsense": TEXTS, "--help": (), "--version": (),
}  # fmt: skip
RAW_WORDS = ("Traceback", "enforce fail", "aten::", "Expected all tensors", "size mismatch", "[Errno", "NoneType",
             "object has no attribute", "not supported between", "must be real number", "invalid literal")  # fmt: skip


class RawLineError(Exception):
    """The command printed a line from the inside."""


def draw_command(data: Any) -> tuple[Callable[[], Any], str]:
    """A command line."""
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    write_files()
    command = dice.choice(COMMANDS)
    words = list(_words(command, dice))
    if dice.random() < 0.05:
        dice.shuffle(words)
    line = [command, *words]
    return functools.partial(run, line), "optvis " + " ".join(word[:40] if word else "''" for word in line)


def _words(command: str, dice: random.Random) -> Iterable[str]:
    if command not in ("demo", "store"):
        yield dice.choice(NETWORKS)
    if command in ("dream", "classify", "grid", "attribute"):
        yield dice.choice(FILES)
    if command in ("render", "hinton"):
        yield dice.choice(LAYERS)
    if command == "patch":
        yield dice.choice(("baseball", *FILES))
    for option in REQUIRED.get(command, ()):
        if dice.random() < 0.95:
            yield from (option, dice.choice(OPTIONS[option]))
    yield from QUICK[command]
    names = OPTIONS.keys() - ({"--out"} if command == "demo" else set())  # the tour renders for minutes
    known = sorted(names & options_of(command) if dice.random() < 0.95 else names)
    for option in dice.sample(known, min(len(known), dice.choice((0, 1, 1, 2, 3)))):
        yield from (option, *([dice.choice(OPTIONS[option])] if OPTIONS[option] else []))


@functools.cache
def options_of(command: str) -> frozenset[str]:
    """The options that a command has, but those that end it at once."""
    (commands,) = (each for each in build_parser()._actions if isinstance(each, argparse._SubParsersAction))
    found = {text for action in commands.choices[command]._actions for text in action.option_strings}
    return frozenset(found - {"--help", "-h"})


def write_files() -> None:
    """Write images, a damaged one, text, and folders to the current folder."""
    Path("folder").mkdir()
    Path("empty").mkdir()
    Image.effect_noise((60, 40), 80).convert("RGB").save("photo.png")
    shutil.copy("photo.png", "folder/a.png")
    shutil.copy("photo.png", "日本 語.png")
    Path("broken.png").write_bytes(Path("photo.png").read_bytes()[:200])
    Path("text.jpg").write_text("hello")
    Path("w.pth").write_bytes(b"PK\3\4nothing")


def run(line: list[str]) -> None:
    """Run the command line.

    Raises:
        RawLineError: it failed with a line from the inside, or without one.
    """
    out, errors = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            code = main(line)
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 2
    text = errors.getvalue().strip()
    if code == 1 and (not text.startswith("optvis: error: ") or "\n" in text or any(w in text for w in RAW_WORDS)):
        raise RawLineError(text[-600:])
    if code == 2 and text:
        raise SystemExit(code)
    if code != 0 and code != 1:
        raise RawLineError(f"exit code {code}: {text[-300:]}")
    if code == 1:
        raise ValueError(text)
