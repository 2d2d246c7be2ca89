"""Images of a network as a figure of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from optvis.demo.output_dir import signed
from optvis.demo.page import Figure, Tile
from optvis.viz.sheet import draw_sheet, encode_png, to_pil_image


def figure(
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
    """Images as tiles for the page and as a sheet for a PNG of their own; see `Tile` and `Figure`.

    Args:
        images: (B, 3, H, W) in [0, 1].
        titles, alts: a text per image.
        recipe: what made them, in JSON's types; it goes into the PNG.
        notes: a text per image, or none.

    Raises:
        ValueError: another number of texts than of images.
    """
    below = notes or [""] * len(images)
    pictures = [encode_png(to_pil_image(image)) for image in images]
    tiles = tuple(Tile(*parts) for parts in zip(pictures, alts, titles, below, strict=True))
    labels = [f"{tile.title} {tile.note}" for tile in tiles]
    png = encode_png(draw_sheet(images, labels, columns[0]), signed(recipe))
    return Figure(file, png, tiles, columns, caption, code, heading)
