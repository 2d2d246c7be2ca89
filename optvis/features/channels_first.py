"""A network in which layers with channels last have their channels first, in layers of their own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.adapted.network import AdaptedNetwork
from optvis.models.borrow import borrow, lock
from optvis.models.classifier import Classifier
from optvis.models.overrides.replace import replace_output
from optvis.objectives.layout import channels_first, restore_layout

LAST = -1  # the axis
OWN_NAME = "channels_first"  # of a layer that is shown with channels first


class ChannelsFirstNetwork(AdaptedNetwork):
    """A network in which the output of some layers passes through layers of its own, with the channels on axis 1.

    Args:
        network: the network, adapted or not.
        layers: names of layers of (B, H, W, C), and of those that get them as (B, C, H, W).
    """

    def __init__(self, network: nn.Module, layers: Mapping[str, str]) -> None:
        super().__init__(network)
        vars(self).update(_layers=dict(layers))
        self.add_layers({name: nn.Identity() for name in layers.values()})

    def forward(self, inputs: Tensor) -> Any:
        """Call the network; its layers pass through those with channels first."""
        network = vars(self)["original"]
        with lock(network), ExitStack() as stack:
            for layer, name in self._layers.items():
                stack.enter_context(replace_output(network, layer, partial(_pass, vars(self)["_modules"][name])))
            return network(inputs)


def _pass(module: nn.Module, a: Tensor) -> Tensor:
    moved = channels_first(a, LAST)
    new = module(moved)
    return a if new is moved else restore_layout(new, a, LAST)


def put_channels_first(classifier: Classifier, layers: Mapping[str, str]) -> Classifier:
    """Make a classifier of the network whose layers with channels last are named anew, with channels first."""
    return replace(classifier, network=ChannelsFirstNetwork(classifier.network, layers))


def show_channels_first(classifier: Classifier, layer: str) -> tuple[Classifier, str]:
    """A classifier that gives a layer with channels first, and the layer's name in it: the same where they are."""
    if not find_channels_last(classifier, (layer,)):
        return classifier, layer
    return put_channels_first(classifier, {layer: OWN_NAME}), OWN_NAME


def put_channels_last(units: Units, layer: str) -> Units:
    """The same units of a layer whose channels are on the last axis."""
    moved = copy.copy(units)
    vars(moved).update(layer=layer, channel_axis=LAST)
    return moved


def find_channels_last(classifier: Classifier, layers: tuple[str, ...]) -> tuple[str, ...]:
    """Find the layers whose channels are on the last of four axes, by the evidence of the network."""
    image = classifier.noise_image()
    with borrow(classifier.network), torch.no_grad():
        found = read_activations(classifier.network, classifier.preprocess(image), layers)
    return tuple(layer for layer in layers if known_axis(found[layer]) == LAST)


def known_axis(a: Tensor) -> int | None:
    """The axis of the channels of a layer's activations: −1 where they are surely on the last of four axes, else None.

    Example:
        >>> from optvis.objectives.layout import mark_channels
        >>> a = torch.zeros(1, 7, 7, 96)
        >>> mark_channels(a, 3, "norm")
        >>> known_axis(a), known_axis(torch.zeros(1, 96, 7, 7))
        (-1, None)
    """
    if a.dim() != 4:
        return None
    try:
        channels_first(a)
    except ValueError:
        return LAST
    return None
