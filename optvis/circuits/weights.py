"""What a layer makes of an earlier one: weights as they are stored, and expanded over all that lies between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.layers import find_module
from optvis.models.normalize import INFER, Normalizer
from optvis.models.overrides.linear import linearize
from optvis.models.tail import Tail
from optvis.objectives.layout import channels_first
from optvis.objectives.target_tensors import as_index

ChosenChannels: TypeAlias = int | Iterable[int] | Tensor | None


def weights(model: nn.Module | Classifier, layer: str, channels: ChosenChannels = None) -> Tensor:
    """The weights that a layer holds itself: a copy, on the CPU.

    Args:
        model: a network, or a Classifier.
        layer: name of a convolution, a linear layer or any other module with a `weight` of two axes or more.
        channels: which of its outputs; by default all.

    Returns:
        (O, I) of a linear layer, (O, I, h, w) of a convolution; in a convolution with groups, I counts the inputs of a
        group.

    Raises:
        KeyError: no such layer; the nearest are named.
        ValueError: it has no such weights, and those inside it that have are named; a transposed convolution in groups.
        IndexError: a channel that it does not have.

    Example:
        >>> from optvis import load
        >>> weights(load(), "mixed3.0", [4, 17]).shape
        torch.Size([2, 48, 3, 3])
    """
    module, _ = find_module(model.network if isinstance(model, Classifier) else model, layer)
    if not _has_weights(module):
        raise ValueError(f"{layer!r} is a {type(module).__name__}, without weights of its own{_inside(module, layer)}")
    if isinstance(module, nn.modules.conv._ConvTransposeNd) and module.groups > 1:
        raise ValueError(f"{layer!r} is a transposed convolution in {module.groups} groups, which has no (O, I, h, w)")
    held: Tensor = module.weight.detach()  # type: ignore[operator]
    outputs = held.transpose(0, 1) if isinstance(module, nn.modules.conv._ConvTransposeNd) else held
    return outputs[list(chosen_channels(channels, len(outputs), layer))].cpu().clone()


def expanded_weights(
    model: nn.Module | Classifier,
    before: str,
    after: str,
    channels: ChosenChannels = None,
    *,
    position: tuple[int, ...] | None = None,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
) -> Tensor:
    """What the weights between two layers say together: ∂after[position] / ∂before, with activation functions left out.

    Voss et al., "Visualizing Weights", Distill 2021, doi:10.23915/distill.00024.007. Of two convolutions with a ReLU
    between them it is the composition of their kernels; of one alone, its own kernel. Max pooling averages. For a
    network of convolutions, pooling, sums and batch normalisation it is the same whatever the image; around attention
    and normalisation by the input's own statistics it holds for one image of noise, of the network's size.

    Args:
        model: a network, or a Classifier.
        before: the earlier layer, as in `layers(net)`.
        after: the later one.
        channels: which of the later layer's; by default all, one backward pass each.
        position: of the later layer, an index for each of its axes; by default the middle one, H // 2, W // 2.
        normalize: see `render`; by default what the model carries.
        channel_axis: axis of the channels in both layers' outputs; by default the second, or the last of three.

    Returns:
        (O, I, h, w): for each chosen channel and each of the earlier layer's, weights over positions, cut down to the
        rows and columns that hold any; on the CPU. (O, I) where the earlier layer has no positions, (O, I, T) where
        they are tokens.

    Raises:
        KeyError: no such layer; the nearest are named.
        ValueError: the layers are given in the wrong order, or the later one does not depend on the other.
        IndexError: a channel or a position that the later layer does not have.

    Example:
        >>> from optvis import load
        >>> expanded_weights(load(), "mixed3", "mixed4", [3, 17]).shape
        torch.Size([2, 80, 10, 10])
    """
    classifier = as_classifier(model, normalize)
    noise = torch.rand((1, 3, *classifier.size), generator=torch.Generator().manual_seed(0))
    inputs = classifier.preprocess(noise.to(classifier.device))
    with borrow(classifier.network), linearize():
        _check_order(classifier.network, inputs, before, after)
        tail = Tail(classifier.network, inputs, inputs, before)
        start = tail.activations.detach().requires_grad_()
        with torch.enable_grad():
            end = channels_first(tail.run(start, [after])[after], channel_axis)[0]
        place = _place(end.shape[1:], position, after)
        chosen = chosen_channels(channels, len(end), after)
        gradients = [_gradient(end[(channel, *place)], start, before, after) for channel in chosen]
    return _cut(torch.stack([channels_first(one, channel_axis)[0].cpu() for one in gradients]))


def strongest(expanded: Tensor, count: int) -> Tensor:
    """The inputs that matter most to each output: those whose weights have the largest norm.

    Args:
        expanded: weights, (O, I, ...).
        count: how many, K; at most I are given.

    Returns:
        their indices, (O, K), strongest first.

    Raises:
        ValueError: count under 1.

    Example:
        >>> strongest(torch.tensor([[0.0, -3.0, 1.0]]), 2)
        tensor([[1, 2]])
    """
    if count < 1:
        raise ValueError(f"count is {count}; expected 1 or more")
    norms = torch.linalg.vector_norm(expanded.flatten(2) if expanded.dim() > 2 else expanded.unsqueeze(2), dim=2)
    best: Tensor = norms.topk(min(count, norms.shape[1]), dim=1).indices
    return best


def chosen_channels(channels: ChosenChannels, count: int, layer: str) -> tuple[int, ...]:
    """Which of so many channels; None is all.

    Raises:
        IndexError: one that the layer does not have.
    """
    if channels is None:
        return tuple(range(count))
    chosen: tuple[int, ...] = tuple(as_index(channels, "channel").tolist())
    for channel in chosen:
        if not 0 <= channel < count:
            raise IndexError(f"channel {channel} of {layer!r}, which has 0..{count - 1}")
    return chosen


def _has_weights(module: nn.Module) -> bool:
    held = getattr(module, "weight", None)
    return isinstance(held, Tensor) and held.dim() >= 2


def _inside(module: nn.Module, layer: str) -> str:
    names = [f"{layer}.{name}" if layer else name for name, inner in module.named_modules() if _has_weights(inner)]
    return f"; inside it: {', '.join(map(repr, names[:4]))}" if names else "; name a convolution or a linear layer"


def _check_order(network: nn.Module, inputs: Tensor, before: str, after: str) -> None:
    if before == after:
        raise ValueError(f"both layers are {before!r}; give an earlier and a later one")
    with torch.no_grad():
        finished = list(read_activations(network, inputs, [before, after]))
    if finished != [before, after]:
        raise ValueError(f"{after!r} finishes before {before!r}; give the earlier layer first: {after!r}, {before!r}")


def _place(sides: torch.Size, position: tuple[int, ...] | None, layer: str) -> tuple[int, ...]:
    """The position that was asked for, or the middle one."""
    if position is None:
        return tuple(side // 2 for side in sides)
    if len(position) != len(sides) or not all(0 <= at < side for at, side in zip(position, sides, strict=True)):
        raise IndexError(f"position {position} of {layer!r}, which has {' × '.join(map(str, sides)) or 'none'}")
    return position


def _gradient(number: Tensor, start: Tensor, before: str, after: str) -> Tensor:
    (found,) = (
        torch.autograd.grad(number, start, retain_graph=True, allow_unused=True) if number.requires_grad else (None,)
    )
    if found is None:
        raise ValueError(f"{after!r} does not depend on {before!r}; they lie on different branches")
    gradient: Tensor = found
    return gradient


def _cut(expanded: Tensor) -> Tensor:
    """Without the rows and columns at the rim that hold nothing; one of each is left where nothing does."""
    touched = expanded.ne(0).flatten(0, 1).any(0)
    places = touched.nonzero() if touched.any() else torch.zeros(1, touched.dim(), dtype=torch.long)
    for axis, (first, last) in enumerate(zip(places.amin(0).tolist(), places.amax(0).tolist(), strict=True)):
        expanded = expanded.narrow(axis + 2, first, last + 1 - first)
    return expanded.clone()


__all__ = ["expanded_weights", "strongest", "weights"]
