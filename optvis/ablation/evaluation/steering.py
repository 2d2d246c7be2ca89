"""Steering: units turned down and up by factors, and the recall of a class over the factor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from optvis.ablation.evaluation.forward import as_variant, logits_without, resolve_truth
from optvis.ablation.evaluation.metrics import estimate_share, predict
from optvis.ablation.fills import Scaled
from optvis.ablation.image_sets import ImageSet, check_classes, find_target_set, load_sets
from optvis.ablation.units_json import units_to_json
from optvis.arguments import check_count
from optvis.features.units import Units
from optvis.formatting import Estimate, format_table
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import provenance
from optvis.progress import progress_bar
from optvis.viz.charts import plot_lines
from optvis.viz.result import PlotResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FACTORS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0)


@dataclass(frozen=True, eq=False, repr=False)
class SteeringCurve(PlotResult):
    """Recall over the factor by which units are scaled; prints as a table.

    Args:
        target: name of the set of the class.
        factors: in ascending order; 1 is the network as it is.
        recalls: of each set, one for each factor.
        recipe: everything that computed them, in JSON types.
    """

    KIND = "steering curve"
    TEXT_FIELDS = ("target",)
    JSON_FIELDS: ClassVar = {"factors": tuple[float, ...], "recalls": Mapping[str, tuple[Estimate, ...]]}

    target: str
    factors: tuple[float, ...]
    recalls: Mapping[str, tuple[Estimate, ...]]
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def _check(self, sizes: Mapping[str, int]) -> None:
        if self.target not in self.recalls or 1.0 not in self.factors:
            raise ValueError(
                f"factors are {self.factors}, recalls are of {list(self.recalls)}; expected 1 among the factors, and "
                f"recalls of {self.target!r}"
            )
        for name, recalls in self.recalls.items():
            check_count(f"recalls of {name!r}", len(recalls), len(self.factors), "factors")

    @property
    def falls_at(self) -> float | None:
        """The factor at which the target falls: below 1, where its recall sinks to half of that at 1.

        Between two factors of the curve recall is taken as linear. None where it stays above half down to the smallest
        factor, or is 0 at factor 1.
        """
        points = list(zip(self.factors, (one.value or 0.0 for one in self.recalls[self.target]), strict=True))
        half = dict(points)[1.0] / 2
        if not half:
            return None
        downward = [point for point in reversed(points) if point[0] <= 1]
        for (above, high), (below, low) in pairwise(downward):
            if low <= half < high:
                return below + (above - below) * (half - low) / (high - low)
        return None

    def figure(self, ax: Axes | None = None) -> Figure:
        """Recall in percent over the factor, one line a set, with the bands of its intervals."""
        names = [self.target, *(name for name in self.recalls if name != self.target)]
        lines = {name: [one.percent for one in self.recalls[name]] for name in names}
        bands = {name: [one.percent_ends for one in self.recalls[name]] for name in names}
        title = f"How does recall change as the units of {self.target} are scaled?"
        return plot_lines(self.factors, lines, title=title, unit="factor", bands=bands, ax=ax)

    def __str__(self) -> str:
        falls = self.falls_at
        head = f"{self.target} does not fall" if falls is None else f"{self.target} falls at the factor {falls:.2f}"
        columns = (map(str, row) for row in self.recalls.values())
        rows = [(f"{factor:g}", *cells) for factor, *cells in zip(self.factors, *columns, strict=True)]
        return f"{head}\n{format_table(('factor', *self.recalls), rows)}"

    __repr__ = __str__


@plain_mode()
def steering_curve(
    model: nn.Module | Classifier,
    units: Units | Sequence[Units],
    image_sets: Mapping[str, ImageSet],
    *,
    factors: Sequence[float] = FACTORS,
    target: str | None = None,
    normalize: Normalizer | str = INFER,
    progress: bool = True,
) -> SteeringCurve:
    """Scale units by one factor after the other, and measure the recall of each set of images.

    Args:
        model: a network whose output is a score for each class, or a Classifier.
        units: Channels, Directions, a Projection or Features, or several, one a layer, such as a UnitSelection.
        image_sets: images by the name of their set, as in `evaluate`.
        factors: what the units' activations are multiplied by, as with `Scaled`; 1, the network as it is, is added.
        target: the set of the class; by default the first.
        normalize: see `render`; by default the model's own.
        progress: show a progress bar.

    Returns:
        A SteeringCurve; its `falls_at` is the factor at which the class falls.

    Raises:
        KeyError, TypeError, IndexError, ValueError: as in `evaluate`; a factor that is not finite.

    Example:
        >>> from optvis import Channels, load
        >>> from optvis.world import dataset
        >>> curve = steering_curve(load("demo"), Channels("mixed5", [3, 14]), {"world": dataset(8)}, factors=[0, 2],
        ...                        progress=False)
        >>> curve.factors, curve.falls_at
        ((0.0, 1.0, 2.0), None)
    """
    classifier = as_classifier(model, normalize)
    chosen = as_variant(classifier, units)
    fills = [Scaled(float(factor)) for factor in sorted({*factors, 1.0})]
    sets = load_sets(image_sets, classifier)
    target_set = find_target_set(sets, target)
    images = torch.cat([one.images for one in sets])
    with borrow(classifier.network), torch.no_grad():
        head = classifier.read_head(images)
        head.require_classes("steering_curve")
        before = logits_without(classifier, images, (), ())
        check_classes(sets, before.shape[1])
        truth = resolve_truth(sets, before)
        rows: list[Tensor] = []
        for fill in progress_bar(fills, show=progress, description="steering"):
            logits = logits_without(classifier, images, chosen, fill.measure(classifier, chosen))
            rows.append(predict(logits, truth, head).is_right.cpu())
    parts = zip(*(torch.split(row, [len(one) for one in sets]) for row in rows), strict=True)
    recalls = {one.name: tuple(map(estimate_share, part)) for one, part in zip(sets, parts, strict=True)}
    recipe = provenance(
        classifier,
        "steering_curve",
        units=[units_to_json(one) for one in chosen],
        factors=[fill.factor for fill in fills],
        sets={one.name: len(one) for one in sets},
        target=target_set.name,
    )
    return SteeringCurve(target_set.name, tuple(fill.factor for fill in fills), recalls, recipe)
