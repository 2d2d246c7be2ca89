"""Figures of the page from images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from optvis.demo.output_dir import FIGURE_KIND
from optvis.demo.page import Figure, FigureTile
from optvis.viz.sheet import draw_sheet, encode_png, to_pil_image


def build_figure(
    file: str,
    images: Tensor,
    titles: Sequence[str],
    alts: Sequence[str],
    *,
    columns: tuple[int, int],
    caption: str,
    code: str,
    recipe: Mapping[str, Any],
    notes: Sequence[str] = (),
    heading: str = "",
) -> Figure:
    """Turn images into tiles for the page and into one sheet for a PNG; see `FigureTile` and `Figure`.

    Args:
        images: (B, 3, H, W) in [0, 1].
        titles, alts: a text per image.
        recipe: what computed the images, in JSON types; it goes into the PNG.
        notes: a text per image, or none.

    Raises:
        ValueError: the numbers of texts and of images differ.
    """
    pngs = [encode_png(to_pil_image(image)) for image in images]
    tiles = tuple(FigureTile(*parts) for parts in zip(pngs, alts, titles, notes or [""] * len(images), strict=True))
    labels = [f"{tile.title} {tile.note}" for tile in tiles]
    png = encode_png(draw_sheet(images, labels, columns[0]), json.dumps(dict(recipe)), FIGURE_KIND)
    return Figure(file, png, tiles, columns, caption, code, heading)


def join_tiles(tiles: Tensor) -> Tensor:
    """Rows of images as one image, (h, w, 3, S, S) -> (3, h · S, w · S)."""
    return tiles.permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)


def resize_tile(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, H, W) in another size, bicubic."""
    return F.interpolate(image[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)


def require_complete(*recipes: Mapping[str, Any]) -> None:
    """Check that no result was interrupted, so that no figure shows half of one.

    Raises:
        KeyboardInterrupt: one of them was.
    """
    if any(recipe["interrupted"] for recipe in recipes):
        raise KeyboardInterrupt
