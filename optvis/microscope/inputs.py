"""What a channel is made of: its attribution to the channels of an earlier layer, on the images that activate it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.outputs.finite import check_finite
from optvis.models.tail import Tail
from optvis.objectives.layout import channels_first, positions


def find_sources(classifier: Classifier, layers: Sequence[str]) -> dict[str, str | None]:
    """Find for each layer the last of the others that finishes before it and that it depends on.

    Args:
        classifier: the network.
        layers: names as in `layers(net)`, in any order.

    Returns:
        By the layer's name; None where there is no such layer.
    """
    gray = classifier.gray_image()
    with borrow(classifier.network), torch.no_grad():
        inputs = classifier.preprocess(gray)
        order = list(read_activations(classifier.network, inputs, layers))
        found: dict[str, str | None] = dict.fromkeys(layers)
        for at, source in enumerate(order[:-1]):
            tail = Tail(classifier.network, gray, inputs, source, copies=1)
            found |= {layer: source for layer in order[at + 1 :] if _depends(tail, layer)}
    return found


def _depends(tail: Tail, layer: str) -> bool:
    """Whether a later layer is computed from the one where the tail begins."""
    start = tail.activations.detach().clone().requires_grad_()
    try:
        with torch.enable_grad():
            end = tail.run(start, [layer])[layer].sum()
    except ValueError:  # one of the two is computed without gradients
        return False
    return end.requires_grad and torch.autograd.grad(end, start, allow_unused=True)[0] is not None


def measure_inputs(
    classifier: Classifier,
    images: Tensor,
    layers: tuple[str, str],
    channel: int,
    places: Sequence[tuple[int, int]],
    channel_axis: int | None = None,
) -> Tensor:
    """Compute the attribution of a channel's activation, at one place of each image, to an earlier layer's channels.

    Gradient × activation, Σ a_p ∂a_c/∂a_p over the positions of the earlier layer: of each channel p there, how much it
    adds to the activation of c, if what lies between were linear.

    Args:
        classifier: the network.
        images: (B, 3, H, W) in [0, 1].
        layers: the earlier and the later one, as in `layers(net)`.
        channel: index in the later one.
        places: row and column of each image, B; where the later layer has no map, its positions are in a row.
        channel_axis: axis of the channels in both layers' outputs; by default the second, or the last of three.

    Returns:
        The mean over images, (C,), of the earlier layer's channels.
    """
    source, layer = layers
    with borrow(classifier.network):
        inputs = classifier.preprocess(images)
        tail = Tail(classifier.network, images, inputs, source, copies=1)
        start = tail.activations.detach().clone().requires_grad_()
        with torch.enable_grad():
            end = tail.run(start, [layer])[layer]
            sides = channels_first(end, channel_axis).shape[2:]
            across = sides[1] if len(sides) == 2 else 0
            flat = torch.tensor([y * across + x for y, x in places], device=end.device)
            own = positions(end, channel_axis)[torch.arange(len(end), device=end.device), channel, flat].sum()
        (gradient,) = torch.autograd.grad(own, start, materialize_grads=True, allow_unused=True)
        found: Tensor = positions((gradient * start).detach(), channel_axis).sum(2).mean(0).float().cpu()
        check_finite(found, f"the attributions to {source!r}", classifier.network, inputs)
    return found
