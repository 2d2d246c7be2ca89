"""The list of a network's layers, as a person reads it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload


@dataclass(frozen=True)
class Layer:
    """One call of one layer.

    Args:
        name: as objectives take it; "" is the network itself; "relu#1" the second call of "relu".
        type: name of the module's class.
        output: its shape for one image ("1 × 64 × 56 × 56"), or what came instead of a tensor.
        is_tensor: whether it can be asked.
    """

    name: str
    type: str
    output: str
    is_tensor: bool


@dataclass(frozen=True)
class LayerTable(Sequence[Layer]):
    """Layers in the order in which they finish; prints as a table.

    Args:
        rows: one per call of a layer.
    """

    rows: tuple[Layer, ...]

    @overload
    def __getitem__(self, place: int) -> Layer: ...
    @overload
    def __getitem__(self, place: slice) -> LayerTable: ...
    def __getitem__(self, place: int | slice) -> Layer | LayerTable:
        return LayerTable(self.rows[place]) if isinstance(place, slice) else self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.rows)

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(len(row[column]) for row in cells) for column in range(2)]
        lines = [f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {output}" for name, kind, output in cells]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *body = self._cells()
        rows = [_html_row("th", head), *(_html_row("td", row) for row in body)]
        return f"<table>{''.join(rows)}</table>"

    def _cells(self) -> list[tuple[str, str, str]]:
        body = [(row.name if row.name else "(output)", row.type, row.output) for row in self.rows]
        return [("layer", "type", "output"), *body]


def _html_row(tag: str, cells: tuple[str, ...]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
