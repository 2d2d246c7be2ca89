"""What a channel does to the answers: attribution to all classes at once, and exact ablation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from optvis.ablation.finding.cached import Cached
from optvis.attribution.layer_function import ACTIVATIONS_PER_PASS
from optvis.features.units import Channels
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier


@dataclass(frozen=True, eq=False)
class Effects:
    """What one channel does to the answers to some photographs.

    Args:
        attribution: gradient times activation, summed over the channel's positions, of each logit, (B, classes).
        before: logits, (B, classes).
        after: logits without the channel, (B, classes).
    """

    attribution: Tensor
    before: Tensor
    after: Tensor

    @property
    def costs(self) -> Tensor:
        """What each logit loses without the channel, (B, classes)."""
        return self.before - self.after

    @property
    def changed(self) -> int:
        """How many answers are others without it."""
        return int((self.before.argmax(1) != self.after.argmax(1)).sum())


def effects(
    classifier: Classifier, images: Tensor, layer: str, channel: int, channel_axis: int | None = None
) -> Effects:
    """Attribution and exact ablation of a channel, for every class.

    Σ a_c ∂logit/∂a_c over the channel's positions is the derivative of the logits along the activations of this channel
    alone; differentiating twice gives it for all classes.

    Args:
        classifier: whose network is asked.
        images: (B, 3, H, W) in [0, 1].
        layer: name as in `layers(net)`.
        channel: of that layer.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        ValueError: the network's output is no (B, classes).
    """
    unit = Channels(layer, channel, channel_axis=channel_axis)
    with borrow(classifier.network), torch.no_grad():
        cached = Cached(classifier, images, [layer])
        check_logits(cached.before)
        after = cached.logits({layer: unit.replace})
    slopes = _derivative(cached, unit)
    return Effects(*(a.float().cpu() for a in (slopes, cached.before, after)))


def _derivative(cached: Cached, unit: Channels) -> Tensor:
    """The derivative of all logits along a channel's own activations, (B, classes).

    Of the product of logits and weights, the gradient by the activations is linear in the weights; its derivative by
    them, along any activations, is what is sought.
    """
    layer = unit.layer
    own = cached.tail.activations - unit.replace(cached.tail.activations)
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        weights = torch.zeros_like(cached.before, requires_grad=True)
        start = cached.tail.activations.detach().requires_grad_()
        total = (cached.logits({layer: lambda _: start.clone()}) * weights).sum()
        (slope,) = torch.autograd.grad(total, start, create_graph=True, materialize_grads=True, allow_unused=True)
        (found,) = torch.autograd.grad((slope * own).sum(), weights)
    return found


class Sample:
    """Some photographs, the same for all channels of a layer, of which each is switched off in turn.

    Args:
        classifier: whose network is asked; it has to be borrowed while it is.
        images: (B, 3, H, W) in [0, 1].
        layer: name as in `layers(net)`.
    """

    def __init__(self, classifier: Classifier, images: Tensor, layer: str) -> None:
        self.layer = layer
        with torch.no_grad():
            first = Cached(classifier, images[:1], [layer])
            size = max(1, ACTIVATIONS_PER_PASS // first.tail.activations.numel())
            self.parts = [Cached(classifier, part, [layer]) for part in torch.split(images, size)]
        self.before = torch.cat([part.before for part in self.parts]).float().cpu()

    def without(self, channel: int, channel_axis: int | None = None) -> Tensor:
        """The logits without a channel, (B, classes)."""
        unit = Channels(self.layer, channel, channel_axis=channel_axis)
        with torch.no_grad():
            return torch.cat([part.logits({self.layer: unit.replace}) for part in self.parts]).float().cpu()


def check_logits(logits: Tensor) -> None:
    """
    Raises:
        ValueError: not a score per class.
    """
    if logits.dim() != 2:
        raise ValueError(f"the network gives {tuple(logits.shape)}; a microscope needs a score per class, (B, classes)")


__all__ = ["Effects", "Sample", "effects"]
