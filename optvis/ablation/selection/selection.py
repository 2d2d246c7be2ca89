"""The result of a selection: units to switch off, with evidence for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

from torch import Tensor

from optvis.ablation.selection.attempt import Attempt, describe_goal, summarize
from optvis.ablation.units_json import unit_tensors, units_from_json, units_to_json
from optvis.features.units import ListedUnits, Units
from optvis.formatting import format_change, format_count, format_html_table, format_table
from optvis.viz.charts import plot_bars
from optvis.viz.figures import NEGATIVE, POSITIVE
from optvis.viz.result import PlotResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEAD = ("rank", "layer", "unit", "change of target", "worst change kept", "of")


@dataclass(frozen=True)
class Evidence:
    """The effect of one channel or direction when it alone is switched off: by how much margins change.

    Args:
        layer: of the unit.
        unit: "channel 17", "direction 2".
        target_change: change of the target's margin, in logits, on average over its images.
        worst_change: largest drop of the margin of an image to keep, in logits; 0 or less; None without such images.
        worst_image: name of that image.
    """

    layer: str
    unit: str
    target_change: float
    worst_change: float | None
    worst_image: str


@dataclass(frozen=True, eq=False, repr=False)
class UnitSelection(PlotResult, Sequence[Units]):
    """Units that carry a class: a sequence of Units, one a layer, so that `blinded(model, *selection)` works.

    Saved features of an autoencoder are loaded with `UnitSelection.load(path, sae=autoencoder)`.

    Args:
        units: to switch off.
        target: index of the class.
        label: of the class.
        evidence: for each channel and direction, in the order in which they were selected.
        recipe: everything that computed it, in JSON types; with `attempts`.

    Example:
        >>> from optvis import Channels
        >>> evidence = Evidence("mixed5", "channel 3", -2.5, -0.1, "dogs/4.jpg")
        >>> selection = UnitSelection((Channels("mixed5", [3]),), 0, "cat", (evidence,))
        >>> print(selection)
        cat: 1 channel of mixed5
        rank  layer   unit       change of target  worst change kept  of
           1  mixed5  channel 3             −2.50              −0.10  dogs/4.jpg
    """

    KIND = "unit selection"
    TEXT_FIELDS = ("label",)
    JSON_FIELDS: ClassVar = {
        "units": tuple[Mapping[str, Any], ...],
        "target": int,
        "evidence": tuple[Evidence, ...],
    }

    units: tuple[Units, ...]
    target: int
    label: str
    evidence: tuple[Evidence, ...]
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @overload
    def __getitem__(self, index: int) -> Units: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Units]: ...
    def __getitem__(self, index: int | slice) -> Units | Sequence[Units]:
        return self.units[index]

    def __len__(self) -> int:
        return len(self.units)

    def __iter__(self) -> Iterator[Units]:
        return iter(self.units)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What was tried, and what was left; the last is that of the units."""
        return tuple(Attempt(**one) for one in self.recipe.get("attempts", ()))

    @property
    def reached(self) -> bool:
        """Whether no image of the target keeps the label and no other loses its own."""
        return bool(self.attempts) and self.attempts[-1].reached

    def figure(self, ax: Axes | None = None) -> Figure:
        """Bars of the change of the target's margin, in logits, with each unit alone switched off."""
        labels = [f"{row.layer}, {row.unit}" for row in self.evidence]
        title = f"What does each unit alone do for {self.label}?"
        unit = f"change of the margin of {self.label} without the unit, logits"
        signs = (("rises", POSITIVE), ("falls", NEGATIVE))
        return plot_bars(
            [row.target_change for row in self.evidence], labels, title=title, unit=unit, signs=signs, ax=ax
        )

    def table(self) -> str:
        """Whether the goal was reached, and the evidence: the effect of each unit when it alone is switched off."""
        goal = describe_goal(self.attempts)
        return f"{goal}\n" * bool(goal) + format_table(HEAD, self._cells())

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of images to keep that took no part: the network takes them for the target."""
        return tuple(self.recipe.get("left_out", ()))

    def __str__(self) -> str:
        return "\n".join([f"{self.label}: {summarize(self.units)}", *self._describe_left_out(), self.table()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title = ". ".join([f"{self.label}: {summarize(self.units)}", *self._describe_left_out()])
        return format_html_table(HEAD, self._cells(), " – ".join(filter(None, (title, describe_goal(self.attempts)))))

    def _describe_left_out(self) -> list[str]:
        """A line about the images that were left out, if any."""
        count = len(self.left_out)
        what = f"{format_count(count, 'image')} of keep left out, as the network predicts {self.label}"
        return [f"{what}: {', '.join(self.left_out)}"] if count else []

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                str(rank),
                row.layer,
                row.unit,
                format_change(row.target_change),
                "–" if row.worst_change is None else format_change(row.worst_change),
                row.worst_image,
            )
            for rank, row in enumerate(self.evidence, 1)
        ]

    def _tensors(self) -> dict[str, Tensor]:
        named = ((i, unit_tensors(one)) for i, one in enumerate(self.units))
        return {f"{name} {i}": tensor for i, tensors in named for name, tensor in tensors.items()}

    def _json_values(self) -> dict[str, Any]:
        rows = [units_to_json(one) | dict.fromkeys(unit_tensors(one)) for one in self.units]  # the file has the tensors
        return super()._json_values() | {"units": rows}

    @classmethod
    def load(cls, path: str | Path, sae: Any = None) -> Self:
        """Read what `save` wrote.

        Args:
            path: of the PNG, or of the tensors beside it.
            sae: the autoencoder of saved features, whose weights are not in the file.

        Raises:
            FileNotFoundError, ValueError: as in `Result.load`; features without their autoencoder, or with another.
        """
        return cls._load(path, sae=sae)

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        sae = values.pop("sae", None)
        rows = [
            {name: tensors.get(f"{name} {i}", value) for name, value in row.items()}
            for i, row in enumerate(values["units"])
        ]
        return cls(**(values | {"units": tuple(units_from_json(row, sae) for row in rows)}))


def split_units(units: Sequence[Units]) -> list[tuple[str, Units]]:
    """Each channel, feature and direction as a unit of its own, with its name."""
    single: list[tuple[str, Units]] = []
    for one in units:
        numbers = one.indices if isinstance(one, ListedUnits) else range(1, len(one) + 1)
        single += [(f"{one.NOUN} {number}", one[i : i + 1]) for i, number in enumerate(numbers)]
    return single
