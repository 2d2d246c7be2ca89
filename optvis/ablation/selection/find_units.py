"""`find_units`: select the units that carry a class, so that everything else can be kept without them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass, replace
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from optvis.ablation.blinded import check_units
from optvis.ablation.image_sets import digest_each
from optvis.ablation.selection.attempt import Attempt, Choice, judge_units
from optvis.ablation.selection.automatic import Automatic
from optvis.ablation.selection.cached_network import ablate
from optvis.ablation.selection.directions import Subspace
from optvis.ablation.selection.erasure.leace import Leace, Splince
from optvis.ablation.selection.erasure.nullspace import Inlp, MeanProjection
from optvis.ablation.selection.greedy_search import GreedySearch
from optvis.ablation.selection.layers import last_stage
from optvis.ablation.selection.rankings import Contrast, MostFrequent, TopNorm
from optvis.ablation.selection.selection import Evidence, UnitSelection, split_units
from optvis.ablation.selection.task import SelectionTask, build_task
from optvis.ablation.units_json import units_to_json
from optvis.errors import suggest
from optvis.features.autoencoder_units import Features
from optvis.features.channels_first import find_channels_last, put_channels_first, put_channels_last
from optvis.features.feature_network import FEATURES, expose_features, name_features
from optvis.features.units import Channels, Units
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import provenance
from optvis.objectives.layout import name_tokens

Method: TypeAlias = Callable[[SelectionTask], Choice | Units | Sequence[Units]]

METHODS: Mapping[str, Method] = {
    "auto": Automatic(),
    "greedy": GreedySearch(),
    "subspace": Subspace(),
    "contrast": Contrast(),
    "top_norm": TopNorm(),
    "most_frequent": MostFrequent(),
    "leace": Leace(),
    "splince": Splince(),
    "inlp": Inlp(),
    "mean_projection": MeanProjection(),
}
LISTED = "'auto', 'greedy', 'contrast', 'top_norm' or 'most_frequent'"  # the methods that choose channels


@plain_mode()
def find_units(
    model: nn.Module | Classifier,
    target_images: Any,
    target: int | str,
    *,
    keep: Any = None,
    skip_mistaken: bool = False,
    layers: Sequence[str] | str | None = None,
    features: Any = None,
    method: str | Method = "auto",
    max_units: float | None = None,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    tokens: str | None = None,
    progress: bool = True,
) -> UnitSelection:
    """Find the units without which a network no longer recognises a class, but still recognises everything else.

    Args:
        model: a network whose output is a score for each class, or a Classifier.
        target_images: images of the class: the path of a folder, a tensor (B, 3, H, W) in [0, 1], images in any form
            that `load_image` takes, or a list of these. The network need not recognise all of them.
        target: the class: its index, or its label.
        keep: images whose labels must stay, in any of these forms. What counts is the network's own prediction. The
            methods "top_norm" and "most_frequent" do not need them.
        skip_mistaken: leave out images to keep that the network takes for the target; the result's `left_out` names
            them. By default they are an error.
        layers: to select units from, one or several; by default the last stage before the class head.
        features: a sparse autoencoder of the one layer, see `optvis.Features`: its features are chosen instead of
            channels, by the methods that choose channels; "auto" then tries no directions.
        method: "auto" (channels, as few as lose the class on images that did not choose them, or directions where
            channels cannot), "greedy" (channels, with a cost on harm), "subspace" (directions), "contrast" (channels,
            by contrastive attribution), "top_norm" or "most_frequent" (channels with large activations), "leace",
            "splince", "inlp" or "mean_projection" (linear erasure, which makes the class unreadable for linear
            classifiers of the layer, and need not lose it behind); an object of the classes `Automatic`,
            `GreedySearch`, `Subspace`, `Contrast`, `TopNorm`, `MostFrequent`, `Leace`, `Splince`, `Inlp`,
            `MeanProjection` with its own settings; or any function of a `SelectionTask` that returns Units.
        max_units: number of channels at most: over all layers ("auto", "greedy", "contrast"), or of each layer
            ("top_norm", "most_frequent"); "auto" also takes a share of the layers' channels, and a tenth by default; a
            function of one's own gets it as its argument `max_units`. By default the method's own number. A subspace
            has `dimensions` instead.
        seed: of random draws; the same seed gives the same units.
        normalize: see `render`; by default the model's own.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.
        progress: show a progress bar.

    Returns:
        A sequence of Units, one a layer, with the evidence for each channel or direction: use it as
        `blinded(model, *selection)`. Its `reached` says whether the label goes and all others stay; where not, the
        selection is printed with what was tried.

    Raises:
        ValueError: the network recognises no image of the target, or predicts the target for an image to keep and
            does not skip it; `keep` is missing where the method needs it; a layer whose channels are the classes; as
            in `load_image`.
        KeyError: no such layer, label or method.
        IndexError: no such class.
        TypeError: a method that is no function, or takes no `max_units`; one that chooses no channels, with `features`.

    Example:
        >>> from optvis import load
        >>> from optvis.world import dataset
        >>> images, labels = dataset(32)
        >>> ships, others = images[labels == 0], images[labels != 0]
        >>> selection = find_units(load("demo"), ships, "container ship", keep=others, progress=False)
        >>> selection[0].layer, selection.reached
        ('mixed5', True)
    """
    classifier = as_classifier(model, normalize)
    select = resolve_method(method, max_units)
    if tokens is not None:
        given = last_stage(classifier) if layers is None else layers
        layers = [name_tokens(layer, tokens) for layer in ([given] if isinstance(given, str) else given)]
    if features is not None:
        layers, select = search_layer(classifier, layers), restrict_method(select)
    task = build_task(classifier, target_images, target, keep, layers, seed, progress, skip_mistaken)
    with borrow(classifier.network):
        choice = run_method(select, task) if features is None else find_features(select, task, features)
        evidence = _measure_evidence(task, choice.units)
        attempts = choice.attempts if choice.attempts else (judge_units(task, choice.units),)
    recipe = _recipe(task, select, choice.units, attempts)
    return UnitSelection(choice.units, task.target, task.label, evidence, recipe)


def resolve_method(method: str | Method, max_units: float | None) -> Method:
    """Find a method by its name, and set its `max_units`; errors as in `find_units`."""
    if isinstance(method, str):
        if method not in METHODS:
            raise KeyError(f"no method {method!r}; {suggest(method, METHODS, 'there are ' + ', '.join(METHODS))}")
        method = METHODS[method]
    if not callable(method):
        raise TypeError(f"method is {method!r}; expected one of {', '.join(METHODS)}, or a function of a SelectionTask")
    if max_units is None:
        return method
    if "max_units" not in _settings(method):
        raise TypeError(f"max_units={max_units} for {method!r}, which has no setting of that name")
    is_whole = float(max_units).is_integer()
    if not is_whole and not max_units < 1:
        raise ValueError(f"max_units is {max_units}; expected a whole number, or for 'auto' a share below 1")
    change: Callable[..., Any] = replace if is_dataclass(method) else partial
    return cast(Method, change(method, max_units=int(max_units) if is_whole else max_units))


def run_method(method: Method, task: SelectionTask) -> Choice:
    """Run a method, and check that it returns units (else TypeError) of layers that exist (else KeyError).

    Layers with channels on the last axis are shown to it with channels first.
    """
    names = {layer: f"channels_first_{index}" for index, layer in enumerate(task.layers)}
    names = {layer: names[layer] for layer in find_channels_last(task.classifier, task.layers)}
    shown = task if not names else _rename_layers(task, names)
    found = method(shown)
    if isinstance(found, Units):
        found = (found,)
    choice = found if isinstance(found, Choice) else Choice(tuple(found))
    check_units(shown.classifier.network, choice.units)
    return _restore_layers(choice, names) if names else choice


def _rename_layers(task: SelectionTask, names: Mapping[str, str]) -> SelectionTask:
    """The task with other names of some layers, under which they have their channels first."""
    classifier = put_channels_first(task.classifier, names)
    return replace(task, classifier=classifier, layers=tuple(names.get(layer, layer) for layer in task.layers))


def _restore_layers(choice: Choice, names: Mapping[str, str]) -> Choice:
    """What was chosen under other names of layers, as units of the layers themselves."""
    layers = {name: layer for layer, name in names.items()}
    units = tuple(put_channels_last(one, layers[one.layer]) if one.layer in layers else one for one in choice.units)
    attempts = choice.attempts
    for name, layer in layers.items():
        attempts = tuple(replace(attempt, units=attempt.units.replace(name, layer)) for attempt in attempts)
    return Choice(units, attempts)


def find_features(method: Method, task: SelectionTask, sae: Any) -> Choice:
    """Run a method that chooses channels on the codes of the task's one layer; errors as in `run_method`."""
    (layer,) = task.layers
    exposed = expose_features(task.classifier, layer, sae, name=FEATURES)
    choice = run_method(method, replace(task, classifier=exposed, layers=(name_features(layer),)))
    return _as_features(choice, layer, sae)


def search_layer(classifier: Classifier, layers: Sequence[str] | str | None) -> str:
    """The one layer whose features are searched: the one that is named, or the last stage. ValueError: several."""
    names = [last_stage(classifier)] if layers is None else [layers] if isinstance(layers, str) else list(layers)
    if len(names) != 1:
        raise ValueError(f"layers are {names}; an autoencoder belongs to one layer, so name that one")
    return names[0]


def restrict_method(method: Any) -> Any:
    """The method as it is used for features: the automatic one tries no directions."""
    return replace(method, dimensions=()) if isinstance(method, Automatic) else method


def _as_features(choice: Choice, layer: str, sae: Any) -> Choice:
    """What was chosen on the layer of codes, as features of the layer. TypeError: it is no list of channels."""
    units = tuple(_to_features(one, layer, sae) for one in choice.units)
    return Choice(units, tuple(_say_features(attempt, layer) for attempt in choice.attempts))


def _to_features(units: Units, layer: str, sae: Any) -> Features:
    if not isinstance(units, Channels):
        raise TypeError(f"the method gives {units!r}; features are listed by numbers: use {LISTED}")
    return Features(layer, sae, units.indices, within=units.within)


def _say_features(attempt: Attempt, layer: str) -> Attempt:
    return replace(attempt, units=attempt.units.replace("channel", "feature").replace(name_features(layer), layer))


def _settings(method: Any) -> dict[str, Any]:
    """The settings of a method: the fields of a dataclass, or the arguments with defaults of a function."""
    if is_dataclass(method):
        return asdict(method)  # type: ignore[arg-type]
    parameters = inspect.signature(method).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}


def _measure_evidence(task: SelectionTask, units: Sequence[Units]) -> tuple[Evidence, ...]:
    """Measure the effect of each channel and direction alone."""
    rows = []
    for one in units:
        cached = task.cache_behind([one.layer])
        before = task.head.margins(cached.before, task.classes)
        for name, unit in split_units([one]):
            with torch.no_grad():
                changes = task.head.margins(cached.logits({unit.layer: partial(ablate, [unit])}), task.classes) - before
            rows.append(_evidence(task, unit, name, changes))
    return tuple(rows)


def _evidence(task: SelectionTask, unit: Units, name: str, changes: Tensor) -> Evidence:
    target, kept = float(changes[task.is_target].mean()), changes[~task.is_target]
    if not len(kept):
        return Evidence(unit.layer, name, target, None, "")
    index = int(kept.argmin())
    worst = min(0.0, float(kept[index]))
    image = task.names[int((~task.is_target).nonzero()[index])]
    return Evidence(unit.layer, name, target, worst, image if worst < 0 else "")


def _recipe(task: SelectionTask, method: Method, units: Sequence[Units], attempts: Sequence[Attempt]) -> dict[str, Any]:
    settings = json.loads(json.dumps(_settings(method), default=repr))
    function: Any = method.func if isinstance(method, partial) else method
    return provenance(
        task.classifier,
        "find_units",
        target=task.target,
        label=task.label,
        selection_method={"name": getattr(function, "__name__", type(function).__name__), **settings},
        layers=list(task.layers),
        images={"target": int(task.is_target.sum()), "keep": int((~task.is_target).sum())},
        digests=digest_each(task.images),
        units=[units_to_json(one) for one in units],
        left_out=list(task.left_out),
        seed=task.seed,
        reached=attempts[-1].reached,
        attempts=[asdict(one) for one in attempts],
    )
