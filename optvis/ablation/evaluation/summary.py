"""From what a network said to a report: tallies, curves, chance, and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.ablation.evaluation.controls import FEWEST, carried, intervals, p_value
from optvis.ablation.evaluation.findings import Answer, Chance, Curve, Estimate, Tally
from optvis.ablation.evaluation.image_sets import NamedSet
from optvis.ablation.evaluation.metrics import Verdicts, falls
from optvis.ablation.evaluation.report import Report
from optvis.ablation.evaluation.variants import Variant
from optvis.features.units import Channels, Units
from optvis.models.classifier import Classifier

THUMBNAIL = 96  # pixels of the longer side
LIKE = 1.25  # random units that are stronger or weaker by more than this are said to be so


@dataclass(frozen=True, eq=False)
class Judged:
    """What the network says of B images, set by set, before and after.

    Args:
        classifier: the network.
        sets: all images.
        target: the set whose fall is wanted.
        truth: the class of each image, (B,).
        before: what is said with nothing off.
        after: what is said with the units off.
    """

    classifier: Classifier
    sets: tuple[NamedSet, ...]
    target: NamedSet
    truth: Tensor
    before: Verdicts
    after: Verdicts

    @property
    def rows(self) -> dict[str, Tensor]:
        """The places of each set's images, by its name."""
        places = torch.split(torch.arange(len(self.truth)), [len(one) for one in self.sets])
        return {one.name: place for one, place in zip(self.sets, places, strict=True)}


@dataclass(frozen=True, eq=False)
class Trials:
    """Variations of a network: the first units off, only those kept, random ones off.

    Args:
        units: those that are judged.
        removed: more and more of them off.
        kept: everything else off.
        random: the random sets.
        norms: each channel's mean activation norm, (C,), by layer.
        moments: second moments, (C, C), by layer, where there are directions.
        seed: of resamples.
    """

    units: Variant
    removed: tuple[Variant, ...]
    kept: tuple[Variant, ...]
    random: tuple[Variant, ...]
    norms: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]
    seed: int

    @property
    def variants(self) -> tuple[Variant, ...]:
        """All, one after the other."""
        return self.removed + self.kept + self.random

    @property
    def strengths(self) -> dict[str, float]:
        """For each layer, what random units carry to what the units carry, on average."""
        found = {}
        for place, one in enumerate(self.units):
            known = self.norms[one.layer], self.moments[one.layer]
            whole = carried(one, *known)
            random = sum(carried(some[place], *known) for some in self.random) / len(self.random)
            found[one.layer] = random / whole if whole else 1.0
        return found


def told(judged: Judged, trials: Trials, tried: Verdicts, recipe: Mapping[str, Any]) -> Report:
    """The report.

    Args:
        judged: the network with nothing and with the units off.
        trials: what else was tried.
        tried: what was said then of each image, (V, B).
        recipe: what made it all.
    """
    rows, truth = judged.rows, judged.truth.cpu()
    shown = dict.fromkeys(truth[rows[judged.target.name]].tolist())
    chance = _chance(judged, trials, tried)
    sets = tuple(_tally(name, judged, some, trials.seed) for name, some in rows.items())
    classes = tuple(
        _tally(judged.classifier.label(c), judged, (truth == c).nonzero().flatten(), trials.seed)
        for c in sorted(set(truth.tolist()))
    )
    return Report(
        judged.target.name,
        tuple(judged.classifier.label(c) for c in shown),
        _answers(judged),
        sets,
        classes,
        _curve(trials, tried, rows),
        chance,
        _warnings(sets, chance, recipe["overlap"]),
        recipe,
        _thumbnails(torch.cat([one.images for one in judged.sets])),
    )


def estimates(values: Tensor, seed: int) -> list[Estimate]:
    """Means over images with their intervals.  values (B, V) -> V estimates"""
    if len(values) == 0:
        return [Estimate(None)] * values.shape[1]
    means = values.double().mean(0).tolist()
    if len(values) < FEWEST:
        return [Estimate(mean) for mean in means]
    return [Estimate(mean, *ends) for mean, ends in zip(means, intervals(values, seed), strict=True)]


def _tally(name: str, judged: Judged, rows: Tensor, seed: int) -> Tally:
    before, after = (
        torch.stack([said.right.double(), said.confidence, said.odds], dim=1).cpu()[rows]
        for said in (judged.before, judged.after)
    )
    columns = torch.cat([before[:, :1], after[:, :1], before - after], dim=1)
    return Tally(name, len(rows), *estimates(columns, seed))


def _answers(judged: Judged) -> tuple[Answer, ...]:
    def labels(classes: Tensor) -> list[str]:
        return [judged.classifier.label(c) for c in classes.tolist()]

    sets = [one.name for one in judged.sets for _ in one.names]
    names = [image for one in judged.sets for image in one.names]
    before, after = judged.before, judged.after
    said = labels(before.classes), before.shares.tolist(), labels(after.classes), after.shares.tolist()
    return tuple(map(Answer, sets, names, labels(judged.truth), *said))


def _curve(trials: Trials, tried: Verdicts, rows: Mapping[str, Tensor]) -> Curve:
    count = len(trials.removed)
    right, confidence = tried.right.double().cpu(), tried.confidence.cpu()
    lines = [
        {name: tuple(estimates(half[:, some].T, trials.seed)) for name, some in rows.items()}
        for half in (right[:count], right[count : 2 * count], confidence[:count], confidence[count : 2 * count])
    ]
    return Curve(tuple(sum(map(len, step)) for step in trials.removed), *lines)


def _chance(judged: Judged, trials: Trials, tried: Verdicts) -> Chance:
    truth, target = judged.truth.cpu(), judged.rows[judged.target.name]
    others = (~torch.isin(truth, truth[target])).nonzero().flatten()
    own, random = {}, {}
    for what in ("right", "odds"):
        before, after, without = (vars(said)[what].cpu() for said in (judged.before, judged.after, tried))
        for name, rows in (("target", target), ("others", others)):
            own[name, what] = float(falls(before[rows], after[rows])) if len(rows) else 0.0
            random[name, what] = falls(before[rows], without[-len(trials.random) :, rows])
    return Chance(
        tuple(random["target", "right"].tolist()),
        tuple(random["target", "odds"].tolist()),
        tuple(random["others", "odds"].tolist()) if len(others) else (),
        own["others", "odds"],
        len({tuple(map(_identity, some)) for some in trials.random}),
        p_value(own["target", "right"], random["target", "right"]),
        p_value(own["target", "odds"], random["target", "odds"]),
        trials.strengths,
    )


def _identity(units: Units) -> object:
    """What two draws share that switch off the same."""
    return (
        frozenset(units.indices) if isinstance(units, Channels) else tuple(units.orthonormal_basis.flatten().tolist())
    )


def _warnings(sets: Sequence[Tally], chance: Chance, overlap: Mapping[str, int] | None) -> tuple[str, ...]:
    """What makes the numbers say less than they seem to."""
    found = []
    for one in sets:
        shared = 0 if overlap is None else overlap[one.name]
        if shared:
            found.append(f"{shared} of {one.images} images of {one.name!r} found the units, and judge them here")
        if one.images == 0:
            found.append(f"the set {one.name!r} is empty")
        elif one.images < FEWEST:
            found.append(f"{one.images} images of {one.name!r} are too few for an interval; give {FEWEST} or more")
    for layer, strength in chance.strength.items():
        if not 1 / LIKE <= strength <= LIKE:
            others = "weak" if strength > 1 else "strong"
            found.append(
                f"random units of {layer!r} carry {strength:.2f} times what these carry: few others are as {others}"
            )
    return tuple(found)


def _thumbnails(images: Tensor) -> Tensor:
    """(B, 3, h, w) on the CPU."""
    longer = max(images.shape[2:])
    if longer <= THUMBNAIL:
        return images.float().cpu()
    size = [max(1, round(side * THUMBNAIL / longer)) for side in images.shape[2:]]
    small = [F.interpolate(some.float(), size, mode="bilinear", antialias=True) for some in torch.split(images, 64)]
    return torch.cat(small).clamp(0, 1).cpu()


__all__ = ["Judged", "Trials", "estimates", "told"]
