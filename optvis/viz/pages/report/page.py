"""The content of an evaluation report's page: plain numbers and texts, and no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from optvis.formatting import Estimate


@dataclass(frozen=True)
class RecallRow:
    """The recall of a set or a class, before and after units are switched off.

    Args:
        name: of the set, or the label of the class.
        images: how many it has.
        before: recall with all units.
        after: recall without the units.
        drop: before − after; None where there is no image.
    """

    name: str
    images: int
    before: float | None
    after: Estimate
    drop: float | None


@dataclass(frozen=True)
class RecallCurves:
    """Recall over a growing number of units.

    Args:
        counts: the T numbers of units, rising.
        removed: T values by the name of each set, with that many units off.
        kept: the same with all other units of the layers off.
        removed_confidence: T values, the mean confidence in the target with that many units off.
        kept_confidence: the same with all other units of the layers off.
    """

    counts: Sequence[int]
    removed: Mapping[str, Sequence[Estimate]]
    kept: Mapping[str, Sequence[Estimate]]
    removed_confidence: Sequence[Estimate]
    kept_confidence: Sequence[Estimate]


@dataclass(frozen=True)
class RandomSets:
    """The effect of random sets of units, to compare with that of the units.

    Args:
        drops: the drop of the target's recall, for each random set.
        p_value: of the drop with the units among them.
        log_odds: for each random set, the drop of the log-odds of all other images and of the target, in nats; empty
            where there are no other images.
        own_log_odds: the same two drops with the units.
        sentences: the comparison in words.
    """

    drops: Sequence[float]
    p_value: float
    log_odds: Sequence[tuple[float, float]]
    own_log_odds: tuple[float, float]
    sentences: Sequence[str]


@dataclass(frozen=True)
class PredictionRow:
    """The prediction for one image, before and after units are switched off.

    Args:
        set: the name of the image's set.
        image: its name.
        truth: its class.
        before: the predicted class.
        confidence_before: its softmax probability, in [0, 1].
        after: the predicted class without the units.
        confidence_after: its softmax probability, in [0, 1].
        state: what the units change: a right prediction is kept or lost, a wrong one becomes right or stays wrong.
    """

    set: str
    image: str
    truth: str
    before: str
    confidence_before: float
    after: str
    confidence_after: float
    state: Literal["kept", "lost", "gained", "wrong"]


@dataclass(frozen=True, eq=False)
class ReportPage:
    """All that the page shows.

    Args:
        title: of the page.
        target: the name of the set whose recall is to drop.
        sets: all sets, the target among them.
        other_classes: the classes that the target does not show, the largest drop first.
        curves: recall unit by unit.
        random_sets: the comparison with random units.
        predictions: for each image, set by set.
        warnings: what limits the numbers.
        recipe: everything that computed them, in JSON types.
        thumbnails: of the images, (B, 3, h, w) in [0, 1], or None.
    """

    title: str
    target: str
    sets: Sequence[RecallRow]
    other_classes: Sequence[RecallRow]
    curves: RecallCurves
    random_sets: RandomSets
    predictions: Sequence[PredictionRow]
    warnings: Sequence[str]
    recipe: Mapping[str, Any]
    thumbnails: Tensor | None = None

    @property
    def target_row(self) -> RecallRow:
        """The row of the target."""
        return next(row for row in self.sets if row.name == self.target)
