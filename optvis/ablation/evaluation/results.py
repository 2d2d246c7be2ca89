"""The results of an evaluation: plain numbers and texts, as JSON holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from optvis.ablation.evaluation.predictions import Prediction
from optvis.ablation.evaluation.probes import LayerProbe, Relearning
from optvis.formatting import Estimate


@dataclass(frozen=True)
class SetMetrics:
    """How well a set, or a class, is recognised before and after units are switched off.

    Args:
        name: of the set, or the label of the class.
        images: number of images.
        before: recall with all units, in [0, 1].
        after: recall without the units.
        drop: before − after, image by image.
        confidence_drop: by how much the true class's probability drops.
        log_odds_drop: by how much its log-odds against all other classes drop, in nats.
    """

    name: str
    images: int
    before: Estimate
    after: Estimate
    drop: Estimate
    confidence_drop: Estimate
    log_odds_drop: Estimate


@dataclass(frozen=True)
class UnitCurve:
    """Recall with more and more units off, and with only those units kept.

    Args:
        counts: number of units at each of T steps, from none to all.
        removed: for each set, its recall with that many units off, T of them.
        kept: its recall with everything else in their layers off.
        removed_confidence: mean probability of its images' true classes, with that many units off.
        kept_confidence: the same with everything else off.
    """

    counts: tuple[int, ...]
    removed: Mapping[str, tuple[Estimate, ...]]
    kept: Mapping[str, tuple[Estimate, ...]]
    removed_confidence: Mapping[str, tuple[Estimate, ...]]
    kept_confidence: Mapping[str, tuple[Estimate, ...]]


@dataclass(frozen=True)
class RandomBaseline:
    """What random units of the same layers do, as many and as strong.

    Args:
        drops: drop of the target's recall without each of R random sets.
        log_odds_drops: drop of its log-odds, in nats.
        other_log_odds_drops: drop of the log-odds of everything else: of all images of classes that the target does
            not show; empty where there are none.
        other_log_odds_drop: the same drop without the units themselves.
        distinct: number of different sets.
        p_drop: (1 + sets that lower the target's recall at least as far) / (1 + R).
        p_log_odds: the same for its log-odds, where a random share of the ties counts: under chance it is uniform.
        smallest_p: the chance that a random set is the units themselves. Where p is smaller, a draw among ties made
            it so.
        strength: for each layer, the activation mass of random units over that of the units, on average: the mean
            activation norm of channels, the square norm along directions. 1 is a perfect match.
    """

    drops: tuple[float, ...]
    log_odds_drops: tuple[float, ...]
    other_log_odds_drops: tuple[float, ...]
    other_log_odds_drop: float
    distinct: int
    p_drop: float
    p_log_odds: float
    smallest_p: float
    strength: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class EvaluationResults:
    """Everything that an evaluation measures; see `Report`."""

    target: str
    target_labels: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    sets: tuple[SetMetrics, ...]
    classes: tuple[SetMetrics, ...]
    curve: UnitCurve
    baseline: RandomBaseline
    warnings: tuple[str, ...]
    recipe: Mapping[str, Any]
    thumbnails: Tensor | None = field(default=None, repr=False)
    probes: tuple[LayerProbe, ...] = ()
    relearning: Relearning | None = None

    @property
    def target_metrics(self) -> SetMetrics:
        """The metrics of the target set."""
        return next(one for one in self.sets if one.name == self.target)

    @property
    def collateral(self) -> tuple[SetMetrics, ...]:
        """The metrics of every class that the target does not show: the largest drop first."""
        others = [one for one in self.classes if one.name not in self.target_labels]
        return tuple(sorted(others, key=lambda one: [-(drop.value or 0.0) for drop in (one.drop, one.log_odds_drop)]))

    @property
    def worst(self) -> SetMetrics | None:
        """The metrics of the class with the largest drop beside the target; None without other classes."""
        return next(iter(self.collateral), None)

    @property
    def worst_group(self) -> SetMetrics | None:
        """The metrics of the class with the lowest recall afterwards beside the target; None without other classes.

        The worst group of Sagawa et al. 2020, arXiv:1911.08731.
        """
        return min(self.collateral, key=lambda one: one.after.value or 0.0, default=None)
