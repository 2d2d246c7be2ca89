"""Layouts of activations: which axis holds the channels, and how to select a channel or position per image."""

from __future__ import annotations

import torch
from torch import Tensor

IMAGE = "<image>"  #: stands for a layer: the image before transforms, (B, 3, H, W) in [0, 1]
OUTPUT = ""  #: the network's own output: the name of the root in named_modules()
INPUT = "@input"  #: after a layer's name: what the layer takes instead of what it gives, "bn1@input"

HEADS = "@heads"  #: after an attention's name: what its heads give, before it is mixed, with heads as the channels
#: Which tokens of a transformer are meant; after a layer's name as in "blocks.3@class".
PATCHES, CLASS, REGISTERS, ALL = TOKENS = ("patches", "class", "registers", "all")

INSIDE = (INPUT, HEADS)  #: ends of names whose tensor goes into a module

_CHANNELS = "channel_axis_of_layer"  # the attribute of activations whose channel axis is certain
_INTEGERS = (torch.int32, torch.int64)


class PositionError(IndexError):
    """A position that a layer's map does not have."""


def name_call(layer: str, call: int) -> str:
    """The name of a call of a layer, which are counted from 0.

    >>> name_call("relu", 0), name_call("relu", 1)
    ('relu', 'relu#1')
    """
    return f"{layer}#{call}" if call else layer


def name_tokens(layer: str, tokens: str | None) -> str:
    """Name a layer together with the tokens of it that are meant.

    Args:
        layer: name as in `layers(model)`.
        tokens: "patches", the default, as a map with rows and columns; "class", "registers", or "all" in a row.

    Raises:
        ValueError: other tokens; a layer whose name has other tokens already.

    Example:
        >>> name_tokens("blocks.3", "class"), name_tokens("blocks.3", None)
        ('blocks.3@class', 'blocks.3')
    """
    if tokens is None:
        return layer
    if tokens not in TOKENS:
        raise ValueError(f"tokens is {tokens!r}; expected {', '.join(map(repr, TOKENS[:-1]))} or {TOKENS[-1]!r}")
    name, own = split_tokens(layer)
    if own not in (None, tokens):
        raise ValueError(f"tokens is {tokens!r} for the layer {layer!r}, whose name says {own!r}; give one of the two")
    return name if tokens == PATCHES else f"{name}@{tokens}"


def split_tokens(layer: str) -> tuple[str, str | None]:
    """Split the name of a layer from the tokens that are meant, the inverse of `name_tokens`.

    Example:
        >>> split_tokens("blocks.3@class"), split_tokens("norm@input")
        (('blocks.3', 'class'), ('norm@input', None))
    """
    name, mark, tokens = layer.rpartition("@")
    return (name, tokens) if mark and tokens in TOKENS else (layer, None)


def takes_input(layer: str) -> bool:
    """Whether the name of a layer stands for a tensor that goes into a module.

    Example:
        >>> takes_input("bn1@input"), takes_input("attn@heads@class"), takes_input("bn1")
        (True, True, False)
    """
    return split_tokens(layer)[0].endswith(INSIDE)


def channels_first(a: Tensor, channel_axis: int | None = None) -> Tensor:
    """Move the channels of a layer's activations to axis 1: (B, C, ...).

    Args:
        a: (B, C), (B, C, H, W), (B, T, C), or any layout whose channels lie on `channel_axis`.
        channel_axis: the axis of the channels. None takes axis 2 of three axes (tokens of a transformer)
            and axis 1 otherwise; networks that keep channels last (Swin: (B, H, W, C)) need -1.

    Raises:
        ValueError: fewer than two axes, or a `channel_axis` that is the batch's or does not exist, or another one than
            that with which `mark_channels` has marked the activations.
    """
    if a.dim() < 2:
        raise ValueError(f"activations are {tuple(a.shape)}; expected (B, C) or more axes")
    axis = _channels_of(a) if channel_axis is None else channel_axis
    if not -a.dim() <= axis < a.dim() or axis % a.dim() == 0:
        raise ValueError(f"channel_axis={axis} for activations {tuple(a.shape)}; expected 1 to {a.dim() - 1}")
    certain, layer = vars(a).get(_CHANNELS, (None, ""))
    if certain is not None and certain != axis % a.dim():
        place, cure = (
            ("axis 1", "leave channel_axis out") if certain == 1 else ("the last axis", "give channel_axis=-1")
        )
        shape, count = tuple(a.shape), a.shape[certain]
        raise ValueError(
            f"layer {layer!r} gives {shape}: its {count} channels are on {place}, not on axis {axis}; {cure}"
        )
    return a.movedim(axis, 1)


def mark_channels(a: Tensor, axis: int, layer: str) -> None:
    """Mark activations, in place, as those of a layer whose channels are on an axis; what is made of them is not.

    Example:
        >>> import torch
        >>> a = torch.zeros(1, 7, 7, 96)
        >>> mark_channels(a, 3, "norm")
        >>> channels_first(a, -1).shape
        torch.Size([1, 96, 7, 7])
        >>> channels_first(a)
        Traceback (most recent call last):
        ValueError: layer 'norm' gives (1, 7, 7, 96): its 96 channels are on the last axis, not on axis 1; ...
    """
    vars(a)[_CHANNELS] = axis, layer


def restore_layout(a: Tensor, like: Tensor, channel_axis: int | None = None) -> Tensor:
    """Move the channels back to the axis on which the layer has them: the inverse of `channels_first`.

    Args:
        a: (B, C, ...), as `channels_first(like, channel_axis)` returns it.
        like: activations in the layer's own layout.
        channel_axis: as given to `channels_first`.

    Example:
        >>> import torch
        >>> tokens = torch.zeros(2, 16, 5)
        >>> restore_layout(channels_first(tokens), tokens).shape
        torch.Size([2, 16, 5])
    """
    return a.movedim(1, _channels_of(like) if channel_axis is None else channel_axis)


def _channels_of(a: Tensor) -> int:
    """The axis of the channels by default: the last of three, else the second."""
    return 2 if a.dim() == 3 else 1


def positions(a: Tensor, channel_axis: int | None = None) -> Tensor:
    """Flatten a layer's activations to (B images, C channels, P positions).

    Args:
        a: (B, C), (B, C, H, W), (B, T, C), or any layout whose channels lie on `channel_axis`.
        channel_axis: see `channels_first`.

    Example:
        >>> import torch
        >>> positions(torch.zeros(2, 5, 4, 4)).shape, positions(torch.zeros(2, 16, 5)).shape
        (torch.Size([2, 5, 16]), torch.Size([2, 5, 16]))
    """
    a = channels_first(a, channel_axis)
    return a.unsqueeze(2) if a.dim() == 2 else a.flatten(2)


def pick(a: Tensor, index: Tensor, axis: int = 1) -> Tensor:
    """Select one entry along an axis for each image, with one gather.

    Args:
        a: (B, ...).
        index: integers, (B,) or (1,): one per image, or one for all.
        axis: the axis to index; the result does not have it.

    Raises:
        ValueError: another axis, or other indices.
        IndexError: an index outside the axis. Only checked for an index on the CPU, where it needs no
            synchronisation with the device.

    Example:
        >>> import torch
        >>> pick(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0]))
        tensor([2., 3.])
    """
    is_axis = -a.dim() <= axis < a.dim() and axis % a.dim() > 0
    if not is_axis or index.dim() != 1 or len(index) not in (1, len(a)) or index.dtype not in _INTEGERS:
        expected = "an axis of `a` after the first, and one integer per image or one for all"
        given = f"axis {axis} of {tuple(a.shape)}, index of shape {tuple(index.shape)} and {index.dtype}"
        raise ValueError(f"{given}; expected {expected}")
    axis = axis % a.dim()
    shape, size = list(a.shape), a.shape[axis]
    wrong = [i for i in index.tolist() if not 0 <= i < size] if index.device.type == "cpu" else []
    if wrong:
        raise IndexError(f"index {wrong[0]} is outside 0..{size - 1}")
    shape[axis] = 1
    return a.gather(axis, index.long().view(-1, *[1] * (a.dim() - 1)).expand(shape)).squeeze(axis)
