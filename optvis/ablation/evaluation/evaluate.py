"""Judging units: what a network loses without them, what it keeps, and whether random units would do as much."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import torch
from torch import Tensor, nn

from optvis.ablation.blinding import checked
from optvis.ablation.evaluation.controls import random_units
from optvis.ablation.evaluation.curves import all_but, steps
from optvis.ablation.evaluation.image_sets import ImageSet, NamedSet, check_classes, named_sets, overlaps, target_of
from optvis.ablation.evaluation.metrics import Verdicts, verdicts
from optvis.ablation.evaluation.report import Report
from optvis.ablation.evaluation.summary import Judged, Trials, told
from optvis.ablation.evaluation.variants import Variant, answers, check_tail
from optvis.ablation.fills import Filled, pieces, prepared
from optvis.ablation.switching import Filling, switched
from optvis.features.units import Directions, Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier, check_logits
from optvis.models.infer import as_classifier
from optvis.objectives import OUTPUT, positions
from optvis.progress import progress_bar
from optvis.version import __version__


def evaluate(
    net: nn.Module | Classifier,
    units: Units | Sequence[Units],
    sets: Mapping[str, ImageSet],
    *,
    target: str | None = None,
    found_on: Any = None,
    fill: Filled = 0.0,
    random: int = 200,
    seed: int = 0,
    progress: bool = True,
) -> Report:
    """Judge units by what the network says without them: of the target, of everything else, and against chance.

    Random units are drawn from the same layers, as many and as strong: channels of like activation norm, subspaces
    that remove the same share of it. Chance does as much where the target's recall falls at least as far; the same is
    asked of its log-odds, which hardly tie. Keeping only the units is asked as by Bau et al. 2020,
    doi:10.1073/pnas.1907375117. Intervals are percentiles of 2,000 bootstrap resamples of each set's images, 95 %.
    The images lie in memory, and one image's activations at a time, from which all variations of it are asked.

    Args:
        net: a network whose output is a score per class, (B, classes), or a Classifier.
        units: Channels or Directions, or several, one a layer, such as what `find` found. Their order is that of the
            curve.
        sets: images by the name of their set. Each is a folder, a photograph in any form that `load_image` takes, a
            list of them, or a tensor (B, 3, H, W); with what they show as `(images, labels)` or `Labelled`: label
            texts or indices, one for all or one an image. Without labels, the truth is what the network said before.
        target: the set whose fall is wanted; by default the first.
        found_on: the images that the units were found on, or what found them: the report warns where they judge, too.
        fill: what stands where units were, see `blinded`. What is measured is measured once: `Optimal` serves the
            units, its means the random ones.
        random: how many random sets, R.
        seed: of random sets and resamples.
        progress: show a progress bar.

    Returns:
        A Report: print it, `.plot()`, `.html()`, `.save(folder)`.

    Raises:
        KeyError: a layer, label or set that does not exist; the nearest are given.
        TypeError, IndexError, ValueError: units, images or labels that do not fit; units twice in one layer; a network
            that gives no score per class; `random` under 1.

    Example:
        >>> from optvis import load
        >>> from optvis.world import dataset
        >>> from optvis.features.units import Channels
        >>> units, sets = Channels("mixed5", [3, 14]), {"world": dataset(16)}
        >>> report = evaluate(load("demo"), units, sets, random=9, progress=False)
        >>> report.targeted.images, len(report.chance.drops), report.curve.counts
        (16, 9, (0, 1, 2))
    """
    if index(random) < 1:
        raise ValueError(f"random is {random}; expected 1 random set or more")
    classifier = as_classifier(net)
    chosen = _units(classifier, units)
    named = named_sets(sets, classifier)
    aim = target_of(named, target)
    is_found = found_on is None and hasattr(units, "recipe")
    shared = overlaps(named, units if is_found else found_on, classifier)
    images = torch.cat([one.images for one in named])
    fillings = prepared(fill, classifier, chosen)
    with borrow(classifier.network), torch.no_grad():
        survey = _surveyed(classifier, images, chosen)
        check_classes(named, survey.logits.shape[1])
        check_tail(classifier, images[:1], survey.first, chosen)
        truth = _truths(named, survey.logits)
        after = verdicts(_without(classifier, images, chosen, fillings), truth)
        trials = _trials(chosen, survey, random, seed)
        tried = _tried(classifier, images, truth, survey.first, trials.variants, fillings, progress)
    recipe = _recipe(classifier, chosen, survey, named, aim, fill, random, seed, shared)
    return told(Judged(classifier, named, aim, truth, verdicts(survey.logits, truth), after), trials, tried, recipe)


@dataclass(frozen=True, eq=False)
class _Survey:
    """The network as it is: scores (B, classes), which layer finishes first, and how strong channels are."""

    logits: Tensor
    first: str
    norms: Mapping[str, Tensor]
    moments: Mapping[str, Tensor]


def _units(classifier: Classifier, units: Units | Sequence[Units]) -> Variant:
    """Units as a tuple, one a layer.

    Raises:
        TypeError, KeyError: as in `blinded`.
        ValueError: no units, or two for one layer.
    """
    chosen = (units,) if not isinstance(units, Sequence) else tuple(units)
    checked(classifier.network, chosen)
    if not any(len(one) for one in chosen):
        raise ValueError("no units: nothing to switch off")
    layers = [one.layer for one in chosen]
    twice = next((layer for layer in layers if layers.count(layer) > 1), None)
    if twice is not None:
        raise ValueError(f"{layers.count(twice)} units for layer {twice!r}; join them into one Channels or Directions")
    return chosen


def _surveyed(classifier: Classifier, images: Tensor, units: Variant) -> _Survey:
    """One pass over all images, with nothing off."""
    logits: list[Tensor] = []
    norms: dict[str, Tensor] = {}
    moments: dict[str, Tensor] = {}
    first = ""
    for rows in pieces(images):
        found = read_activations(
            classifier.network, classifier.preprocess(images[rows]), [*(one.layer for one in units), OUTPUT]
        )
        first = next(iter(found))
        logits.append(check_logits(found[OUTPUT]))
        for one in units:
            a = positions(found[one.layer], one.channel_axis)
            one.basis(a.shape[1])
            norms[one.layer] = norms.get(one.layer, 0) + torch.linalg.vector_norm(a, dim=2).double().sum(0).cpu()
            moments[one.layer] = moments.get(one.layer, 0) + _moment(one, a)
    means = {layer: total / len(images) for layer, total in norms.items()}
    return _Survey(torch.cat(logits), first, means, moments)


def _moment(units: Units, a: Tensor) -> Tensor:
    """The uncentred second moment of activations (B, C, P), (C, C), where it is needed."""
    if not isinstance(units, Directions):
        return torch.zeros(())
    rows = a.movedim(1, 2).flatten(0, 1).double()
    return (rows.T @ rows).cpu()


def _truths(sets: Sequence[NamedSet], logits: Tensor) -> Tensor:
    """The class of each image: as given, or as the network says, (B,)."""
    said = torch.split(logits.argmax(1), [len(one) for one in sets])
    return torch.cat([mine if one.truth is None else one.truth for one, mine in zip(sets, said, strict=True)])


def _without(classifier: Classifier, images: Tensor, units: Variant, fillings: Sequence[Filling]) -> Tensor:
    """Scores of the whole network with the units off, (B, classes)."""
    with switched(classifier.network, units, fillings):
        return torch.cat([classifier.network(classifier.preprocess(images[rows])) for rows in pieces(images)])


def _trials(units: Variant, survey: _Survey, random: int, seed: int) -> Trials:
    """All that is tried beside the units themselves."""
    channels = {layer: len(norms) for layer, norms in survey.norms.items()}
    removed = steps(units)
    drawn = [random_units(u, survey.norms[u.layer], survey.moments[u.layer], random, seed) for u in units]
    kept = tuple(all_but(some, channels) for some in removed)
    return Trials(units, removed, kept, tuple(zip(*drawn, strict=True)), survey.norms, survey.moments, seed)


def _tried(
    classifier: Classifier,
    images: Tensor,
    truth: Tensor,
    first: str,
    variants: Sequence[Variant],
    fillings: Sequence[Filling],
    progress: bool,
) -> Verdicts:
    """What is said of each image with each variant off: (V, B)."""
    parts: list[Verdicts] = []
    with progress_bar(total=len(images) * len(variants), show=progress, description="evaluate") as bar:
        for place in range(len(images)):
            own = slice(place, place + 1)
            said: list[Verdicts] = []
            for logits in answers(classifier, images[own], first, variants, fillings):
                said.append(verdicts(logits.unsqueeze(1), truth[own]))
                bar.update(len(logits))
            parts.append(_joined(said, 0))
    return _joined(parts, 1)


def _joined(parts: Sequence[Verdicts], axis: int) -> Verdicts:
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return Verdicts(*(torch.cat(column, dim=axis) for column in columns))


def _recipe(
    classifier: Classifier,
    units: Variant,
    survey: _Survey,
    sets: Sequence[NamedSet],
    target: NamedSet,
    fill: Filled,
    random: int,
    seed: int,
    overlap: Mapping[str, int] | None,
) -> dict[str, Any]:
    return {
        "network": classifier.name,
        "units": [_unit_note(one, len(survey.norms[one.layer])) for one in units],
        "fill": " ".join(repr(fill).split()),
        "sets": {
            one.name: {"images": len(one), "truth": "said before" if one.truth is None else "given"} for one in sets
        },
        "target": target.name,
        "overlap": None if overlap is None else dict(overlap),
        "random": int(random),
        "seed": int(seed),
        "normalize": repr(classifier.normalize),
        "dtype": str(classifier.image_dtype),
        "device": str(classifier.device),
        "optvis": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _unit_note(units: Units, channels: int) -> dict[str, Any]:
    """Units in JSON's types."""
    which = {"vectors": units.vectors.tolist()} if isinstance(units, Directions) else {"indices": list(units.indices)}
    return {
        "layer": units.layer,
        "kind": type(units).__name__.lower(),
        "count": len(units),
        "of": channels,
        **which,
        "within": None if units.within is None else list(units.within),
        "channel_axis": units.channel_axis,
    }


__all__ = ["evaluate"]
