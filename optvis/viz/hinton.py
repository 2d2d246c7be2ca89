"""Hinton diagrams: a square for each number, its area the size, its colour the sign."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.data.files import atomic_write, ensure_dir
from optvis.viz.plots import label_table
from optvis.viz.result import png_path
from optvis.viz.sheet import NEGATIVE_COLOR, POSITIVE_COLOR, draw_sheet, encode_png, stack_rows, to_pil_image

if TYPE_CHECKING:
    from PIL import Image

GROUND = 0.94  # the grey behind the squares
LEAST_CELL, MOST_CELL = 4, 24  # pixels of a number's side
NAMED_ROW, NAMED_COLUMN = 13, 24  # the least where it must hold a name
PANEL, ALONE = 96, 640  # pixels that a panel should have where there are many, and where it is alone
MOST_PIXELS = 2**24  # of all panels together


@dataclass(frozen=True, eq=False)
class Hinton:
    """Numbers as squares: orange above zero, violet below; shows itself in a notebook.

    Args:
        values: N panels of R rows and C columns, (N, R, C), on the CPU.
        extent: the number whose square fills its cell; squares of larger ones fill it too.
        labels: a text a panel, or none.
        rows: a text a row: of numbers where there is one panel, of panels where there are several; or none.
        columns: a text a column, where there is one panel; or none.
        across: how many panels stand side by side; None for nearly a square.
        icons: a picture above each panel, (N, 3, S, S) in [0, 1].
        heads: a picture in front of each row of panels, (M, 3, S, S) in [0, 1], with the row's text below it.
        recipe: what made the numbers, in JSON's types.
    """

    values: Tensor
    extent: float
    labels: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    across: int | None = None
    icons: Tensor | None = None
    heads: Tensor | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    def picture(self, cell: int | None = None) -> Image.Image:
        """All panels with their texts.

        Args:
            cell: side of each number's cell in pixels; by default from 4 to 24, as there are many or few.

        Raises:
            ValueError: a cell under 2 pixels, or a picture that would be too large.
        """
        panels = squares(self.values, self.extent, self._cell(cell))
        if self._is_table:
            return label_table(to_pil_image(panels[0]), self.rows, self.columns)
        tiles = panels if self.icons is None else torch.cat([_as_wide(self.icons, panels), panels], dim=2)
        if self.heads is None:
            return label_table(draw_sheet(tiles, self.labels, self.across), self.rows, ())
        return stack_rows([self._row(tiles, place, head) for place, head in enumerate(self.heads)])

    def save(self, path: str | Path) -> Path:
        """Write the picture as PNG with the recipe in it; returns its path. Written whole or not at all.

        Raises:
            ValueError: a path that does not end in .png.
            OSError: the folder cannot be written.
        """
        target = png_path(path)
        ensure_dir(target.parent)
        return atomic_write(target, encode_png(self.picture(), json.dumps(dict(self.recipe))))

    def _cell(self, cell: int | None) -> int:
        panels, height, width = self.values.shape
        wanted = (ALONE if panels == 1 else PANEL) // max(height, width)
        named = NAMED_ROW if self.rows and self._is_table else LEAST_CELL
        least = NAMED_COLUMN if self.columns else named
        side = min(MOST_CELL, max(least, wanted)) if cell is None else cell
        if side < 2:
            raise ValueError(f"cell is {cell}; expected 2 pixels or more")
        if self.values.numel() * side**2 > MOST_PIXELS:
            raise ValueError(
                f"{panels} panels of {height} × {width} numbers are too many for a picture at {side} pixels each; "
                f"choose fewer channels, or a smaller cell"
            )
        return side

    def _row(self, tiles: Tensor, place: int, head: Tensor) -> list[Image.Image]:
        """One row of panels, with what stands in front of it."""
        across = len(tiles) if self.across is None else self.across
        here = slice(place * across, (place + 1) * across)
        row = draw_sheet(tiles[here], self.labels[here], columns=across)
        return [draw_sheet(_as_wide(head.unsqueeze(0), tiles), self.rows[place : place + 1]), row]

    @property
    def _is_table(self) -> bool:
        return len(self) == 1 and not self.labels and self.icons is None and self.heads is None

    def _repr_png_(self) -> bytes:
        return encode_png(self.picture())

    def __repr__(self) -> str:
        panels, height, width = self.values.shape
        count = "" if panels == 1 else f"{panels} panels of "
        return f"Hinton({count}{height} × {width}, full square at {self.extent:.3g})"


def hinton(
    values: Any,
    *,
    labels: Sequence[str] = (),
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    across: int | None = None,
    extent: float | None = None,
    icons: Tensor | None = None,
    heads: Tensor | None = None,
    recipe: Mapping[str, Any] = MappingProxyType({}),
) -> Hinton:
    """A Hinton diagram of any numbers: areas of squares are in proportion to their absolute values.

    Args:
        values: (C,) one row; (R, C) one panel; (N, R, C) several; (M, N, R, C) M rows of N panels, such as a
            convolution's weight.
        labels: a text a panel, or none.
        rows: a text a row: of numbers in one panel, or of panels.
        columns: a text a column, for one panel.
        across: how many panels stand side by side; by default N of four axes, and nearly a square of three.
        extent: the number whose square fills its cell; by default the largest absolute one of all panels, so that
            they compare. Larger numbers fill their cells too.
        icons: a picture above each panel, (N, 3, S, S) in [0, 1].
        heads: a picture in front of each row of panels, (M, 3, S, S) in [0, 1].
        recipe: what made the numbers; saved with the picture.

    Raises:
        ValueError: no numbers, or NaN or infinite ones; another number of axes or texts; an extent that is not
            positive.
        TypeError: complex numbers.

    Example:
        >>> hinton([[1.0, -0.5], [0.25, 0.0]])
        Hinton(2 × 2, full square at 1)
    """
    panels = _panels(values)
    most = float(panels.abs().max()) if extent is None else float(extent)
    if extent is not None and not 0 < most < float("inf"):
        raise ValueError(f"extent is {extent}; expected a positive number")
    given = torch.as_tensor(values)
    wide = given.shape[1] if given.dim() == 4 and across is None else across
    made = Hinton(panels, most, tuple(labels), tuple(rows), tuple(columns), wide, icons, heads, recipe)
    _check_extras(made)
    return made


def squares(values: Tensor, extent: float, cell: int) -> Tensor:
    """The squares alone, each in the middle of its cell, with soft edges so that areas are exact.

    Args:
        values: (N, R, C).
        extent: the absolute value whose square has a side of `cell` − 1 pixels.
        cell: side of a cell in pixels.

    Returns:
        (N, 3, R · cell, C · cell) in [0, 1].

    Example:
        >>> pixels = squares(torch.tensor([[[1.0, 0.25]]]), 1.0, 9)
        >>> (0.94 - pixels[0, 2]).view(9, 2, 9).sum((0, 2)).round()
        tensor([60., 15.])
    """
    panels, height, width = values.shape
    shares = (values.abs().float() / extent).clamp(max=1) if extent > 0 else torch.zeros(values.shape)
    halves = (shares.sqrt() * (cell - 1) / 2).unsqueeze(-1)
    starts, middle = torch.arange(cell), cell / 2
    covered = (torch.minimum(starts + 1, middle + halves) - torch.maximum(starts, middle - halves)).clamp(0, 1)
    cover = covered.unsqueeze(-1) * covered.unsqueeze(-2)
    cover = cover.transpose(2, 3).reshape(panels, 1, height * cell, width * cell)
    signs = (values >= 0).repeat_interleave(cell, 1).repeat_interleave(cell, 2).unsqueeze(1)
    above, below = (torch.tensor(colour).view(1, 3, 1, 1) / 255 for colour in (POSITIVE_COLOR, NEGATIVE_COLOR))
    return GROUND * (1 - cover) + torch.where(signs, above, below) * cover


def _panels(values: Any) -> Tensor:
    """(N, R, C), finite floats on the CPU."""
    given = torch.as_tensor(values).detach().cpu()
    if given.is_complex():
        raise TypeError(f"values are {given.dtype}; expected real numbers: take .real, .imag or .abs()")
    if not 1 <= given.dim() <= 4 or given.numel() == 0:
        raise ValueError(f"values are {tuple(given.shape)}; expected (C,), (R, C), (N, R, C) or (M, N, R, C)")
    numbers = given if given.is_floating_point() else given.to(torch.get_default_dtype())
    wrong = int((~numbers.isfinite()).sum())
    if wrong:
        raise ValueError(f"{wrong} of {numbers.numel()} values are NaN or infinite; a square has a size")
    return numbers.view(1, 1, -1) if numbers.dim() == 1 else numbers.reshape(-1, *numbers.shape[-2:])


def _check_extras(made: Hinton) -> None:
    """As many texts and pictures as there are things that they belong to."""
    panels, height, width = made.values.shape
    across = math.ceil(math.sqrt(panels)) if made.across is None else made.across
    rows_of_panels = math.ceil(panels / max(1, across))
    if made.columns and not made._is_table:
        raise ValueError(f"names of columns belong to one panel alone; there are {panels}")
    for name, count in (
        ("labels", panels),
        ("rows", height if made._is_table else rows_of_panels),
        ("columns", width),
        ("icons", panels),
        ("heads", rows_of_panels),
    ):
        given = getattr(made, name)
        if given is not None and len(given) not in (0, count):
            raise ValueError(f"{len(given)} {name} for {count}")


def _as_wide(pictures: Tensor, panels: Tensor) -> Tensor:
    """Pictures (N, 3, S, S) as wide as panels (…, W)."""
    width = panels.shape[-1]
    height = max(1, round(pictures.shape[-2] * width / pictures.shape[-1]))
    return F.interpolate(pictures.float(), (height, width), mode="bilinear", antialias=True).clamp(0, 1)


__all__ = ["Hinton", "hinton", "squares"]
