"""A network asked over and over about the same images, with something else in some of its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from optvis.models.classifier import Classifier
from optvis.models.hooks import intercept
from optvis.models.layers import find_module
from optvis.models.tail import Tail
from optvis.objectives import OUTPUT
from optvis.objectives.layout import channels_first, restore_layout

Change: TypeAlias = Callable[[Tensor], Tensor]  # a layer's activations -> what the layer gives instead


class Cached:
    """The answers to some images, from the activations of the first of some layers. The network has to be borrowed.

    Args:
        classifier: whose network is asked.
        images: (B, 3, H, W) in [0, 1].
        layers: names, in the order in which they run.
    """

    def __init__(self, classifier: Classifier, images: Tensor, layers: Sequence[str]) -> None:
        self.network, self.layers = classifier.network, tuple(layers)
        self.tail = Tail(self.network, images, classifier.preprocess(images), self.layers[0])
        self.before = self.logits({}).detach()
        self._forget()

    def logits(self, changes: Mapping[str, Change]) -> Tensor:
        """The network's answers, (B, classes), with layers changed."""
        first, *later = self.layers
        activations = self.tail.activations
        activations = changes[first](activations) if first in changes else activations
        places = {find_module(self.network, name): changes[name] for name in later if name in changes}
        with intercept(self.network, places):
            return self.tail.run(activations, [OUTPUT])[OUTPUT]

    def _forget(self) -> None:
        """Drop what came before the layer, where the answer does not need it: most networks are chains."""
        kept = self.tail.before
        self.tail.before = {place: torch.empty(0) for place in kept}
        try:
            if self.logits({}).equal(self.before):
                return
        except Exception:  # whatever a forward pass does to a tensor of another shape
            pass
        self.tail.before = kept


class Gated:
    """A network with a gate on each channel of some layers: 1 is open, 0 is off.

    Args:
        cached: the network and its images.

    Attributes:
        names: (layer, channel) of each gate; N gates.
    """

    def __init__(self, cached: Cached) -> None:
        self.cached = cached
        counts = _channels(cached)
        self.sizes = list(counts.values())
        self.names = [(layer, channel) for layer, count in counts.items() for channel in range(count)]

    def logits(self, gates: Tensor) -> Tensor:
        """(B, classes), from gates (N,), or (B, N) for gates of each image's own."""
        parts = torch.split(gates.view(-1, len(self.names)), self.sizes, dim=1)
        return self.cached.logits({layer: _gate(part) for layer, part in zip(self.cached.layers, parts, strict=True)})

    def open(self) -> Tensor:
        """All gates open, (N,)."""
        return torch.ones(len(self.names), dtype=self.cached.before.dtype, device=self.cached.before.device)

    def slopes(self, score: Callable[[Tensor], Tensor], gates: Tensor) -> Tensor:
        """The derivative of a sum of scores by each image's gates, (B, N)."""
        own = gates.expand(len(self.cached.before), -1).clone().requires_grad_()
        (slopes,) = torch.autograd.grad(score(self.logits(own)).sum(), own)
        return slopes


def _gate(gates: Tensor) -> Change:
    def gated(a: Tensor) -> Tensor:
        laid = channels_first(a)
        return restore_layout(laid * gates.view(*gates.shape, *[1] * (laid.dim() - 2)), a, None)

    return gated


def _channels(cached: Cached) -> dict[str, int]:
    """How many channels each layer has."""
    found: dict[str, int] = {}

    def note(layer: str) -> Change:
        def noted(a: Tensor) -> Tensor:
            found[layer] = channels_first(a).shape[1]
            return a

        return noted

    with torch.no_grad():
        cached.logits({layer: note(layer) for layer in cached.layers})
    return {layer: found[layer] for layer in cached.layers}


__all__ = ["Cached", "Change", "Gated"]
