"""Weights between layers: as they are stored, and expanded over all layers in between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from optvis.arguments import check_axes, check_minimum
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode, require_weights
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.layers import find_module
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.finite import check_finite
from optvis.models.overrides.linear import linearize
from optvis.models.tail import Tail
from optvis.objectives.layout import channels_first, name_tokens
from optvis.objectives.target_tensors import as_index

ChannelIndices: TypeAlias = int | Iterable[int] | Tensor | None


def weights(model: nn.Module | Classifier, layer: str, channels: ChannelIndices = None) -> Tensor:
    """Copy the stored weights of a layer to the CPU.

    Args:
        model: a network, or a Classifier.
        layer: name of a convolution, a linear layer or any other module with a `weight` of two axes or more.
        channels: indices of output channels; by default all.

    Returns:
        (O, I) of a linear layer, (O, I, h, w) of a convolution; in a convolution with groups, I counts the inputs of
        one group.

    Raises:
        KeyError: there is no such layer; the nearest names are given.
        ValueError: the layer has no weights of its own; modules inside it that have are named; a transposed
            convolution in groups.
        IndexError: a channel that the layer does not have.

    Example:
        >>> from optvis import load
        >>> weights(load(), "mixed3.0", [4, 17]).shape
        torch.Size([2, 48, 3, 3])
    """
    module, _ = find_module(model.network if isinstance(model, Classifier) else model, layer)
    require_weights(module)
    if not _has_weights(module):
        kind = type(module).__name__
        raise ValueError(f"{layer!r} is a {kind}, without weights of its own{_inner_hint(module, layer)}")
    if isinstance(module, nn.modules.conv._ConvTransposeNd) and module.groups > 1:
        raise ValueError(f"{layer!r} is a transposed convolution in {module.groups} groups, which has no (O, I, h, w)")
    weight = _read_weight(module)
    outputs = weight.transpose(0, 1) if isinstance(module, nn.modules.conv._ConvTransposeNd) else weight
    return outputs[list(resolve_channels(channels, len(outputs), layer))].cpu().clone()


@plain_mode()
def expanded_weights(
    model: nn.Module | Classifier,
    before: str,
    after: str,
    channels: ChannelIndices = None,
    *,
    position: tuple[int, ...] | None = None,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    tokens: str | None = None,
) -> Tensor:
    """Combine all weights between two layers: ∂after[position] / ∂before, with activation functions left out.

    Voss et al., "Visualizing Weights", Distill 2021, doi:10.23915/distill.00024.007. For two convolutions with a ReLU
    between them this is the composition of their kernels; for one convolution, its kernel. Max pooling averages. For a
    network of convolutions, pooling, sums and batch normalisation the result does not depend on the image; around
    attention and normalisation by the input's own statistics it holds for one image of noise, of the network's size.

    Args:
        before: the earlier layer, as in `layers(net)`.
        after: the later layer.
        channels: indices of the later layer's channels; by default all, one backward pass each.
        position: of the later layer, an index for each of its axes; by default the middle one, H // 2, W // 2.
        channel_axis: axis of the channels in both layers' outputs; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default, as a map; "class", "registers" or "all" in a row.
        model, normalize: see `render`.

    Returns:
        (O, I, h, w): for each chosen channel and each of the earlier layer's, weights over positions, without the
        outer rows and columns that are zero; on the CPU. (O, I) where the earlier layer has no positions, (O, I, T)
        where they are tokens.

    Raises:
        KeyError: there is no such layer; the nearest names are given.
        ValueError: the layers are given in the wrong order, or the later one does not depend on the earlier one.
        IndexError: a channel or a position that the later layer does not have.
        NotFiniteError: the network's weights, or these, are NaN or infinite.

    Example:
        >>> from optvis import load
        >>> expanded_weights(load(), "mixed3", "mixed4", [3, 17]).shape
        torch.Size([2, 80, 10, 10])
    """
    before, after = name_tokens(before, tokens), name_tokens(after, tokens)
    classifier = as_classifier(model, normalize)
    inputs = classifier.preprocess(classifier.noise_image())
    with borrow(classifier.network), linearize():
        _check_order(classifier.network, inputs, before, after)
        tail = Tail(classifier.network, inputs, inputs, before)
        start = tail.activations.detach().requires_grad_()
        with torch.enable_grad():
            end = channels_first(tail.run(start, [after])[after], channel_axis)[0]
        position = _resolve_position(end.shape[1:], position, after)
        indices = resolve_channels(channels, len(end), after)
        gradients = [_gradient(end[(index, *position)], start, before, after) for index in indices]
        expanded = torch.stack([channels_first(one, channel_axis)[0] for one in gradients])
        check_finite(expanded, f"the weights from {before!r} to {after!r}", classifier.network, inputs)
    return _trim_zeros(expanded.cpu())


def strongest_inputs(weights: Tensor, count: int) -> Tensor:
    """Select the inputs with the largest norm of weights for each output.

    Args:
        weights: (O, I, ...).
        count: how many, K; at most I are returned.

    Raises:
        ValueError: weights of other axes, NaN or infinite ones; a count under 1.

    Returns:
        Indices (O, K), the largest norm first.

    Example:
        >>> strongest_inputs(torch.tensor([[0.0, -3.0, 1.0]]), 2)
        tensor([[1, 2]])
    """
    check_axes({"weights": weights}, "O I ...: finite float")
    check_minimum(1, count=count)
    norms = torch.linalg.vector_norm(weights.flatten(2) if weights.dim() > 2 else weights.unsqueeze(2), dim=2)
    best: Tensor = norms.topk(min(count, norms.shape[1]), dim=1).indices
    return best


def resolve_channels(channels: ChannelIndices, count: int, layer: str) -> tuple[int, ...]:
    """Return indices of channels as a tuple; None stands for all. IndexError for one that the layer does not have."""
    if channels is None:
        return tuple(range(count))
    indices: tuple[int, ...] = tuple(as_index(channels, "channel").tolist())
    for index in indices:
        if not 0 <= index < count:
            raise IndexError(f"channel {index} of {layer!r}, which has 0..{count - 1}")
    return indices


def _has_weights(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.dim() >= 2


def _read_weight(module: Any) -> Tensor:
    """The weights that a module computes with: where peft has added low ranks to it, with these."""
    weight: Tensor = module.weight.detach()
    if not hasattr(module, "get_delta_weight") or module.merged or module.disable_adapters:
        return weight
    adapters = set(module.active_adapters) & set(getattr(module, "lora_A", ()))
    added = [module.get_delta_weight(name).detach() for name in sorted(adapters)]
    return torch.stack([weight, *(one.to(weight) for one in added)]).sum(0)


def _inner_hint(module: nn.Module, layer: str) -> str:
    """The cure in an error message: modules inside this one that have weights."""
    names = [f"{layer}.{name}" if layer else name for name, inner in module.named_modules() if _has_weights(inner)]
    return f"; inside it: {', '.join(map(repr, names[:4]))}" if names else "; name a convolution or a linear layer"


def _check_order(network: nn.Module, inputs: Tensor, before: str, after: str) -> None:
    if before == after:
        raise ValueError(f"both layers are {before!r}; give an earlier and a later one")
    with torch.no_grad():
        order = list(read_activations(network, inputs, [before, after]))
    if order != [before, after]:
        raise ValueError(f"{after!r} finishes before {before!r}; give the earlier layer first: {after!r}, {before!r}")


def _resolve_position(sides: torch.Size, position: tuple[int, ...] | None, layer: str) -> tuple[int, ...]:
    """Check a position; None stands for the middle one."""
    if position is None:
        return tuple(side // 2 for side in sides)
    if len(position) != len(sides) or not all(0 <= at < side for at, side in zip(position, sides, strict=True)):
        raise IndexError(f"position {position} of {layer!r}, which has {' × '.join(map(str, sides)) or 'none'}")
    return position


def _gradient(number: Tensor, start: Tensor, before: str, after: str) -> Tensor:
    gradient: Tensor | None = None
    if number.requires_grad:
        (gradient,) = torch.autograd.grad(number, start, retain_graph=True, allow_unused=True)
    if gradient is None:
        raise ValueError(
            f"{after!r} does not depend on {before!r}: they lie on different branches, or what lies between "
            "has no gradients, such as quantised modules"
        )
    return gradient


def _trim_zeros(expanded: Tensor) -> Tensor:
    """Remove outer rows and columns that are zero everywhere; one of each remains where all are."""
    nonzero = expanded.ne(0).flatten(0, 1).any(0)
    places = nonzero.nonzero() if nonzero.any() else torch.zeros(1, nonzero.dim(), dtype=torch.long, device="cpu")
    for axis, (first, last) in enumerate(zip(places.amin(0).tolist(), places.amax(0).tolist(), strict=True)):
        expanded = expanded.narrow(axis + 2, first, last + 1 - first)
    return expanded.clone()
