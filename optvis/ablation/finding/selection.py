"""What a search found: units to be switched off, with the evidence for each."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from optvis.features.units import Channels, Directions, Units

HEAD = ("rank", "layer", "unit", "target's margin", "worst kept margin", "of")


@dataclass(frozen=True)
class Evidence:
    """What one channel or direction does when it alone is switched off.

    Args:
        layer: where it lies.
        unit: "channel 17", "direction 2".
        target: by how much the target's margin changes, in logits, on average over its images.
        worst: the largest fall of the margin of an image to be kept, in logits; 0 or less; None without such images.
        image: which image to be kept that is: its file, or its place among them.
    """

    layer: str
    unit: str
    target: float
    worst: float | None
    image: str


@dataclass(frozen=True, eq=False, repr=False)
class Found(Sequence[Units]):
    """Units that blind a class: a sequence of Units, one a layer, so that `blinded(net, *found)` works.

    Args:
        units: what to switch off.
        target: index of the class.
        label: its text.
        evidence: a row for each channel and direction, in the order in which they were chosen.
        recipe: everything that made it, in JSON's types.

    Example:
        >>> evidence = Evidence("mixed5", "channel 3", -2.5, -0.1, "dogs/4.jpg")
        >>> found = Found((Channels("mixed5", [3]),), 0, "cat", (evidence,))
        >>> print(found)
        cat: 1 channel of mixed5
        rank  layer   unit       target's margin  worst kept margin  of
        1     mixed5  channel 3            -2.50              -0.10  dogs/4.jpg
    """

    units: tuple[Units, ...]
    target: int
    label: str
    evidence: tuple[Evidence, ...]
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @overload
    def __getitem__(self, place: int) -> Units: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Units]: ...
    def __getitem__(self, place: int | slice) -> Units | Sequence[Units]:
        return self.units[place]

    def __len__(self) -> int:
        return len(self.units)

    def __iter__(self) -> Iterator[Units]:
        return iter(self.units)

    @property
    def table(self) -> str:
        """The evidence as text: what each unit does when it alone is switched off."""
        cells = [HEAD, *self._cells()]
        widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
        return "\n".join("  ".join(_padded(row, widths)).rstrip() for row in cells)

    def __str__(self) -> str:
        return f"{self.label}: {_counted(self.units)}\n{self.table}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        caption = f"<caption>{html.escape(self.label)}: {html.escape(_counted(self.units))}</caption>"
        rows = [_html_row("th", HEAD), *(_html_row("td", row) for row in self._cells())]
        return f"<table>{caption}{''.join(rows)}</table>"

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                str(rank),
                row.layer,
                row.unit,
                f"{row.target:+.2f}",
                "–" if row.worst is None else f"{row.worst:+.2f}",
                row.image,
            )
            for rank, row in enumerate(self.evidence, 1)
        ]


def single(units: Sequence[Units]) -> list[tuple[str, Units]]:
    """Each channel and each direction as a unit of its own, with its name."""
    found: list[tuple[str, Units]] = []
    for one in units:
        if isinstance(one, Channels):
            found += [(f"channel {channel}", Channels(one.layer, channel)) for channel in one.indices]
        else:
            rows = [Directions(one.layer, vector) for vector in one.vectors]
            found += [(f"direction {place}", row) for place, row in enumerate(rows, 1)]
    return found


def spelled(units: Sequence[Units]) -> list[dict[str, Any]]:
    """Units in JSON's types."""
    return [
        {"layer": one.layer, "channels": list(one.indices)}
        if isinstance(one, Channels)
        else {"layer": one.layer, "directions": one.vectors.tolist()}
        for one in units
    ]


def _counted(units: Sequence[Units]) -> str:
    def said(one: Units) -> str:
        kind = "channel" if isinstance(one, Channels) else "direction"
        return f"{len(one)} {kind}{'' if len(one) == 1 else 's'} of {one.layer}"

    return ", ".join(said(one) for one in units)


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    numbers = HEAD.index("target's margin"), HEAD.index("worst kept margin")
    return [
        cell.rjust(width) if column in numbers else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


__all__ = ["Evidence", "Found"]
