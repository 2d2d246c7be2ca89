"""Predictions for single images, with and without some units."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from optvis.ablation.evaluation.metrics import top_confidences
from optvis.ablation.selection.cached_network import ablate
from optvis.ablation.selection.find_units import (
    Method,
    find_features,
    resolve_method,
    restrict_method,
    run_method,
    search_layer,
)
from optvis.ablation.selection.task import SelectionTask, build_task
from optvis.features.units import Units
from optvis.formatting import format_change, format_count, format_html_table, format_table
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.finite import check_finite
from optvis.progress import estimate_time, progress_bar

HEAD = ("image", "before %", "label", "after %", "label", "margin", "")
TARGET, KEEP = "target", "keep"  # the sets of a PredictionTable

NO_CLASS = "(none)"

State = Literal["kept", "lost", "gained", "wrong"]


@dataclass(frozen=True)
class Prediction:
    """What a network predicts for one image, with all units and without some.

    Args:
        set: the name of the image's set.
        image: its name.
        truth: its class; where that is not given, the prediction before.
        before: the predicted class with all units. Where classes do not exclude each other: the true one if it is
            predicted, else the most confident, or "(none)" where no probability is above one half.
        confidence_before: its probability, in [0, 1]; of "(none)" that of the most confident class.
        after: the predicted class without the units.
        confidence_after: its probability, in [0, 1].
        margin: how far the true class leads the best other class without the units, in logits, or of a sigmoid head
            its own logit; None if not computed.
    """

    set: str
    image: str
    truth: str
    before: str
    confidence_before: float
    after: str
    confidence_after: float
    margin: float | None = None

    @property
    def state(self) -> State:
        """Whether the right prediction is kept, lost or gained without the units, or stays wrong."""
        if self.before == self.truth:
            return "kept" if self.after == self.truth else "lost"
        return "gained" if self.after == self.truth else "wrong"


@dataclass(frozen=True)
class PredictionTable(Sequence[Prediction]):
    """Predictions for images of a target, whose label should go, and images to keep; prints as a table.

    Args:
        rows: those of the set "target" first, then those of the set "keep".
    """

    rows: tuple[Prediction, ...]

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> PredictionTable: ...
    def __getitem__(self, index: int | slice) -> Prediction | PredictionTable:
        return PredictionTable(self.rows[index]) if isinstance(index, slice) else self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.rows)

    @property
    def failures(self) -> tuple[Prediction, ...]:
        """The target's images that still have its label, and the others that have lost theirs."""
        return tuple(row for row in self if _is_failure(row))

    def __str__(self) -> str:
        return format_table(HEAD, list(map(_cells, self)))

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return format_html_table(HEAD, list(map(_cells, self)))


def compare_predictions(
    model: nn.Module | Classifier,
    units: Sequence[Units],
    target_images: Any,
    target: int | str,
    *,
    keep: Any = None,
    skip_mistaken: bool = False,
    normalize: Normalizer | str = INFER,
) -> PredictionTable:
    """Compare a network's predictions for images with and without some units.

    Args:
        model: a network, or a Classifier.
        units: to switch off, such as a UnitSelection.
        target_images, target, keep, skip_mistaken: as in `find_units`.
        normalize: see `render`; by default the model's own.

    Raises:
        ValueError, KeyError, IndexError: as in `find_units`.
    """
    layers = list(dict.fromkeys(one.layer for one in units))
    classifier, chosen = as_classifier(model, normalize), layers if layers else None
    task = build_task(classifier, target_images, target, keep, chosen, skip_mistaken=skip_mistaken)
    with borrow(task.classifier.network):
        return PredictionTable(_predict(task, units))


@plain_mode()
def leave_one_out(
    model: nn.Module | Classifier,
    target_images: Any,
    target: int | str,
    *,
    keep: Any,
    skip_mistaken: bool = False,
    layers: Sequence[str] | str | None = None,
    features: Any = None,
    method: str | Method = "auto",
    max_units: float | None = None,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    progress: bool = True,
) -> PredictionTable:
    """Evaluate each image without units that were selected without that image.

    With few images this is the honest evaluation: each row has a selection of its own. Images of the target that the
    network does not recognise take part in the selections and get no row.

    Args:
        model: a network, or a Classifier.
        target_images, target, keep, skip_mistaken, features, method, max_units, seed: as in `find_units`.
        layers: as in `find_units`; "blocks.3@class" is the class token of a transformer's layer.
        normalize: see `render`; by default the model's own.
        progress: show a progress bar, and say after the first image how long all will take.

    Raises:
        ValueError: the network recognises fewer than two images of the target; as in `find_units`.
        KeyError, IndexError: as in `find_units`.
    """
    select = resolve_method(method, max_units)
    classifier = as_classifier(model, normalize)
    if features is not None:
        layers, select = search_layer(classifier, layers), restrict_method(select)
    task = build_task(classifier, target_images, target, keep, layers, seed, False, skip_mistaken)
    evaluated = (~task.is_target | (task.predicted == task.target)).nonzero().flatten().tolist()
    recognized = task.count_recognized()
    if recognized < 2:
        raise ValueError(
            f"the network recognises {format_count(recognized, 'image')} of {task.label!r}; to leave one out, give two "
            "or more"
        )
    indices = torch.arange(len(task.images), device=task.images.device)
    rows: list[Prediction] = []
    with borrow(task.classifier.network):
        start = time.perf_counter()
        for place, index in enumerate(progress_bar(evaluated, show=progress, description="leave one out")):
            if place == 1 and progress:
                estimate_time("leave_one_out", time.perf_counter() - start, len(evaluated), "selections")
            others = task.subset(indices != index)
            choice = run_method(select, others) if features is None else find_features(select, others, features)
            units = choice.units
            rows += _predict(task.subset(indices == index), units)
    return PredictionTable(tuple(rows))


def _predict(task: SelectionTask, units: Sequence[Units]) -> tuple[Prediction, ...]:
    cached = task.cached
    groups = {layer: [one for one in units if one.layer == layer] for layer in task.layers}
    with torch.no_grad():
        after = cached.logits({layer: partial(ablate, group) for layer, group in groups.items()})
    check_finite(after, "the outputs without the units", cached.network, cached.tail.inputs)
    sets = [TARGET if is_target else KEEP for is_target in task.is_target.tolist()]
    truths = label_classes(task.classifier, task.classes)
    (old, old_shares), (new, new_shares) = (_top_labels(task, logits) for logits in (cached.before, after))
    margins = task.head.margins(after, task.classes).tolist()
    return tuple(map(Prediction, sets, task.names, truths, old, old_shares, new, new_shares, margins))


def _top_labels(task: SelectionTask, logits: Tensor) -> tuple[list[str], list[float]]:
    """The predicted label of each image, and its probability."""
    classes = task.head.predict(logits, task.classes)
    confidences = top_confidences(task.head.confidences(logits.float()), classes)
    return label_classes(task.classifier, classes), confidences.tolist()


def label_classes(classifier: Classifier, classes: Tensor) -> list[str]:
    """The label of each class, (B,); "(none)" of −1."""
    return [NO_CLASS if index < 0 else classifier.label(index) for index in classes.tolist()]


def _is_failure(row: Prediction) -> bool:
    if row.set == TARGET:
        return row.margin is None or row.margin >= 0
    return row.state == "lost"


def _cells(row: Prediction) -> tuple[str, ...]:
    before, after = f"{100 * row.confidence_before:.2f}", f"{100 * row.confidence_after:.2f}"
    margin = "" if row.margin is None else format_change(row.margin, 1)
    return row.image, before, row.before, after, row.after, margin, "✗" if _is_failure(row) else ""
