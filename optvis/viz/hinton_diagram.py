"""Hinton diagrams: a square for each number, its area in proportion to the size, its color the sign."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from optvis.arguments import check_axes, check_minimum
from optvis.data.images import resize
from optvis.objectives.target_tensors import as_numbers
from optvis.viz.figures import FONT_SIZE, WIDTH, draw_on, figure_of, fit_text, set_labels
from optvis.viz.labels import label_table
from optvis.viz.result import Result
from optvis.viz.sheet import NEGATIVE_COLOR, POSITIVE_COLOR, count_columns, draw_sheet, stack_rows, to_pil_image
from optvis.viz.tiles import GROUND, frame_tiles, place_image, place_squares

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

MIN_CELL, MAX_CELL = 4, 24  # side of a number's cell in pixels
MIN_LABELED_ROW, MIN_LABELED_COLUMN = 13, 24  # the same where a row or a column has a label
PANEL_SIZE, SINGLE_PANEL_SIZE = 96, 640  # side of a panel in pixels: of one of many, and of one alone
MAX_PIXELS = 2**24  # of all panels together
MIN_CELL_INCHES, MAX_CELL_INCHES = 0.02, 0.25  # side of a number's cell in a figure
LABEL_INCHES = 1.6  # of the labels of rows


@dataclass(frozen=True, eq=False)
class Hinton(Result):
    """Numbers as squares: orange above zero, violet below; shows itself in a notebook.

    Args:
        values: N panels of R rows and C columns, (N, R, C), on the CPU.
        extent, labels, row_labels, column_labels, icons, row_icons: see `hinton`.
        panels_per_row: how many panels stand side by side; None for nearly a square.
        recipe: what computed the numbers, in JSON types.
    """

    KIND = "Hinton diagram"
    TENSOR_FIELDS: ClassVar = {"values": "N R C", "icons": "I 3 S S", "row_icons": "J 3 Z Z"}
    JSON_FIELDS: ClassVar = {
        "extent": float,
        **dict.fromkeys(("labels", "row_labels", "column_labels"), tuple[str, ...]),
        "panels_per_row": int | None,
    }

    values: Tensor
    extent: float
    labels: tuple[str, ...] = ()
    row_labels: tuple[str, ...] = ()
    column_labels: tuple[str, ...] = ()
    panels_per_row: int | None = None
    icons: Tensor | None = None
    row_icons: Tensor | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def _check(self, sizes: Mapping[str, int]) -> None:
        panels, height, width = sizes["N"], sizes["R"], sizes["C"]
        if not self.values.numel() or (self.panels_per_row is not None and self.panels_per_row < 1):
            raise ValueError(
                f"values are {tuple(self.values.shape)}, panels_per_row is {self.panels_per_row}; expected one or more"
            )
        rows_of_panels = math.ceil(panels / self._panels_per_row)
        if self.column_labels and not self.is_table:
            raise ValueError(f"column_labels belong to a single panel; there are {panels}")
        rows = height if self.is_table else rows_of_panels
        counts = {"labels": panels, "row_labels": rows, "column_labels": width, "icons": panels}
        for name, count in (counts | {"row_icons": rows_of_panels}).items():
            values = getattr(self, name)
            if values is not None and len(values) not in (0, count):
                raise ValueError(f"{len(values)} {name} for {count}")

    def __len__(self) -> int:
        return len(self.values)

    def image(self, cell: int | None = None) -> Image.Image:
        """All panels with their labels.

        Args:
            cell: side of each number's cell in pixels; by default from 4 to 24, as there are many or few.

        Raises:
            ValueError: a cell under 2 pixels, or an image that would be too large.
        """
        panels = draw_squares(self.values, self.extent, self._cell_size(cell))
        if self.is_table:
            return label_table(to_pil_image(panels[0]), self.row_labels, self.column_labels)
        tiles = panels if self.icons is None else torch.cat([_resize_to_width(self.icons, panels), panels], dim=2)
        if self.row_icons is None:
            return label_table(draw_sheet(tiles, self.labels, self._panels_per_row), self.row_labels, ())
        return stack_rows([self._row(tiles, index, icon) for index, icon in enumerate(self.row_icons)])

    def figure(self, ax: Axes | None = None) -> Figure:
        """All panels with their labels, as shapes and texts.

        Args:
            ax: axes to draw on; those of a new figure by default.
        """
        panels, height, width = self.values.shape
        across = 1 if self.is_table else self._panels_per_row
        down = math.ceil(panels / across)
        above = 0.0 if self.icons is None else width * self.icons.shape[2] / self.icons.shape[3]
        left = 0.0 if self.row_icons is None else 1.1 * width
        cell = min(MAX_CELL_INCHES, max(MIN_CELL_INCHES, WIDTH / (left + 1.1 * across * width)))
        line = 1.4 * FONT_SIZE / 72 / cell
        step = 1.1 * width, above + height + (line if self.labels else 0) + 0.1 * width
        right, bottom = left + across * step[0] - 0.1 * width, down * step[1] - 0.1 * width
        size = right * cell + 0.3 + LABEL_INCHES * bool(self.row_labels), bottom * cell + 0.3 + bool(self.column_labels)
        with draw_on(ax, size) as axes:
            for index, panel in enumerate(self.values):
                x, y = left + index % across * step[0], index // across * step[1]
                place_squares(axes, panel, self.extent, (x, y + above))
                if self.icons is not None:
                    place_image(axes, to_pil_image(self.icons[index]), (x, y, width, above))
                if self.labels:
                    text = fit_text(self.labels[index], width * cell)
                    axes.text(x, y + above + height + 0.2 * line, text, va="top", parse_math=False)
            for row, icon in enumerate(self.row_icons if self.row_icons is not None else ()):
                place_image(axes, to_pil_image(icon), (0, row * step[1], width, width * icon.shape[1] / icon.shape[2]))
            frame_tiles(axes, right, bottom)
            self._label_axes(axes, 1.0 if self.is_table else step[1])
        return figure_of(axes)

    @property
    def _panels_per_row(self) -> int:
        return count_columns(len(self)) if self.panels_per_row is None else self.panels_per_row

    def _label_axes(self, axes: Axes, step: float) -> None:
        """Write the labels of rows and columns beside axes, in the middle of each."""
        axes.set_axis_on()
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labeltop=True, labelbottom=False)
        texts = [fit_text(text, LABEL_INCHES) for text in self.row_labels]
        set_labels(axes, "y", [(row + 0.5) * step for row in range(len(texts))], texts)
        texts = [fit_text(text, LABEL_INCHES) for text in self.column_labels]
        set_labels(axes, "x", [column + 0.5 for column in range(len(texts))], texts, rotation=90)

    def _cell_size(self, cell: int | None) -> int:
        panels, height, width = self.values.shape
        wanted = (SINGLE_PANEL_SIZE if panels == 1 else PANEL_SIZE) // max(height, width)
        least = MIN_LABELED_ROW if self.row_labels and self.is_table else MIN_CELL
        least = MIN_LABELED_COLUMN if self.column_labels else least
        side = min(MAX_CELL, max(least, wanted)) if cell is None else cell
        check_minimum(2, cell=side)
        if self.values.numel() * side**2 > MAX_PIXELS:
            raise ValueError(
                f"{panels} panels of {height} × {width} numbers are too many for an image at {side} pixels each; "
                f"choose fewer channels, or a smaller cell"
            )
        return side

    def _row(self, tiles: Tensor, index: int, icon: Tensor) -> list[Image.Image]:
        """One row of panels, with its icon in front."""
        columns = self._panels_per_row
        panels = slice(index * columns, (index + 1) * columns)
        row = draw_sheet(tiles[panels], self.labels[panels], columns=columns)
        return [draw_sheet(_resize_to_width(icon.unsqueeze(0), tiles), self.row_labels[index : index + 1]), row]

    @property
    def is_table(self) -> bool:
        """Whether this is one panel, whose rows and columns can have labels of their own."""
        return len(self) == 1 and not self.labels and self.icons is None and self.row_icons is None

    def __repr__(self) -> str:
        panels, height, width = self.values.shape
        count = "" if panels == 1 else f"{panels} panels of "
        return f"Hinton({count}{height} × {width}, full square at {self.extent:.3g})"


def hinton(
    values: Any,
    *,
    labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    panels_per_row: int | None = None,
    extent: float | None = None,
    icons: Tensor | None = None,
    row_icons: Tensor | None = None,
    recipe: Mapping[str, Any] = MappingProxyType({}),
) -> Hinton:
    """A Hinton diagram of any numbers: areas of squares are in proportion to their absolute values.

    Args:
        values: (C,) one row; (R, C) one panel; (N, R, C) several; (M, N, R, C) M rows of N panels, such as a
            convolution's weight.
        labels: a text a panel, or none.
        row_labels: a text a row: of numbers in one panel, or of panels.
        column_labels: a text a column, for one panel.
        panels_per_row: how many panels stand side by side; by default N of four axes, and nearly a square of three.
        extent: the number whose square fills its cell; by default the largest absolute one of all panels, so that
            they compare. Larger numbers fill their cells too.
        icons: an image above each panel, (N, 3, S, S) in [0, 1].
        row_icons: an image in front of each row of panels, (M, 3, S, S) in [0, 1], with the row's label below.
        recipe: what computed the numbers; saved with the image.

    Raises:
        ValueError: no numbers, or NaN or infinite ones; another number of axes or labels; an extent that is not
            positive.
        TypeError: complex numbers.

    Example:
        >>> hinton([[1.0, -0.5], [0.25, 0.0]])
        Hinton(2 × 2, full square at 1)
    """
    numbers = as_numbers(values, "the array of values")
    panels = _as_panels(numbers)
    most = float(panels.abs().max()) if extent is None else float(extent)
    if extent is not None and not 0 < most < float("inf"):
        raise ValueError(f"extent is {extent}; expected a positive number")
    columns = numbers.shape[1] if numbers.dim() == 4 and panels_per_row is None else panels_per_row
    texts = tuple(labels), tuple(row_labels), tuple(column_labels)
    return Hinton(panels, most, *texts, columns, icons, row_icons, recipe)


def draw_squares(values: Tensor, extent: float, cell: int) -> Tensor:
    """Draw the squares alone, each in the middle of its cell, with soft edges so that areas are exact.

    Args:
        values: (N, R, C), on any device.
        extent: the absolute value whose square has a side of `cell` − 1 pixels.
        cell: side of a cell in pixels.

    Returns:
        (N, 3, R · cell, C · cell) in [0, 1], on the CPU.

    Example:
        >>> pixels = draw_squares(torch.tensor([[[1.0, 0.25]]]), 1.0, 9)
        >>> (0.94 - pixels[0, 2]).view(9, 2, 9).sum((0, 2)).round()
        tensor([60., 15.])
    """
    check_axes({"values": values}, "N R C")
    if cell < 1 or values.numel() * cell**2 > MAX_PIXELS or not math.isfinite(extent):
        raise ValueError(f"cell is {cell}, extent is {extent}; expected 1 or more, at most {MAX_PIXELS} pixels, finite")
    panels, height, width = values.shape
    values = values.cpu()
    sizes = values.abs().float()
    shares = (sizes / extent).clamp(max=1) if extent > 0 else sizes.zero_()
    halves = (shares.sqrt() * (cell - 1) / 2).unsqueeze(-1)
    starts, middle = torch.arange(cell, device="cpu"), cell / 2
    covered = (torch.minimum(starts + 1, middle + halves) - torch.maximum(starts, middle - halves)).clamp(0, 1)
    cover = covered.unsqueeze(-1) * covered.unsqueeze(-2)
    cover = cover.transpose(2, 3).reshape(panels, 1, height * cell, width * cell)
    signs = (values >= 0).repeat_interleave(cell, 1).repeat_interleave(cell, 2).unsqueeze(1)
    colors = torch.tensor([POSITIVE_COLOR, NEGATIVE_COLOR], dtype=torch.float32, device="cpu") / 255
    above, below = colors.view(2, 1, 3, 1, 1)
    return GROUND * (1 - cover) + torch.where(signs, above, below) * cover


def _as_panels(a: Tensor) -> Tensor:
    """(N, R, C), finite floats."""
    if not 1 <= a.dim() <= 4 or a.numel() == 0:
        raise ValueError(f"values are {tuple(a.shape)}; expected (C,), (R, C), (N, R, C) or (M, N, R, C)")
    numbers = a if a.is_floating_point() else a.float()
    wrong = int((~numbers.isfinite()).sum())
    if wrong:
        raise ValueError(f"{wrong} of {numbers.numel()} values are NaN or infinite; replace them first")
    return numbers.view(1, 1, -1) if numbers.dim() == 1 else numbers.reshape(-1, *numbers.shape[-2:])


def _resize_to_width(images: Tensor, panels: Tensor) -> Tensor:
    """Images (N, 3, S, S) as wide as panels (…, W)."""
    width = panels.shape[-1]
    height = max(1, round(images.shape[-2] * width / images.shape[-1]))
    return resize(images.float(), (height, width))
