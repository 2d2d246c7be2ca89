"""A network evaluated many times on the same images, with changes to some of its layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optvis.features.units import Channels, Units
from optvis.models.adapted.trees import is_same
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier, check_logits
from optvis.models.hooks import Call
from optvis.models.layers import describe_output, explain_no_gradient
from optvis.models.outputs.finite import check_finite
from optvis.models.overrides.replace import replace_layers
from optvis.models.tail import Tail
from optvis.objectives import OUTPUT
from optvis.objectives.layout import channels_first, restore_layout

Change: TypeAlias = Callable[[Tensor], Tensor]  # a layer's activations -> what the layer returns instead


class CachedNetwork:
    """The logits of some images, computed from cached activations of the first of some layers.

    Args:
        classifier: with the network.
        images: (B, 3, H, W) in [0, 1].
        layers: names, in the order in which they finish.

    Raises:
        ValueError: no layers.

    Attributes:
        before: the logits without any change, (B, classes).
    """

    def __init__(self, classifier: Classifier, images: Tensor, layers: Sequence[str]) -> None:
        self.network, self.layers = classifier.network, tuple(layers)
        if not self.layers:
            raise ValueError("no layers; expected one or more names, in the order in which they finish")
        with borrow(self.network, gradients=None):
            self.head, self.name = classifier.read_head(images), classifier.name
            self.tail = Tail(self.network, images, classifier.preprocess(images), self.layers[0], copies=1)
            self.before = self.logits({}).detach()
            check_finite(self.before, f"the outputs of {self.name}", self.network, self.tail.inputs)
            self._free_memory()

    def select(self, rows: Tensor) -> CachedNetwork | None:
        """The same of some of the images, given as indices; None where the network has to run again for these."""
        tail = self.tail.select(rows)
        if tail is None:
            return None
        some = copy.copy(self)
        some.tail, some.before = tail, self.before[rows]
        return some if tail.needs_no_others or some.gives_logits(is_same) else None

    def logits(self, changes: Mapping[str, Change]) -> Tensor:
        """Compute the logits, (B, classes), with changes to some of the layers."""
        first, *later = self.layers
        activations = self.tail.activations
        activations = changes[first](activations) if first in changes else activations
        functions = [(name, partial(_change, name, changes[name])) for name in later if name in changes]
        with borrow(self.network, gradients=None), replace_layers(self.network, functions):
            return self.head.logits(check_logits(self.tail.run(activations, [OUTPUT])[OUTPUT]))

    def gradients(self, score: Tensor, start: Tensor) -> Tensor:
        """Differentiate a score of the logits by what the layers were changed with. ValueError: it has no effect."""
        found = torch.autograd.grad(score, start, allow_unused=True)[0] if score.requires_grad else None
        if found is None:
            names = ", ".join(map(repr, self.layers))
            raise ValueError(
                f"the network's output does not depend on {names}; name layers that it is computed from"
                f"{explain_no_gradient(self.network)}"
            )
        return found

    @torch.no_grad()
    def _free_memory(self) -> None:
        """Drop cached outputs of modules before the first layer that the logits do not need: in most networks all."""
        cached = self.tail.before
        can_go, cannot = 0, len(cached) + 1
        count = len(cached)
        while count > can_go:  # how many of the first ones can go, found by bisection
            self.tail.before = _empty_first(cached, count)
            can_go, cannot = (count, cannot) if self.gives_logits(torch.equal) else (can_go, count)
            count = (can_go + cannot) // 2
        self.tail.before = _empty_first(cached, can_go)

    @torch.no_grad()
    def gives_logits(self, agree: Callable[[Tensor, Tensor], bool]) -> bool:
        """Whether the logits without changes can be computed from what is cached now."""
        try:
            return agree(self.logits({}), self.before)
        except Exception:  # a forward pass may raise anything for a tensor of another shape
            return False


def _empty_first(outputs: Mapping[Call, Any], count: int) -> dict[Call, Any]:
    """The outputs of calls, the first of them replaced by an empty tensor."""
    empty = torch.empty(0, dtype=torch.float32, device="cpu")
    return {call: empty if place < count else output for place, (call, output) in enumerate(outputs.items())}


def _change(layer: str, change: Change, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise TypeError(f"layer {layer!r} gives {describe_output(output)}, not a tensor; name a layer that gives one")
    return change(output)


def ablate(units: Sequence[Units], a: Tensor) -> Tensor:
    """A layer's activations without some units: a change of the layer."""
    for one in units:
        a = one.replace(a)
    return a


class ChannelGates:
    """A cached network with a gate on each channel of its layers: the channel is multiplied by 1 (open) to 0 (off).

    Args:
        cached: the network and its images.

    Attributes:
        names: (layer, channel) of each gate; N gates.
    """

    def __init__(self, cached: CachedNetwork) -> None:
        self.cached = cached
        counts = _count_channels(cached)
        self.sizes = list(counts.values())
        self.names = [(layer, channel) for layer, count in counts.items() for channel in range(count)]

    def logits(self, gates: Tensor) -> Tensor:
        """Compute the logits, (B, classes), with gates (N,), or (B, N) for separate gates of each image."""
        parts = torch.split(gates.view(-1, len(self.names)), self.sizes, dim=1)
        changes = [partial(_multiply, part) for part in parts]
        return self.cached.logits(dict(zip(self.cached.layers, changes, strict=True)))

    def all_open(self) -> Tensor:
        """Open gates, (N,)."""
        return torch.ones(len(self.names), dtype=self.cached.before.dtype, device=self.cached.before.device)

    def gradients(self, score: Callable[[Tensor], Tensor], gates: Tensor) -> Tensor:
        """Differentiate the sum of a score of the logits with respect to each image's gates, (B, N)."""
        own = gates.expand(len(self.cached.before), -1).clone().requires_grad_()
        return self.cached.gradients(score(self.logits(own)).sum(), own)

    def to_units(self, indices: Iterable[int]) -> tuple[Channels, ...]:
        """The channels of some gates, one Channels a layer, in the order of the gates."""
        chosen: dict[str, list[int]] = {}
        for index in indices:
            layer, channel = self.names[index]
            chosen.setdefault(layer, []).append(channel)
        return tuple(Channels(layer, channels) for layer, channels in chosen.items())


def _multiply(gates: Tensor, a: Tensor) -> Tensor:
    x = channels_first(a)
    return restore_layout(x * gates.view(*gates.shape, *[1] * (x.dim() - 2)), a, None)


def _count_channels(cached: CachedNetwork) -> dict[str, int]:
    counts: dict[str, int] = {}

    def count(layer: str, a: Tensor) -> Tensor:
        counts[layer] = channels_first(a).shape[1]
        return a

    with torch.no_grad():
        cached.logits({layer: partial(count, layer) for layer in cached.layers})
    return {layer: counts[layer] for layer in cached.layers}
