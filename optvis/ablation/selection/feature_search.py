"""Searches among the features of an autoencoder: the methods that choose channels, on a layer of codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from optvis.ablation.selection.attempt import Attempt, Choice
from optvis.ablation.selection.automatic import Automatic
from optvis.ablation.selection.layers import last_stage
from optvis.features.autoencoder_units import Features
from optvis.features.feature_network import FEATURES
from optvis.features.units import Channels, Units
from optvis.models.classifier import Classifier

LISTED = "'auto', 'greedy', 'contrast', 'top_norm' or 'most_frequent'"  # the methods that choose channels


def search_layer(classifier: Classifier, layers: Sequence[str] | str | None) -> str:
    """The one layer whose features are searched: the one that is named, or the last stage. ValueError: several."""
    names = [last_stage(classifier)] if layers is None else [layers] if isinstance(layers, str) else list(layers)
    if len(names) != 1:
        raise ValueError(f"layers are {names}; an autoencoder belongs to one layer, so name that one")
    return names[0]


def restrict_method(method: Any) -> Any:
    """The method as it is used for features: the automatic one tries no directions."""
    return replace(method, dimensions=()) if isinstance(method, Automatic) else method


def as_features(choice: Choice, layer: str, sae: Any) -> Choice:
    """What was chosen on the layer of codes, as features of the layer. TypeError: it is no list of channels."""
    units = tuple(_as_features(one, layer, sae) for one in choice.units)
    return Choice(units, tuple(_say_features(attempt, layer) for attempt in choice.attempts))


def _as_features(units: Units, layer: str, sae: Any) -> Features:
    if not isinstance(units, Channels):
        raise TypeError(f"the method gives {units!r}; features are listed by numbers: use {LISTED}")
    return Features(layer, sae, units.indices, within=units.within)


def _say_features(attempt: Attempt, layer: str) -> Attempt:
    return replace(attempt, units=attempt.units.replace("channel", "feature").replace(FEATURES, layer))
