"""From predictions to a report: metrics of sets and classes, the curve, the random baseline, warnings."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from optvis.ablation.evaluation.metrics import (
    MIN_IMAGES,
    BatchPredictions,
    estimate_means,
    estimate_share,
    estimate_share_drop,
    mean_drop,
    p_value,
    seeded_generator,
)
from optvis.ablation.evaluation.predictions import Prediction, label_classes
from optvis.ablation.evaluation.probes import LayerProbe, Relearning
from optvis.ablation.evaluation.random_units import activation_mass, chance_of_same
from optvis.ablation.evaluation.report import Report
from optvis.ablation.evaluation.report_text import join_words
from optvis.ablation.evaluation.results import RandomBaseline, SetMetrics, UnitCurve
from optvis.ablation.evaluation.variants import Variant
from optvis.ablation.image_sets import NamedSet, digest_each
from optvis.data.images import resize
from optvis.features.units import ListedUnits, Units
from optvis.formatting import format_count
from optvis.models.classifier import Classifier
from optvis.viz.sheet import as_rgb

THUMBNAIL = 96  # pixels of the longer side
MAX_STRENGTH_RATIO = 1.25  # a warning says where random units are stronger or weaker than this
MAX_SMALLEST_P = 0.05  # a warning says where luck alone gives a smaller p than ties


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions for B images, set by set, before and after units are switched off.

    Args:
        classifier: the network.
        sets: all images.
        target: the set whose recall should drop.
        truth: the class of each image, (B,).
        before: with all units.
        after: without the units.
    """

    classifier: Classifier
    sets: tuple[NamedSet, ...]
    target: NamedSet
    truth: Tensor
    before: BatchPredictions
    after: BatchPredictions

    @property
    def rows(self) -> dict[str, Tensor]:
        """The indices of each set's images, by its name."""
        indices = torch.split(torch.arange(len(self.truth), device="cpu"), [len(one) for one in self.sets])
        return {one.name: own for one, own in zip(self.sets, indices, strict=True)}


@dataclass(frozen=True, eq=False)
class VariantPlan:
    """The variants of a network that an evaluation compares with the units.

    Args:
        units: that are evaluated.
        removed: more and more of them off.
        kept: everything else off.
        random: random units off.
        norms: mean activation norm of each channel, (C,), or feature, (K,), by layer.
        moments: second moments, (C, C), by layer, where there are directions.
        seed: of the draws.
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
        """All variants, V of them."""
        return self.removed + self.kept + self.random

    @property
    def chance_of_same(self) -> float:
        """The chance that a random set is the units themselves."""
        return math.prod(chance_of_same(one, self.norms[one.layer]) for one in self.units)

    @property
    def strength(self) -> dict[str, float]:
        """For each layer, the activation mass of random units over that of the units, on average."""
        ratios = {}
        for index, one in enumerate(self.units):
            known = self.norms[one.layer], self.moments[one.layer]
            own = activation_mass(one, *known)
            random = sum(activation_mass(variant[index], *known) for variant in self.random) / len(self.random)
            ratios[one.layer] = random / own if own else 1.0
        return ratios


def build_report(
    evaluation: Evaluation,
    plan: VariantPlan,
    variants: BatchPredictions,
    recipe: Mapping[str, Any],
    inside: tuple[tuple[LayerProbe, ...], Relearning | None],
) -> Report:
    """Build the report; `variants` are the predictions of each of the plan's variants for each image, (V, B)."""
    rows, truth = evaluation.rows, evaluation.truth.cpu()
    label = evaluation.classifier.label
    target_classes = dict.fromkeys(truth[rows[evaluation.target.name]].tolist())
    baseline = _random_baseline(evaluation, plan, variants)
    sets = tuple(_set_metrics(name, evaluation, own) for name, own in rows.items())
    classes = tuple(
        _set_metrics(label(c), evaluation, (truth == c).nonzero().flatten()) for c in sorted(set(truth.tolist()))
    )
    return Report(
        evaluation.target.name,
        tuple(label(c) for c in target_classes),
        _predictions(evaluation),
        sets,
        classes,
        _unit_curve(plan, variants, rows),
        baseline,
        (
            *_goal_warnings(recipe["goal"]),
            *_label_warnings(evaluation),
            *_warnings(sets, baseline, recipe["overlap"] or {}),
        ),
        recipe,
        _thumbnails(torch.cat([one.images for one in evaluation.sets])),
        *inside,
    )


def _set_metrics(name: str, evaluation: Evaluation, rows: Tensor) -> SetMetrics:
    found = evaluation.before, evaluation.after
    right = [one.is_right.cpu()[rows] for one in found]
    before, after = (torch.stack([one.confidence, one.log_odds], dim=1).cpu()[rows] for one in found)
    shares = *map(estimate_share, right), estimate_share_drop(*right)
    return SetMetrics(name, len(rows), *shares, *estimate_means(before - after))


def _predictions(evaluation: Evaluation) -> tuple[Prediction, ...]:
    labels = partial(label_classes, evaluation.classifier)
    sets = [one.name for one in evaluation.sets for _ in one.names]
    names = [image for one in evaluation.sets for image in one.names]
    before, after = (
        (labels(found.classes), found.top_confidence.tolist()) for found in (evaluation.before, evaluation.after)
    )
    return tuple(map(Prediction, sets, names, labels(evaluation.truth), *before, *after))


def _unit_curve(plan: VariantPlan, variants: BatchPredictions, rows: Mapping[str, Tensor]) -> UnitCurve:
    count = len(plan.removed)
    halves = slice(0, count), slice(count, 2 * count)
    is_right, confidence = variants.is_right.cpu(), variants.confidence.cpu()
    recalls = [{name: tuple(map(estimate_share, is_right[h][:, own])) for name, own in rows.items()} for h in halves]
    means = [{name: tuple(estimate_means(confidence[h][:, own].T)) for name, own in rows.items()} for h in halves]
    return UnitCurve(tuple(sum(map(len, step)) for step in plan.removed), *recalls, *means)


def _random_baseline(evaluation: Evaluation, plan: VariantPlan, variants: BatchPredictions) -> RandomBaseline:
    truth, target = evaluation.truth.cpu(), evaluation.rows[evaluation.target.name]
    others = (~torch.isin(truth, truth[target])).nonzero().flatten()
    own, random = {}, {}
    for metric in ("is_right", "log_odds"):
        columns = (vars(found)[metric].cpu() for found in (evaluation.before, evaluation.after, variants))
        before, after, without = columns
        for name, rows in (("target", target), ("others", others)):
            own[name, metric] = float(mean_drop(before[rows], after[rows])) if len(rows) else 0.0
            random[name, metric] = mean_drop(before[rows], without[-len(plan.random) :, rows])
    return RandomBaseline(
        tuple(random["target", "is_right"].tolist()),
        tuple(random["target", "log_odds"].tolist()),
        tuple(random["others", "log_odds"].tolist()) if len(others) else (),
        own["others", "log_odds"],
        len({tuple(_identity(one, len(plan.norms[one.layer])) for one in variant) for variant in plan.random}),
        p_value(own["target", "is_right"], random["target", "is_right"]),
        p_value(own["target", "log_odds"], random["target", "log_odds"], _tie_share(evaluation, plan)),
        plan.chance_of_same,
        plan.strength,
    )


def _tie_share(evaluation: Evaluation, plan: VariantPlan) -> float:
    """The share of ties that count, drawn evenly from [0, 1): for the same units and images always the same."""
    digests = [digest for one in evaluation.sets for digest in digest_each(one.images)]
    generator = seeded_generator(plan.seed, f"ties of {plan.units} {digests}")
    return float(torch.rand((), generator=generator, dtype=torch.float32, device="cpu"))


def _identity(units: Units, channels: int) -> object:
    """A key that is equal for units that switch off the same."""
    if isinstance(units, ListedUnits):
        return frozenset(units.indices)
    return tuple(units.basis(channels).flatten().tolist())


def _goal_warnings(goal: Mapping[str, Any] | None) -> tuple[str, ...]:
    return () if goal is None or goal["reached"] else (f"the selection: {goal['text'].removeprefix('! ')}",)


def _label_warnings(evaluation: Evaluation) -> tuple[str, ...]:
    """Say so where the target's images have no labels, and the network calls them by several: recall is of them all."""
    target, label = evaluation.target, evaluation.classifier.label
    counts = Counter(evaluation.truth.cpu()[evaluation.rows[target.name]].tolist())
    if target.classes is not None or len(counts) < 2:
        return ()
    (most, own), *_ = counts.most_common()
    images = f"the images of {target.name!r} have no labels, and the prediction for each of them counts as correct"
    share = f"{label(most)!r} for {own} of {counts.total()}"
    return (f"{images}: {share}; to count one class, give (images, {label(most)!r})",)


def _warnings(sets: Sequence[SetMetrics], baseline: RandomBaseline, overlap: Mapping[str, int]) -> tuple[str, ...]:
    """What limits the numbers."""
    texts = []
    shown = [one for one in sets if one.images]
    if shown and not any(one.log_odds_drop.value or one.confidence_drop.value for one in shown):
        cause = "they are as the fill makes them on these images, or nothing reads them"
        texts.append(f"switching these units off changes no score of any image: {cause}")
    for one in sets:
        shared = overlap.get(one.name)
        if shared:
            texts.append(f"the units were selected on {shared} of {one.images} images of {one.name!r}")
        if one.images == 0:
            texts.append(f"the set {one.name!r} is empty")
    few = [f"{format_count(one.images, 'image')} of {one.name!r}" for one in shown if one.images < MIN_IMAGES]
    if few:
        count = f"too few for an interval of confidence and log-odds; give {MIN_IMAGES} or more"
        texts.append(f"{join_words(few)}: {count}{' of each' if len(few) > 1 else ''}")
    if baseline.smallest_p > MAX_SMALLEST_P:
        same = f"a random set is these units themselves with a chance of {baseline.smallest_p:.2g}"
        texts.append(
            f"{same}: a smaller p is due to chance, since few others are as strong; evaluate more units at once"
        )
    for layer, ratio in baseline.strength.items():
        if not 1 / MAX_STRENGTH_RATIO <= ratio <= MAX_STRENGTH_RATIO:
            mass = f"random units of {layer!r} have {ratio:.2f} times the activation mass of these"
            texts.append(f"{mass}: few others are as {'weak' if ratio > 1 else 'strong'}")
    return tuple(texts)


def _thumbnails(images: Tensor) -> Tensor:
    images = as_rgb(images)
    longer = max(images.shape[2:])
    if longer <= THUMBNAIL:
        return images.float().cpu()
    size = [max(1, round(side * THUMBNAIL / longer)) for side in images.shape[2:]]
    return torch.cat([resize(part.float(), size) for part in torch.split(images, 64)]).cpu()
