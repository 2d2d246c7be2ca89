"""Modules that switch units off, put behind a layer where no weights can."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from optvis.ablation.baking.dataflow import CallTracer
from optvis.features.units import Channels, Directions, Units
from optvis.models.hooks import Call
from optvis.objectives.layout import channels_first, restore_layout


class ChannelsOff(nn.Module):
    """Channels of what it gets, constant: what `Channels.replace` gives, as a module."""

    indices: Tensor
    values: Tensor

    def __init__(self, units: Channels, fill: float | Tensor, like: Tensor) -> None:
        super().__init__()
        self.channel_axis, self.layer, self.highest = units.channel_axis, units.layer, max(units.indices, default=-1)
        if isinstance(fill, Tensor):
            units.mask(len(fill))
        indices = torch.tensor(units.indices, dtype=torch.long)
        values = fill.cpu()[indices] if isinstance(fill, Tensor) else torch.full((len(units),), fill)
        self.register_buffer("indices", indices.to(like.device))
        self.register_buffer("values", values.to(like))

    def forward(self, a: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)

        Raises:
            IndexError: a channel that the layer does not have.
        """
        laid = channels_first(a, self.channel_axis)
        if self.highest >= laid.shape[1]:
            raise IndexError(f"channel {self.highest} of {self.layer!r}, which has 0..{laid.shape[1] - 1}")
        values = self.values.to(laid).view(1, -1, *[1] * (laid.dim() - 2))
        filled = values.expand(laid.shape[0], -1, *laid.shape[2:])
        return restore_layout(laid.index_copy(1, self.indices, filled), a, self.channel_axis)


class DirectionsOff(nn.Module):
    """Directions of what it gets, constant: what `Directions.replace` gives, as a module."""

    basis: Tensor
    along: Tensor

    def __init__(self, units: Directions, fill: float | Tensor, like: Tensor) -> None:
        super().__init__()
        self.channel_axis, self.layer = units.channel_axis, units.layer
        basis = units.orthonormal_basis
        along = basis @ torch.as_tensor(fill, dtype=basis.dtype, device=basis.device).expand(basis.shape[1])
        self.register_buffer("basis", basis.to(like))
        self.register_buffer("along", along.to(like))

    def forward(self, a: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)

        Raises:
            ValueError: directions of another length than the layer has channels.
        """
        laid = channels_first(a, self.channel_axis)
        if self.basis.shape[1] != laid.shape[1]:
            count = self.basis.shape[1]
            raise ValueError(f"directions of {count} numbers in {self.layer!r}, which has {laid.shape[1]} channels")
        basis = self.basis.to(laid)
        excess = laid.movedim(1, -1) @ basis.T - self.along.to(laid)
        return restore_layout(laid - (excess @ basis).movedim(-1, 1), a, self.channel_axis)


class Followed(nn.Module):
    """A layer, and what is done to its output; has the layer's attributes."""

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


def switch(units: Units, fill: float | Tensor, like: Tensor) -> nn.Module:
    """A module that does to its input what blinding does to these units; its numbers lie and are typed like a tensor.

    Raises:
        IndexError: a fill that has no number for a channel.
    """
    return ChannelsOff(units, fill, like) if isinstance(units, Channels) else DirectionsOff(units, fill, like)


def inserted(network: nn.Module, place: Call, calls: int, off: nn.Module) -> nn.Module:
    """The network with a module behind one call of one of its layers.

    Args:
        network: changed in place.
        place: a module, and which of its calls.
        calls: how often the module runs in a pass.
        off: what follows it.

    Raises:
        ValueError: of several calls, where no module that makes them can be traced.
    """
    module, call = place
    if calls > 1:
        return _graph_with(network, module, call, calls, off)
    return _put(network, module, Followed(module, off))


def _graph_with(network: nn.Module, module: nn.Module, call: int, calls: int, off: nn.Module) -> nn.Module:
    """The innermost module that makes all calls is replaced by its graph, with one node more."""
    path = next(name for name, found in network.named_modules() if found is module)
    parts = path.split(".")
    for end in range(len(parts) - 1, -1, -1):
        caller = network.get_submodule(".".join(parts[:end]))
        try:
            graph = CallTracer(module).trace(caller)
        except Exception:  # whatever a forward pass does to something that is no tensor
            continue
        names = {name for name, found in caller.named_modules(remove_duplicate=False) if found is module}
        nodes = [node for node in graph.nodes if node.op == "call_module" and node.target in names]
        if len(nodes) == calls:
            return _put(network, caller, _with_node(caller, graph, nodes[call], off))
    raise ValueError(
        f"{path!r} runs {calls} times, and what calls it cannot be traced: nothing can be put behind one call alone; "
        "use blinded()"
    )


def _with_node(caller: nn.Module, graph: fx.Graph, node: fx.Node, off: nn.Module) -> nn.Module:
    name = str(node.target).replace(".", "_") + "_off"
    while hasattr(caller, name):
        name += "_"
    caller.add_module(name, off)
    with graph.inserting_after(node):
        new = graph.call_module(name, (node,))
    node.replace_all_uses_with(new, delete_user_cb=lambda user: user is not new)
    made = fx.GraphModule(caller, graph)
    made.training = caller.training
    return made


def _put(network: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """The network with one module in place of another, under all its names."""
    if old is network:
        return new
    for parent in list(network.modules()):
        if parent is not new:
            for name, child in parent.named_children():
                if child is old:
                    setattr(parent, name, new)
    return network
