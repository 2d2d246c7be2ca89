"""The effect of a channel on the logits: attribution to all classes at once, and exact ablation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from optvis.ablation.selection.cached_network import CachedNetwork
from optvis.arguments import TensorFields
from optvis.features.units import Channels
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.jvp import twice_differentiable
from optvis.models.outputs.finite import check_finite
from optvis.models.tail import ACTIVATIONS_PER_PASS


@dataclass(frozen=True, eq=False)
class Effects(TensorFields):
    """The effect of one channel on the logits of some images.

    Args:
        attribution: gradient times activation of each logit, summed over the channel's positions, (B, classes).
        before: logits, (B, classes).
        after: logits without the channel, (B, classes).
    """

    TENSOR_FIELDS: ClassVar = {"attribution": "B K", "before": "B K", "after": "B K"}

    attribution: Tensor
    before: Tensor
    after: Tensor

    @property
    def drop(self) -> Tensor:
        """How much each logit drops without the channel, (B, classes)."""
        return self.before - self.after

    @property
    def prediction_changes(self) -> int:
        """For how many images the predicted class changes without the channel."""
        return count_changes(self.before, self.after)


@plain_mode()
def measure_effects(
    classifier: Classifier, images: Tensor, layer: str, channel: int, channel_axis: int | None = None
) -> Effects:
    """Compute a channel's attribution to every class, and the logits without it.

    Σ a_c ∂logit/∂a_c over the channel's positions is the derivative of the logits along the activations of this channel
    alone; differentiating twice gives it for all classes.

    Args:
        classifier: the network.
        images: (B, 3, H, W) in [0, 1].
        layer: name as in `layers(net)`.
        channel: index in that layer.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        ValueError: the network's output is not (B, classes).
    """
    unit = Channels(layer, channel, channel_axis=channel_axis)
    with borrow(classifier.network), torch.no_grad():
        cached = CachedNetwork(classifier, images, [layer])
        after = cached.logits({layer: unit.replace})
        attribution = _attribute_channel(cached, unit)
    for values, what in ((attribution, "attributions"), (after, f"outputs without channel {channel} of {layer!r}")):
        check_finite(values, f"the {what}", cached.network, cached.tail.inputs)
    return Effects(*(a.float().cpu() for a in (attribution, cached.before, after)))


def _attribute_channel(cached: CachedNetwork, unit: Channels) -> Tensor:
    """The derivative of all logits along a channel's own activations, (B, classes).

    The gradient of Σ logits · weights by the activations is linear in the weights. Its derivative by the weights, along
    the channel's activations, is the derivative of the logits along them.
    """
    layer = unit.layer
    own = cached.tail.activations - unit.replace(cached.tail.activations)
    with torch.enable_grad(), twice_differentiable():
        weights = torch.zeros_like(cached.before, requires_grad=True)
        start = cached.tail.activations.detach().requires_grad_()
        total = (cached.logits({layer: lambda _: start.clone()}) * weights).sum()
        (gradient,) = torch.autograd.grad(total, start, create_graph=True, materialize_grads=True, allow_unused=True)
        along = (gradient * own).sum()
        if not along.requires_grad:  # the output does not depend on the layer
            return torch.zeros_like(cached.before)
        (derivative,) = torch.autograd.grad(along, weights, materialize_grads=True, allow_unused=True)
    return derivative


def attribute_classes(cached: CachedNetwork, classes: Tensor) -> Tensor:
    """Gradient times activation of the logit of one class of each image, of the shape of the layer's activations.

    Args:
        cached: the network and B images, from one layer on.
        classes: an index for each image, (B,).
    """
    start = cached.tail.activations.detach().clone().requires_grad_()
    with borrow(cached.network), torch.enable_grad():
        logits = cached.logits({cached.layers[0]: lambda _: start.clone()})
        own = logits.gather(1, classes.to(logits.device).view(-1, 1)).sum()
        if not own.requires_grad:  # the output does not depend on the layer
            return torch.zeros_like(start)
        (gradient,) = torch.autograd.grad(own, start, materialize_grads=True, allow_unused=True)
    found: Tensor = (gradient * start).detach()
    check_finite(found, "the attributions", cached.network, cached.tail.inputs)
    return found


def split_batches(classifier: Classifier, images: Tensor, layer: str) -> list[CachedNetwork]:
    """The network from a layer on, for batches of images whose activations fit into the caches."""
    with borrow(classifier.network), torch.no_grad():
        first = CachedNetwork(classifier, images[:1], [layer])
        size = max(1, ACTIVATIONS_PER_PASS // first.tail.activations.numel())
        return [CachedNetwork(classifier, batch, [layer]) for batch in torch.split(images, size)]


class AblationSample:
    """A sample of images on which each channel of a layer is switched off in turn.

    Args:
        classifier: the network.
        images: (B, 3, H, W) in [0, 1].
        layer: name as in `layers(net)`.

    Attributes:
        head: of the network.
    """

    def __init__(self, classifier: Classifier, images: Tensor, layer: str) -> None:
        self.classifier, self.layer, self.head = classifier, layer, classifier.read_head(images)
        self.batches = split_batches(classifier, images, layer)
        self.logits = torch.cat([batch.before for batch in self.batches]).float().cpu()

    def logits_without(self, channel: int, channel_axis: int | None = None) -> Tensor:
        """The logits without a channel, (B, classes)."""
        unit = Channels(self.layer, channel, channel_axis=channel_axis)
        with borrow(self.classifier.network), torch.no_grad():
            return torch.cat([batch.logits({self.layer: unit.replace}) for batch in self.batches]).float().cpu()


def count_changes(before: Tensor, after: Tensor) -> int:
    """Count the images whose predicted class differs between two sets of logits (B, classes)."""
    return int((before.argmax(1) != after.argmax(1)).sum())
