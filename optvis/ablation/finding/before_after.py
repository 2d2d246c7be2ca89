"""What a network calls each photograph before and after, in the form of the original experiments."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, overload

import torch
from torch import Tensor, nn

from optvis.ablation.finding.cached import Cached
from optvis.ablation.finding.case import Case, case_of
from optvis.ablation.finding.cost import margins
from optvis.ablation.finding.find_units import Method, chosen_method
from optvis.ablation.finding.selection import Found
from optvis.features.units import Units
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.progress import progress_bar

HEAD = ("photograph", "before %", "label", "after %", "label", "margin", "")


@dataclass(frozen=True)
class Answer:
    """What the network calls one photograph, with and without some units.

    Args:
        name: the photograph.
        is_target: whether its label was to go; else it was to stay.
        before: label with everything switched on.
        confidence_before: its softmax probability.
        after: label without the units.
        confidence_after: its softmax probability.
        margin: by how many logits the label that is asked about leads the best other one without the units: the
            target's on its own photographs, the label before on the others.
    """

    name: str
    is_target: bool
    before: str
    confidence_before: float
    after: str
    confidence_after: float
    margin: float

    @property
    def is_as_wanted(self) -> bool:
        """The target is gone, or what was to stay has stayed."""
        return (self.margin < 0) if self.is_target else self.before == self.after


@dataclass(frozen=True)
class Answers(Sequence[Answer]):
    """Answers to photographs, those of the target first; prints as a table."""

    rows: tuple[Answer, ...]

    @overload
    def __getitem__(self, place: int) -> Answer: ...
    @overload
    def __getitem__(self, place: slice) -> Answers: ...
    def __getitem__(self, place: int | slice) -> Answer | Answers:
        return Answers(self.rows[place]) if isinstance(place, slice) else self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Answer]:
        return iter(self.rows)

    @property
    def are_as_wanted(self) -> bool:
        """Every one is."""
        return all(row.is_as_wanted for row in self)

    def __str__(self) -> str:
        cells = [HEAD, *map(_cells, self)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
        lines = (
            "  ".join(
                c.rjust(w) if n in (1, 3, 5) else c.ljust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in cells
        )
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [("th", HEAD), *(("td", _cells(row)) for row in self)]
        told = ("".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) for tag, cells in rows)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in told)}</table>"


def before_and_after(
    net: nn.Module | Classifier,
    units: Found | Sequence[Units],
    target_images: Any,
    target: int | str,
    *,
    keep: Any = None,
    normalize: Normalizer | str = INFER,
) -> Answers:
    """What a network calls photographs with and without some units.

    Args:
        net: a network, or a Classifier.
        units: what is switched off, as `find` gives it.
        target_images: as in `find`.
        target: as in `find`.
        keep: as in `find`.
        normalize: see `render`; by default what the model carries.

    Raises:
        ValueError, KeyError, IndexError: as in `find`.
    """
    layers = list(dict.fromkeys(unit.layer for unit in units))
    case = case_of(as_classifier(net, normalize), target_images, target, keep, layers if layers else None)
    with borrow(case.classifier.network):
        return Answers(_answers(case, units))


def leave_one_out(
    net: nn.Module | Classifier,
    target_images: Any,
    target: int | str,
    *,
    keep: Any,
    layers: Sequence[str] | None = None,
    method: str | Method = "search",
    most: int | None = None,
    seed: int = 0,
    progress: bool = True,
    normalize: Normalizer | str = INFER,
) -> Answers:
    """How each photograph is answered without units that were found without that photograph.

    With few photographs this is the honest judgement: every row has a search of its own. Photographs of the target
    that the network does not recognise take part in the searches, and are not judged.

    Args: as in `find`.

    Raises:
        ValueError: fewer than two photographs of the target that the network recognises; as in `find`.
        KeyError, IndexError: as in `find`.
    """
    how = chosen_method(method, most)
    case = case_of(as_classifier(net, normalize), target_images, target, keep, layers, seed, False)
    judged = (~case.shows | (case.called == case.target)).nonzero().flatten().tolist()
    recognised = int((case.shows & (case.called == case.target)).sum())
    if recognised < 2:
        raise ValueError(f"the network recognises {recognised} image of {case.label!r}; to leave one out it takes two")
    everything = torch.arange(len(case.images), device=case.images.device)
    rows: list[Answer] = []
    with borrow(case.classifier.network):
        for place in _bar(judged, progress):
            units = how(case.subset(everything != place))
            rows += _answers(case.subset(everything == place), units)
    return Answers(tuple(rows))


def _answers(case: Case, units: Sequence[Units]) -> tuple[Answer, ...]:
    cached = Cached(case.classifier, case.images, case.layers)
    groups = {layer: [one for one in units if one.layer == layer] for layer in case.layers}
    with torch.no_grad():
        after = cached.logits({layer: partial(_off, group) for layer, group in groups.items()})
    leads = margins(after, torch.where(case.shows, case.target, case.called)).tolist()
    told = zip(case.names, case.shows.tolist(), _best(case, cached.before), _best(case, after), leads, strict=True)
    return tuple(Answer(name, shows, *old, *new, lead) for name, shows, old, new, lead in told)


def _off(units: Sequence[Units], a: Tensor) -> Tensor:
    for one in units:
        a = one.replace(a)
    return a


def _best(case: Case, logits: Tensor) -> list[tuple[str, float]]:
    best = logits.float().softmax(1).max(1)
    return [
        (case.classifier.label(i), share) for share, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def _cells(row: Answer) -> tuple[str, ...]:
    told = f"{100 * row.confidence_before:.2f}", row.before, f"{100 * row.confidence_after:.2f}", row.after
    return row.name, *told, f"{row.margin:+.1f}", "" if row.is_as_wanted else "✗"


def _bar(places: Sequence[int], progress: bool) -> Any:
    return progress_bar(places, show=progress, description="left out")


__all__ = ["Answer", "Answers", "before_and_after", "leave_one_out"]
