"""Modules that switch units off, inserted behind a layer where no weights can do it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from optvis.ablation.baking.dataflow import CallTracer
from optvis.ablation.fills import Constant, Scaled, check_length
from optvis.features.projection import AffineUnits, Projection
from optvis.features.units import Channels, Directions
from optvis.models.adapted.single import replace_single, single_tensor
from optvis.models.hooks import Call
from optvis.models.outputs.tokens import replace_span
from optvis.objectives.layout import channels_first, restore_layout


class ChannelsOff(nn.Module):
    """Set channels of the input to constants, or scale them: what `Channels.replace` computes, as a module."""

    indices: Tensor
    values: Tensor

    def __init__(self, units: Channels, fill: Constant | Scaled, like: Tensor) -> None:
        super().__init__()
        self.channel_axis, self.layer, self.highest = units.channel_axis, units.layer, max(units.indices, default=-1)
        self.factor, constant = fill.factor, fill.values
        self.numbers = len(constant) if isinstance(constant, Tensor) else None  # of the fill, for each channel
        if isinstance(constant, Tensor):
            units.mask(len(constant))
        indices = torch.tensor(units.indices, dtype=torch.long, device="cpu")
        everywhere = torch.as_tensor(constant, dtype=torch.float64, device="cpu")
        values = constant.cpu()[indices] if isinstance(constant, Tensor) else everywhere.expand(len(units))
        self.register_buffer("indices", indices.to(like.device))
        self.register_buffer("values", values.to(like))

    def forward(self, a: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)"""
        x = channels_first(a, self.channel_axis)
        if self.highest >= x.shape[1]:
            raise IndexError(f"channel {self.highest} of {self.layer!r}, which has 0..{x.shape[1] - 1}")
        if self.numbers is not None:
            check_length(self.numbers, x.shape[1])
        values = self.values.to(x).view(1, -1, *[1] * (x.dim() - 2))
        expanded = values.expand(x.shape[0], -1, *x.shape[2:])
        if self.factor:
            expanded = expanded + self.factor * x.index_select(1, self.indices)
        return restore_layout(x.index_copy(1, self.indices, expanded), a, self.channel_axis)


class DirectionsOff(nn.Module):
    """Set the input's part along directions to a constant, or scale it: what `replace` of the units computes."""

    vectors: Tensor
    readers: Tensor
    along: Tensor

    def __init__(self, units: Directions | Projection, fill: Constant | Scaled, like: Tensor) -> None:
        super().__init__()
        self.channel_axis, self.layer, self.removed = units.channel_axis, units.layer, 1 - fill.factor
        if isinstance(units, Directions):
            vectors = readers = units.orthonormal_basis
        else:
            vectors, readers = units.vectors, units.readers
        if isinstance(fill.values, Tensor):
            check_length(len(fill.values), readers.shape[1])
        constant = torch.as_tensor(fill.values, dtype=readers.dtype, device=readers.device)
        self.register_buffer("vectors", vectors.to(like))
        self.register_buffer("readers", readers.to(like))
        self.register_buffer("along", (readers @ constant.expand(readers.shape[1])).to(like))

    def forward(self, a: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)"""
        x = channels_first(a, self.channel_axis)
        count = self.readers.shape[1]
        if count != x.shape[1]:
            raise ValueError(f"directions of {count} numbers in {self.layer!r}, which has {x.shape[1]} channels")
        excess = self.removed * (x.movedim(1, -1) @ self.readers.to(x).T) - self.along.to(x)
        return restore_layout(x - (excess @ self.vectors.to(x)).movedim(-1, 1), a, self.channel_axis)


class OnTokens(nn.Module):
    """Apply a module to some successive tokens of its input, (B, T, C)."""

    def __init__(self, off: nn.Module, span: tuple[int, int | None]) -> None:
        super().__init__()
        self.off, self.span = off, span

    def forward(self, a: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        first, last = self.span
        return replace_span(a, self.span, self.off(a[:, first:last]))


class AllOff(nn.Sequential):
    """Modules that switch units of one layer off, one after the other; of an output that holds one tensor, in that."""

    def forward(self, output: Any) -> Any:
        """A tensor (B, ...), or a tuple, dict or object that holds one -> the same."""
        return replace_single(output, super().forward(single_tensor(output)))  # type: ignore[no-untyped-call]


class LayerWithout(nn.Module):
    """A layer followed by a module that switches units of its output off; has the layer's attributes."""

    def __init__(self, layer: nn.Module, off: nn.Module) -> None:
        super().__init__()
        self.layer, self.off = layer, off

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.off(self.layer(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)


def build_off_module(
    units: AffineUnits, fill: Constant | Scaled, like: Tensor, span: tuple[int, int | None] | None
) -> nn.Module:
    """Build a module that switches units of its input off, with buffers of the device and dtype of `like`.

    Args:
        units, fill, like: what is replaced, and by what.
        span: the tokens in which it is, where it is not everywhere.
    """
    off = ChannelsOff(units, fill, like) if isinstance(units, Channels) else DirectionsOff(units, fill, like)
    return off if span is None else OnTokens(off, span)


def insert_module(network: nn.Module, place: Call, calls: int, off: nn.Module) -> nn.Module:
    """Insert a module behind one call of one of the network's layers.

    Args:
        network: changed in place.
        place: a module, and the number of its call.
        calls: how often the module runs in one forward pass.
        off: the module to insert.

    Returns:
        The network, or the module that takes its place.
    """
    if calls > 1:
        return _insert_into_graph(network, *place, calls, off)
    return _replace_module(network, place[0], LayerWithout(place[0], off))


def _insert_into_graph(network: nn.Module, module: nn.Module, call: int, calls: int, off: nn.Module) -> nn.Module:
    """Replace the innermost module that makes all calls by its graph with one more node."""
    path = next(name for name, found in network.named_modules() if found is module)
    parts = path.split(".")
    reason: Exception | None = None
    for end in range(len(parts) - 1, -1, -1):
        caller = network.get_submodule(".".join(parts[:end]))
        try:
            graph = CallTracer(module).trace(caller)
        except Exception as error:  # a forward pass may raise anything for something that is no tensor
            reason = reason or error  # of the innermost
            continue
        names = {name for name, found in caller.named_modules(remove_duplicate=False) if found is module}
        nodes = [node for node in graph.nodes if node.op == "call_module" and node.target in names]
        if len(nodes) == calls:
            return _replace_module(network, caller, _insert_node(caller, graph, nodes[call], off))
    said = f" ({type(reason).__name__}: {reason})" if reason else ""
    raise ValueError(
        f"{path!r} runs {calls} times, and the module that calls it cannot be traced{said}, so nothing can be inserted "
        "behind one call alone; use blinded()"
    ) from reason


def _insert_node(caller: nn.Module, graph: fx.Graph, node: fx.Node, off: nn.Module) -> nn.Module:
    name = str(node.target).replace(".", "_") + "_off"
    while hasattr(caller, name):
        name += "_"
    caller.add_module(name, off)
    with graph.inserting_after(node):
        new = graph.call_module(name, (node,))
    node.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
    module = fx.GraphModule(caller, graph)
    hooks = {key: value for key, value in vars(caller).items() if key.startswith(("_forward", "_backward"))}
    vars(module).update(hooks, training=caller.training)
    return module


def _replace_module(network: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """Put one module in the place of another, under all its names, and return the network."""
    if old is network:
        return new
    for parent in list(network.modules()):
        if parent is not new:
            for name, child in parent.named_children():
                if child is old:
                    setattr(parent, name, new)
    return network
