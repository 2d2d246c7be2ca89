"""`evaluate`: what a network loses without some units, what it keeps, and whether random units do as much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

from optvis.ablation.evaluation.forward import as_variant, logits_without, resolve_truth
from optvis.ablation.evaluation.metrics import BatchPredictions, predict
from optvis.ablation.evaluation.probes import AblationCase, Probes, look_inside
from optvis.ablation.evaluation.random_units import random_units as draw_random_units
from optvis.ablation.evaluation.report import Report
from optvis.ablation.evaluation.summary import Evaluation, VariantPlan, build_report
from optvis.ablation.evaluation.variants import (
    Variant,
    check_cached_scores,
    complement,
    growing_variants,
    score_variants,
)
from optvis.ablation.fills import FillLike, Replacement, describe_fill, draws_random, resolve_fill
from optvis.ablation.image_sets import ImageSet, NamedSet, check_classes, count_overlaps, find_target_set, load_sets
from optvis.ablation.selection.attempt import Attempt, describe_goal
from optvis.ablation.unit_activations import split_batch
from optvis.ablation.units_json import units_to_json
from optvis.arguments import check_minimum
from optvis.engines.tasks import PROCESS, EngineLike, merge_in_order, resolve_engine, run_tasks
from optvis.features.units import ListedUnits, Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier, check_logits
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.finite import check_finite
from optvis.models.provenance import provenance
from optvis.objectives import OUTPUT, positions
from optvis.progress import progress_bar

IMAGES_PER_TASK = 4


@plain_mode()
def evaluate(
    model: nn.Module | Classifier,
    units: Units | Sequence[Units],
    image_sets: Mapping[str, ImageSet],
    *,
    target: str | None = None,
    found_on: Any = None,
    fill: FillLike = None,
    random_sets: int = 200,
    seed: int = 0,
    probes: bool | Probes = False,
    normalize: Normalizer | str = INFER,
    engine: EngineLike = PROCESS,
    progress: bool = True,
) -> Report:
    """Evaluate units by what the network predicts without them: for the target, for everything else, against chance.

    Random units are drawn from the same layers, as many and as strong: channels of the same strata of activation norm,
    ten to a stratum, the units among them, and features of the same autoencoder likewise; subspaces that remove the
    same share of it. The p-value is the share of sets, R random ones and the units, that lower the target's recall at
    least as far as these. A second one is for its log-odds; it is uniform for units that are themselves drawn at
    random, at any strength. The report
    also says what remains where only the units are kept, as in Bau et al. 2020, doi:10.1073/pnas.1907375117. Intervals
    are at 95 %: Wilson's for recall, Student's from 10 images on for confidence and log-odds. Memory holds all images,
    and the cached activations of one image at a time.

    Args:
        model: a network whose output is a score for each class, (B, classes), or a Classifier.
        units: Channels, Directions, a Projection or Features, or several, one a layer, such as a UnitSelection. The
            curve takes them in their order.
        image_sets: images by the name of their set. Each is a folder, an image in any form that `load_image` takes, a
            tensor (B, 3, H, W), or a list of these; with labels as `(images, labels)` or `LabeledImages`: label texts
            or indices, one for all images or one each. Without labels, the network's own predictions count as true.
        target: the set whose recall should drop; by default the first.
        found_on: the images that the units were selected on, or the UnitSelection; by default the units themselves if
            they are a UnitSelection. The report warns where these images are in the sets.
        fill: what replaces units, see `blinded`. A measured fill is measured once, on the units: random units get
            the same values.
        random_sets: number of random sets, R.
        seed: of random sets, and of the batches of relearning.
        probes: also measure whether the target can still be read inside the network, at the layers of the units and
            every later stage, by a linear probe and by nearest neighbours fitted to half of the images; how alike the
            activations stay; and how soon fine-tuning brings its recall back. True, or `Probes` with settings. The
            output can forget what the layers still hold (arXiv:2604.08271, arXiv:2503.06991).
        normalize: see `render`; by default the model's own.
        engine: what ablates units of images, see `optvis.engines.run_tasks`; the report is the same with any.
        progress: show a progress bar.

    Returns:
        A Report: print it, show `.image()`, write `.html()`, `.save(folder)`.

    Raises:
        KeyError: a layer, label or set that does not exist; the nearest are given.
        TypeError, IndexError, ValueError: units, images or labels that do not fit; two units for one layer; a network
            that gives no score for each class; `random_sets` below 1; a fill that draws, with an engine; with
            `probes`, fewer than four images of the target's classes, or of others.

    Example:
        >>> from optvis import Channels, load
        >>> from optvis.world import dataset
        >>> units, image_sets = Channels("mixed5", [3, 14]), {"world": dataset(16)}
        >>> report = evaluate(load("demo"), units, image_sets, random_sets=9, progress=False)
        >>> report.target_metrics.images, len(report.baseline.drops), report.curve.counts
        (16, 9, (0, 1, 2))
    """
    check_minimum(1, random_sets=index(random_sets))
    settings = Probes() if probes is True else probes
    classifier = as_classifier(model, normalize)
    chosen = as_variant(classifier, units)
    sets = load_sets(image_sets, classifier)
    target_set = find_target_set(sets, target)
    overlap = count_overlaps(sets, units if found_on is None and hasattr(units, "recipe") else found_on, classifier)
    images = torch.cat([one.images for one in sets])
    replacements = resolve_fill(fill, classifier, chosen)
    if resolve_engine(engine) is not None and any(map(draws_random, replacements)):
        what = f"{fill!r} draws from one stream for all images"
        raise ValueError(f"{what}, so that engine must be 'process', not {engine!r}")
    with borrow(classifier.network), torch.no_grad():
        head = classifier.read_head(images)
        head.require_classes("evaluate")
        survey = _run_network(classifier, images, chosen)
        check_classes(sets, survey.logits.shape[1])
        check_cached_scores(classifier, images[:1], survey.first, chosen)
        truth = resolve_truth(sets, survey.logits)
        after = predict(logits_without(classifier, images, chosen, replacements), truth, head)
        case = AblationCase(classifier, images, truth, _shows_target(sets, target_set, truth), chosen, replacements)
        inside = look_inside(case, settings, seed, progress) if settings else ((), None)
        plan = _plan_variants(chosen, survey, random_sets, seed)
        create = partial(_VariantWorker, classifier, images, truth, survey.first, plan.variants, replacements)
        variants = _predict_variants(create, engine, progress)
    recipe = provenance(
        classifier,
        "evaluate",
        units=[{**units_to_json(one), "count": len(one), "of": len(survey.norms[one.layer])} for one in chosen],
        fill=describe_fill(fill, chosen),
        sets={one.name: {"images": len(one), "truth": "predicted" if one.classes is None else "given"} for one in sets},
        target=target_set.name,
        overlap=overlap,
        goal=_goal(units if found_on is None else found_on),
        random_sets=int(random_sets),
        seed=int(seed),
        **({"probes": settings.to_dict()} if settings else {}),
    )
    evaluation = Evaluation(classifier, sets, target_set, truth, predict(survey.logits, truth, head), after)
    return build_report(evaluation, plan, variants, recipe, inside)


def _shows_target(sets: Sequence[NamedSet], target: NamedSet, truth: Tensor) -> Tensor:
    """Which images show a class that the target set shows, (B,)."""
    own = torch.cat([torch.full((len(one),), one is target, dtype=torch.bool, device="cpu") for one in sets])
    return torch.isin(truth, truth[own.to(truth.device)])


def _goal(selection: Any) -> dict[str, Any] | None:
    """Whether a selection reached its goal, and in words; None for units that no selection chose."""
    recipe = getattr(selection, "recipe", None)
    if not isinstance(recipe, Mapping) or "attempts" not in recipe:
        return None
    attempts = [Attempt(**one) for one in recipe["attempts"]]
    return {"reached": recipe["reached"], "text": describe_goal(attempts)}


@dataclass(frozen=True, eq=False)
class _Survey:
    """The network with all units: scores (B, classes), the layer that finishes first, the strength of channels."""

    logits: Tensor
    first: str
    norms: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]


def _run_network(classifier: Classifier, images: Tensor, units: Variant) -> _Survey:
    logits: list[Tensor] = []
    norms: dict[str, Tensor] = {}
    moments: dict[str, Tensor] = {}
    first = ""
    layers = [*(one.layer for one in units), OUTPUT]
    for rows in split_batch(images):
        found = read_activations(classifier.network, classifier.preprocess(images[rows]), layers)
        first = next(iter(found))
        logits.append(_read_logits(classifier, images[rows], found[OUTPUT]))
        for one in units:
            _check(classifier, images[rows], found[one.layer], f"activations of {one.layer!r}")
            a = positions(one.read(found[one.layer]), 1)
            one.basis(a.shape[1])
            norms[one.layer] = norms.get(one.layer, 0) + torch.linalg.vector_norm(a, dim=2).double().sum(0).cpu()
            moments[one.layer] = moments.get(one.layer, 0) + _second_moment(one, a)
    means = {layer: total / len(images) for layer, total in norms.items()}
    for layer, own in means.items():
        _check(classifier, images[:1], own, f"norms of the activations of {layer!r}")
    return _Survey(torch.cat(logits), first, means, moments)


def _read_logits(classifier: Classifier, images: Tensor, output: Tensor) -> Tensor:
    _check(classifier, images, output, "outputs")
    return classifier.read_head(images).logits(check_logits(output))


def _check(classifier: Classifier, images: Tensor, values: Tensor, what: str) -> None:
    check_finite(values, f"the {what} of {classifier.name}", classifier.network, classifier.preprocess(images))


def _second_moment(units: Units, a: Tensor) -> Tensor:
    """The uncentred second moment of activations (B, C, P), (C, C); of no use for channels and features."""
    if isinstance(units, ListedUnits):
        return torch.zeros((), dtype=torch.float32, device="cpu")
    rows = a.movedim(1, 2).flatten(0, 1).double()
    return (rows.T @ rows).cpu()


def _plan_variants(units: Variant, survey: _Survey, random_sets: int, seed: int) -> VariantPlan:
    norms, moments = survey.norms, survey.moments
    channels = {layer: len(own) for layer, own in norms.items()}
    removed = growing_variants(units)
    random = [draw_random_units(one, norms[one.layer], moments[one.layer], random_sets, seed) for one in units]
    kept = tuple(complement(variant, channels) for variant in removed)
    return VariantPlan(units, removed, kept, tuple(zip(*random, strict=True)), norms, moments, seed)


@dataclass(frozen=True, eq=False)
class _VariantWorker:
    """Predicts each variant for some of the images."""

    classifier: Classifier
    images: Tensor
    truth: Tensor
    first: str
    variants: Sequence[Variant]
    replacements: Sequence[Replacement]

    @plain_mode()
    def __call__(self, rows: range) -> BatchPredictions:
        """The predictions (V, B) for images of these rows, in a worker."""
        with borrow(self.classifier.network), torch.no_grad():
            return self.predict(rows, lambda _: None)

    def predict(self, rows: range, update: Callable[[int], object]) -> BatchPredictions:
        """The same with a borrowed network; `update` gets the number of predictions that are done."""
        columns: list[BatchPredictions] = []
        head = self.classifier.read_head(self.images)
        for row in rows:
            image, label = self.images[row : row + 1], self.truth[row : row + 1]
            parts: list[BatchPredictions] = []
            for logits in score_variants(self.classifier, image, self.first, self.variants, self.replacements):
                parts.append(predict(logits.unsqueeze(1), label, head))
                update(len(logits))
            columns.append(_concatenate(parts, 0))
        return _concatenate(columns, 1)


def _predict_variants(create: Callable[[], _VariantWorker], engine: EngineLike, progress: bool) -> BatchPredictions:
    """Predictions of each variant for each image: (V, B)."""
    worker = create()
    count, variants = len(worker.images), len(worker.variants)
    with progress_bar(total=count * variants, show=progress, description="evaluate") as bar:
        if resolve_engine(engine) is None:
            return worker.predict(range(count), bar.update)
        tasks = [range(count)[start : start + IMAGES_PER_TASK] for start in range(0, count, IMAGES_PER_TASK)]
        parts: list[BatchPredictions] = []
        for part in merge_in_order(run_tasks(worker, tasks, engine, on_gpu=worker.classifier.on_gpu)):
            parts.append(part)
            bar.update(part.classes.numel())
        return _concatenate(parts, 1)


def _concatenate(parts: Sequence[BatchPredictions], axis: int) -> BatchPredictions:
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return BatchPredictions(*(torch.cat(column, dim=axis) for column in columns))
