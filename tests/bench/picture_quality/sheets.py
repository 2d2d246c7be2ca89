"""Sheets to look at: the pictures of a recipe, or of two side by side, also without saying which is which."""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from PIL import Image

from optvis.data.files import atomic_write, ensure_dir
from optvis.viz.sheet import GAP, draw_sheet, encode_png, stack_rows

from .table import Bench, Row

COLUMNS = 8
SIDES = ("left", "right")


def draw_row(bench: Bench, row: Row) -> Image.Image:
    """All pictures of a recipe, with what they are of, and what the first judge says (own: rank of the own class)."""
    assert row.images is not None
    texts = [f"{row.name}: {bench.label(place).partition(',')[0]}" for place in range(len(row.images))]
    if row.answers:
        texts = [f"{text} | {answer}" for text, answer in zip(texts, row.answers, strict=True)]
    return draw_sheet(row.images, texts, COLUMNS, GAP)


def draw_pairs(bench: Bench, first: Row, second: Row, blind: random.Random | None = None) -> tuple[Image.Image, list]:
    """Two recipes side by side, a pair for each target, and which is where.

    Args:
        bench: for the labels.
        first: on the left of each pair, but for blind ones.
        second: on the right.
        blind: draws for each pair which recipe is on the left; labels then do not name recipes.
    """
    assert first.images is not None
    assert second.images is not None
    images, texts, key = [], [], []
    for place in range(len(first.images)):
        pair = [first, second]
        if blind is not None:
            blind.shuffle(pair)
        label = bench.label(place).partition(",")[0]
        key.append({"pair": place + 1, "of": label} | {side: row.name for side, row in zip(SIDES, pair, strict=True)})
        for side, row in zip(SIDES, pair, strict=True):
            assert row.images is not None
            images.append(row.images[place])
            texts.append(f"{place + 1} {label}, {side if blind is not None else row.name}")
    return draw_sheet(torch.stack(images), texts, COLUMNS, GAP), key


def write_sheet(path: Path, bench: Bench, rows: list[Row]) -> Path:
    """Write the sheets of several recipes, one below the other."""
    ensure_dir(path.parent)
    return atomic_write(path, encode_png(stack_rows([[draw_row(bench, row)] for row in rows])))


def write_pairs(path: Path, bench: Bench, first: Row, second: Row, key_file: Path | None, seed: int) -> Path:
    """Write a sheet of pairs; with a key file blind, and in that file which recipe is where."""
    blind = None if key_file is None else random.Random(f"{seed} {bench.subject.name} {bench.targets}")
    sheet, key = draw_pairs(bench, first, second, blind)
    ensure_dir(path.parent)
    if key_file is not None:
        ensure_dir(key_file.parent)
        atomic_write(key_file, json.dumps(key, indent=1).encode())
    return atomic_write(path, encode_png(sheet))
