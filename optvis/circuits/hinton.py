"""Hinton diagrams of a network: its weights, its activations, and expanded weights with the channels' pictures."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from optvis.circuits.weights import ChosenChannels, chosen_channels, expanded_weights, strongest, weights
from optvis.data.images import ImageLike
from optvis.models.activations import activations
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import channel
from optvis.objectives.layout import channels_first
from optvis.rendering.render import USUAL_STEPS, render
from optvis.version import __version__
from optvis.viz.hinton import Hinton, hinton

ACROSS = 8  # maps side by side
WEIGHTS, ACTIVE = "norm of weights", "norm of weights, times root mean square of activations over images"


def hinton_of_weights(
    model: nn.Module | Classifier, layer: str, channels: ChosenChannels = None, *, top: int = 8
) -> Hinton:
    """The weights of a layer: for each of its channels, those of the inputs that matter most to it.

    A convolution has a row of panels a channel, a panel an input. A linear layer, or a 1 × 1 convolution, is one table.
    A layer with as many channels as the network has classes has their texts.

    Args:
        model: a network, or a Classifier.
        layer: name of a convolution or a linear layer.
        channels: which of its outputs; by default all.
        top: how many inputs, by the norm of their weights.

    Raises:
        KeyError, ValueError, IndexError: as in `optvis.circuits.weights.weights`; top under 1.

    Example:
        >>> from optvis import load
        >>> hinton_of_weights(load(), "mixed3.0", [3, 17], top=4), hinton_of_weights(load(), "head", top=12)
        (Hinton(8 panels of 3 × 3, full square at ...), Hinton(16 × 12, full square at ...))
    """
    held = weights(model, layer)
    chosen = chosen_channels(channels, len(held), layer)
    name = model.name if isinstance(model, Classifier) else type(model).__name__
    recipe = _recipe("weights", name, layer=layer, channels=list(chosen), top=top)
    found = held[list(chosen)]
    return _diagram(found, _best(found, top), _named(model, layer, chosen, len(held)), "", recipe)


def hinton_of_expanded(
    model: nn.Module | Classifier,
    before: str,
    after: str,
    channels: ChosenChannels,
    *,
    top: int = 8,
    images: ImageLike | Sequence[ImageLike] | None = None,
    icons: int = 0,
    steps: int = USUAL_STEPS,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Hinton:
    """Expanded weights: for each channel of a layer, what it owes to the channels of an earlier one, and where.

    Voss et al., "Visualizing Weights", Distill 2021, doi:10.23915/distill.00024.007. See `expanded_weights`.

    Args:
        model: a network, or a Classifier.
        before: the earlier layer, as in `layers(net)`.
        after: the later one.
        channels: which of the later layer's.
        top: how many of the earlier layer's channels, by the norm of their weights.
        images: photographs; weights then count as often as their channels are active there: the norm is multiplied by
            the root mean square of the channel's activations. Weights say nothing of channels that never fire.
        icons: side in pixels of a picture of each channel, rendered for the purpose; 0 for none.
        steps: updates of each picture.
        normalize: see `render`; by default what the model carries.
        channel_axis: axis of the channels in both layers' outputs; by default the second, or the last of three.
        seed: of noise and transforms of the pictures.
        progress: show a progress bar.

    Raises:
        KeyError, ValueError, IndexError: as in `expanded_weights`; top under 1.

    Example:
        >>> from optvis import load
        >>> hinton_of_expanded(load(), "mixed3", "mixed4", 17, top=6)
        Hinton(6 panels of 10 × 10, full square at ...)
    """
    classifier = as_classifier(model, normalize)
    count = _count(classifier, after, channel_axis)
    chosen = chosen_channels(channels, count, after)
    found = expanded_weights(classifier, before, after, chosen, channel_axis=channel_axis)
    asked = {"before": before, "after": after, "channels": list(chosen), "top": top}
    recipe = _recipe("expanded weights", classifier.name, **asked, ranked_by=WEIGHTS if images is None else ACTIVE)
    active = torch.ones(found.shape[1]) if images is None else _active(classifier, images, before, channel_axis)
    best = _best(found * active.view(-1, *[1] * (found.dim() - 2)), top)
    plain = _diagram(found, best, _named(classifier, after, chosen, count), before, recipe)
    if not icons or plain.column_labels:
        return plain
    drawn = {
        layer: _pictures(classifier, layer, some, icons, steps, channel_axis, seed, progress)
        for layer, some in ((before, best.flatten().tolist()), (after, chosen))
    }
    told = recipe | {"icons": icons, "steps": steps, "seed": seed}
    return replace(plain, icons=drawn[before], row_icons=drawn[after], recipe=told)


def hinton_of_activations(
    model: nn.Module | Classifier,
    image: ImageLike,
    layer: str,
    channels: ChosenChannels = None,
    *,
    top: int = 8,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
) -> Hinton:
    """The activations that one image gives some channels of a layer, each as a map of its positions.

    Args:
        model: a network, or a Classifier.
        image: a photograph in any form that `load_image` takes.
        layer: name as in `layers(net)`. One without a map of positions is a table: a row a channel.
        channels: which; by default those whose activations have the largest norm.
        top: how many of these.
        normalize: see `render`; by default what the model carries.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        KeyError: no such layer; the nearest are named.
        IndexError: a channel that it does not have.
        ValueError: several images; top under 1; as in `load_image`.

    Example:
        >>> from optvis import load
        >>> from optvis.world import scene
        >>> hinton_of_activations(load(), scene("owl", seed=2).image, "mixed5", top=6)
        Hinton(6 panels of 12 × 12, full square at ...)
    """
    classifier = as_classifier(model, normalize)
    seen = classifier.load_batch(image)
    if len(seen) != 1:
        raise ValueError(f"{len(seen)} images; give one")
    a = channels_first(activations(classifier, seen, [layer])[layer], channel_axis)[0].detach().cpu()
    chosen = (
        strongest(a.unsqueeze(0), top)[0].tolist() if channels is None else chosen_channels(channels, len(a), layer)
    )
    recipe = _recipe("activations", classifier.name, layer=layer, channels=list(chosen), top=top)
    names = _named(classifier, layer, chosen, len(a))
    some = a[list(chosen)]
    if some.dim() == 3:
        return hinton(some, labels=names, panels_per_row=min(len(some), ACROSS), recipe=recipe)
    return hinton(some.reshape(len(some), -1), row_labels=names, recipe=recipe)


def _best(found: Tensor, top: int) -> Tensor:
    """The inputs to show of weights (O, I, ...): (O, K) for each output, or (K,) for all where weights are numbers."""
    if found[0, 0].numel() > 1:
        return strongest(found, top)
    return strongest(found.flatten(1).T.unsqueeze(0), top)[0]


def _diagram(found: Tensor, best: Tensor, outputs: Sequence[str], before: str, recipe: Mapping[str, Any]) -> Hinton:
    """Weights (O, I, ...) as a table, or as a row of panels for each output."""
    if best.dim() == 1:
        columns = [str(i) for i in best.tolist()]
        return hinton(found.flatten(1)[:, best], row_labels=outputs, column_labels=columns, recipe=recipe)
    panels = torch.stack([one[some] for one, some in zip(found, best, strict=True)])
    labels = [f"{before} {i}".strip() for i in best.flatten().tolist()]
    return hinton(
        panels.unsqueeze(2) if panels.dim() == 3 else panels, labels=labels, row_labels=outputs, recipe=recipe
    )


def _active(
    classifier: Classifier, images: ImageLike | Sequence[ImageLike], layer: str, channel_axis: int | None
) -> Tensor:
    """The root mean square of each channel's activations, (C,), on the CPU."""
    a = channels_first(activations(classifier, images, [layer])[layer], channel_axis).detach().transpose(0, 1)
    return a.flatten(1).square().mean(1).sqrt().cpu()


def _named(model: nn.Module | Classifier, layer: str, chosen: Sequence[int], count: int) -> list[str]:
    """Channels by number; by the texts of the classes where there are as many."""
    labels = model.labels if isinstance(model, Classifier) else ()
    return [labels[i] if len(labels) == count else f"{layer} {i}".strip() for i in chosen]


def _count(classifier: Classifier, layer: str, channel_axis: int | None) -> int:
    """How many channels a layer has."""
    grey = torch.full((1, 3, *classifier.size), 0.5)
    return channels_first(activations(classifier, grey, [layer])[layer], channel_axis).shape[1]


def _pictures(
    classifier: Classifier,
    layer: str,
    channels: Sequence[int],
    size: int,
    steps: int,
    channel_axis: int | None,
    seed: int,
    progress: bool,
) -> Tensor:
    """(N, 3, S, S), one a channel; each is rendered once."""
    wanted = sorted(set(channels))
    objective = channel(layer, wanted, channel_axis=channel_axis)
    made = render(classifier, objective, size=size, steps=steps, seed=seed, progress=progress)
    return made.images[[wanted.index(one) for one in channels]]


def _recipe(what: str, network: str, **told: Any) -> dict[str, Any]:
    versions = {"optvis": __version__, "torch": torch.__version__, "python": platform.python_version()}
    return {"hinton": what, "network": network, **told, **versions}


__all__ = ["hinton_of_activations", "hinton_of_expanded", "hinton_of_weights"]
