"""Hinton diagrams of a network: of its weights, its activations, and expanded weights with icons of the channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from optvis.circuits.weights import ChannelIndices, expanded_weights, resolve_channels, strongest_inputs, weights
from optvis.data.images import ImageLike
from optvis.errors import warn_user
from optvis.models.activations import read_channels
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import provenance
from optvis.objectives import channel
from optvis.objectives.layout import name_tokens
from optvis.rendering.recipes import ICON_STEPS
from optvis.rendering.render import render
from optvis.viz.hinton_diagram import Hinton, hinton
from optvis.viz.sheet import as_rgb

MAPS_PER_ROW = 8
WEIGHT_NORM = "norm of weights"
ACTIVE_WEIGHT_NORM = "norm of weights, times root mean square of activations over images"


@plain_mode()
def hinton_of_weights(
    model: nn.Module | Classifier, layer: str, channels: ChannelIndices = None, *, top: int = 8
) -> Hinton:
    """Draw the weights of a layer: for each output channel, those of its strongest inputs.

    A convolution is drawn as a row of panels for each output channel, one panel an input. A linear layer, or a 1 × 1
    convolution, is one table. The outputs of a layer with as many channels as classes have the labels of the classes.

    Args:
        model: a network, or a Classifier.
        layer: name of a convolution or a linear layer.
        channels: indices of output channels; by default all.
        top: how many inputs, by the norm of their weights.

    Raises:
        KeyError, ValueError, IndexError: as in `weights`; top below 1.

    Example:
        >>> from optvis import load
        >>> hinton_of_weights(load(), "mixed3.0", [3, 17], top=4), hinton_of_weights(load(), "head", top=12)
        (Hinton(8 panels of 3 × 3, full square at ...), Hinton(16 × 12, full square at ...))
    """
    classifier = model if isinstance(model, Classifier) else as_classifier(model, None)
    stored = weights(classifier, layer)
    indices = resolve_channels(channels, len(stored), layer)
    recipe = provenance(classifier, "hinton_of_weights", layer=layer, channels=list(indices), top=top)
    values = stored[list(indices)]
    labels = _channel_labels(classifier, layer, indices, len(stored))
    return _draw_weights(values, _rank_inputs(values, top), labels, "", recipe)


@plain_mode()
def hinton_of_expanded_weights(
    model: nn.Module | Classifier,
    before: str,
    after: str,
    channels: ChannelIndices,
    *,
    top: int = 8,
    images: ImageLike | Sequence[ImageLike] | None = None,
    icons: int = 0,
    steps: int = ICON_STEPS,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    progress: bool = True,
) -> Hinton:
    """Draw expanded weights: how channels of a layer depend on the channels and positions of an earlier one.

    Voss et al., "Visualizing Weights", Distill 2021, doi:10.23915/distill.00024.007. See `expanded_weights`.

    Args:
        before: the earlier layer, as in `layers(net)`.
        after: the later layer.
        channels: indices of the later layer's channels.
        top: how many of the earlier layer's channels, by the norm of their weights.
        images: rank channels by the norm of their weights times the root mean square of their activations over these
            images; without them, channels that are never active may come first.
        icons: side in pixels of an icon of each channel, rendered as by `render`; 0 for none. Where each weight is one
            number the diagram is a table, without icons.
        steps: updates of each icon.
        seed: of noise and transforms of the icons.
        channel_axis: axis of the channels in both layers' outputs; by default the second, or the last of three.
        model, normalize, progress: see `render`.

    Raises:
        KeyError, ValueError, IndexError: as in `expanded_weights`; top below 1.

    Example:
        >>> from optvis import load
        >>> hinton_of_expanded_weights(load(), "mixed3", "mixed4", 17, top=6)
        Hinton(6 panels of 10 × 10, full square at ...)
    """
    classifier = as_classifier(model, normalize)
    count = read_channels(classifier, classifier.gray_image(), after, channel_axis).shape[1]
    indices = resolve_channels(channels, count, after)
    values = expanded_weights(classifier, before, after, indices, channel_axis=channel_axis)
    recipe = provenance(
        classifier,
        "hinton_of_expanded_weights",
        before=before,
        after=after,
        channels=list(indices),
        top=top,
        ranked_by=WEIGHT_NORM if images is None else ACTIVE_WEIGHT_NORM,
    )
    scales = torch.ones(values.shape[1], dtype=torch.float32, device="cpu")
    if images is not None:
        a = read_channels(classifier, images, before, channel_axis).detach().transpose(0, 1)
        scales = a.flatten(1).square().mean(1).sqrt().cpu()
    best = _rank_inputs(values * scales.view(-1, *[1] * (values.dim() - 2)), top)
    diagram = _draw_weights(values, best, _channel_labels(classifier, after, indices, count), before, recipe)
    if icons and diagram.column_labels:
        warn_user(f"the weights from {before!r} to {after!r} are one table, which has no icons")
    if not icons or diagram.column_labels:
        return diagram

    def render_icons(layer: str, channels: Sequence[int]) -> Tensor:
        unique = sorted(set(channels))
        objective = channel(layer, unique, channel_axis=channel_axis)
        rendering = render(classifier, objective, recipe="icon", size=icons, steps=steps, seed=seed, progress=progress)
        return rendering.images[[unique.index(index) for index in channels]]

    own, row_icons = render_icons(before, best.flatten().tolist()), render_icons(after, indices)
    recipe |= {"icons": icons, "steps": steps, "seed": seed}
    return replace(diagram, icons=as_rgb(own), row_icons=as_rgb(row_icons), recipe=recipe)


@plain_mode()
def hinton_of_activations(
    model: nn.Module | Classifier,
    image: ImageLike,
    layer: str,
    channels: ChannelIndices = None,
    *,
    top: int = 8,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    tokens: str | None = None,
) -> Hinton:
    """Draw the activations of some channels of a layer for one image, each as a map of positions.

    Args:
        image: an image in any form that `load_image` takes.
        layer: name as in `layers(net)`. One without a map of positions is drawn as a table, one row a channel.
        channels: indices; by default those whose activations have the largest norm.
        top: how many of these.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.
        model, normalize: see `render`.

    Raises:
        KeyError: there is no such layer; the nearest names are given.
        IndexError: a channel that the layer does not have.
        ValueError: several images; top below 1; as in `load_image`. NotFiniteError: activations are NaN or infinite.

    Example:
        >>> from optvis import load
        >>> from optvis.world import scene
        >>> hinton_of_activations(load(), scene("owl", seed=2).image, "mixed5", top=6)
        Hinton(6 panels of 12 × 12, full square at ...)
    """
    layer = name_tokens(layer, tokens)
    classifier = as_classifier(model, normalize)
    batch = classifier.load_batch(image)
    if len(batch) != 1:
        raise ValueError(f"{len(batch)} images; give one")
    a = read_channels(classifier, batch, layer, channel_axis)[0].detach().cpu()
    chosen = strongest_inputs(a.unsqueeze(0), top)[0] if channels is None else channels
    indices = resolve_channels(chosen, len(a), layer)
    recipe = provenance(classifier, "hinton_of_activations", layer=layer, channels=list(indices), top=top)
    labels = _channel_labels(classifier, layer, indices, len(a))
    values = a[list(indices)]
    if values.dim() == 3:
        return hinton(values, labels=labels, panels_per_row=min(len(values), MAPS_PER_ROW), recipe=recipe)
    return hinton(values.reshape(len(values), -1), row_labels=labels, recipe=recipe)


def _rank_inputs(values: Tensor, top: int) -> Tensor:
    """Select inputs of weights (O, I, ...): (O, K) for each output; (K,) for all where each weight is one number."""
    if values[0, 0].numel() > 1:
        return strongest_inputs(values, top)
    return strongest_inputs(values.flatten(1).T.unsqueeze(0), top)[0]


def _draw_weights(
    values: Tensor, best: Tensor, row_labels: Sequence[str], before: str, recipe: Mapping[str, Any]
) -> Hinton:
    """Draw weights (O, I, ...) as a table, or as a row of panels for each output."""
    if best.dim() == 1:
        columns = [str(index) for index in best.tolist()]
        return hinton(values.flatten(1)[:, best], row_labels=row_labels, column_labels=columns, recipe=recipe)
    panels = torch.stack([one[some] for one, some in zip(values, best, strict=True)])
    panels = panels.unsqueeze(2) if panels.dim() == 3 else panels
    labels = [f"{before} {index}".strip() for index in best.flatten().tolist()]
    return hinton(panels, labels=labels, row_labels=row_labels, recipe=recipe)


def _channel_labels(classifier: Classifier, layer: str, indices: Sequence[int], count: int) -> list[str]:
    """Labels of the classes where the layer has one channel for each, or else layer and index."""
    labels = classifier.labels
    return [labels[index] if len(labels) == count else f"{layer} {index}".strip() for index in indices]
