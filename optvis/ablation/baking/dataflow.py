"""Which operation feeds which: a network's graph, and what each of its layers gives in it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from optvis.models.hooks import Call

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
FLAT_POOLS = (nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class Flow:
    """A network in eval mode as a graph of operations.

    Args:
        network: whose forward pass does not depend on its input's values.
    """

    def __init__(self, network: nn.Module) -> None:
        tracer = _Tracer()
        self.graph = tracer.trace(network)
        self.given: dict[Call, fx.Node] = tracer.given
        self.calls = tracer.calls
        self.modules = dict(network.named_modules())
        end = next(node for node in self.graph.nodes if node.op == "output").args[0]
        if isinstance(end, fx.Node):
            self.given[network, 0] = end
        self.shared = _shared(network) | {str(node.target) for node in self.graph.nodes if node.op == "get_attr"}

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module of which a node is a call, where nothing hangs on it that may change what it gives."""
        found = self.modules[str(node.target)] if node.op == "call_module" else None
        return None if found is None or found._forward_hooks or found._forward_pre_hooks else found

    def own(self, node: fx.Node, kinds: tuple[type[nn.Module], ...]) -> Any:
        """A node's module, where it is exactly of such a kind and its weights serve this node alone."""
        module = self.module(node)
        if module is None or type(module) not in kinds or self.calls[module] > 1:
            return None
        if any(f"{node.target}.{name}" in self.shared for name, _ in module.named_parameters()):
            return None
        return module if type(module) in BATCH_NORMS or "weight" in module._parameters else None

    def source(self, node: fx.Node) -> fx.Node | None:
        """The one node that feeds another, where it feeds nothing else."""
        feeding = node.all_input_nodes
        return feeding[0] if len(feeding) == 1 and set(feeding[0].users) == {node} else None

    def channels(self, node: fx.Node) -> int | None:
        """How many channels a node gives, where that can be told."""
        module = self.module(node)
        if isinstance(module, nn.Linear):
            return module.out_features
        if isinstance(module, CONVOLUTIONS):
            return module.out_channels
        if is_cat(node):
            counts = [self.channels(part) for part in node.all_input_nodes]
            return None if None in counts else sum(count for count in counts if count is not None)
        if function(node) in MATCHING:
            return self.agreed([self.channels(part) for part in node.all_input_nodes])
        keeps = self.is_pointwise(node) or self.is_pooling(node) or type(module) in BATCH_NORMS
        keeps = keeps or (is_flattening(self, node) and self.is_single(node.all_input_nodes[0]))
        return self.channels(node.all_input_nodes[0]) if keeps else None

    def axes(self, node: fx.Node) -> int | None:
        """How many axes a node gives, where that can be told."""
        module = self.module(node)
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, *FLAT_POOLS)):
            return 4
        if isinstance(module, nn.Conv1d):
            return 3
        if is_flattening(self, node) or is_mean(node):
            return 2
        if function(node) in MATCHING:
            return self.agreed([self.axes(part) for part in node.all_input_nodes])
        keeps = (
            isinstance(module, nn.Linear | nn.BatchNorm1d)
            or is_cat(node)
            or self.is_pointwise(node)
            or self.is_pooling(node)
        )
        return self.axes(node.all_input_nodes[0]) if keeps else None

    def agreed(self, counts: list[int | None]) -> int | None:
        """What all say; None where they do not."""
        return counts[0] if len(set(counts)) == 1 else None

    def is_single(self, node: fx.Node) -> bool:
        """Whether a node gives one position a channel."""
        module = self.module(node)
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            return module.output_size in (1, (1, 1))
        if function(node) is F.adaptive_avg_pool2d:
            return node.args[1] in (1, (1, 1))
        return self.is_pointwise(node) and self.is_single(node.all_input_nodes[0])

    def is_pointwise(self, node: fx.Node) -> bool:
        """Whether each number that a node gives depends on one number alone, in eval mode."""
        known = type(self.module(node)) in (*POINTWISE, *PASSING) or function(node) in FUNCTIONS
        return known and len(node.all_input_nodes) == 1

    def is_passing(self, node: fx.Node) -> bool:
        """Whether a node gives what it gets, in eval mode."""
        return type(self.module(node)) in PASSING or function(node) is passed

    def is_pooling(self, node: fx.Node) -> bool:
        return type(self.module(node)) in FLAT_POOLS or function(node) in (F.adaptive_avg_pool2d, F.max_pool2d)

    def is_averaging(self, node: fx.Node) -> bool:
        """Whether each number that a node gives is a mean of numbers of its own channel, border included."""
        module = self.module(node)
        if isinstance(module, nn.AvgPool2d):
            return module.padding in (0, (0, 0)) and module.divisor_override is None
        return isinstance(module, nn.AdaptiveAvgPool2d) or function(node) is F.adaptive_avg_pool2d or is_mean(node)

    def applied(self, node: fx.Node, numbers: Tensor) -> Tensor:
        """What a pointwise node makes of numbers."""
        if self.is_passing(node):
            return numbers
        module = self.module(node)
        if module is not None:
            return module(numbers.clone())  # type: ignore[no-any-return]
        done = FUNCTIONS[node.target]
        return done(numbers.clone(), *node.args[1:], **dict(node.kwargs))


def function(node: fx.Node) -> Any:
    """The function that a node calls, or the name of the method."""
    return node.target if node.op in ("call_function", "call_method") else None


def is_cat(node: fx.Node) -> bool:
    return function(node) in (torch.cat, torch.concat) and bool(node.args) and not isinstance(node.args[0], fx.Node)


def cat_axis(node: fx.Node) -> Any:
    return node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)


def is_mean(node: fx.Node) -> bool:
    """Whether a node gives the mean of each channel over the positions of a map."""
    if function(node) not in ("mean", torch.mean) or dict(node.kwargs).get("keepdim", False) or len(node.args) > 2:
        return False
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return isinstance(dims, Iterable) and sorted(dims) in ([2, 3], [-2, -1])


def is_flattening(flow: Flow, node: fx.Node) -> bool:
    """Whether a node lays all axes but the first in one."""
    module = flow.module(node)
    if isinstance(module, nn.Flatten):
        return (module.start_dim, module.end_dim) == (1, -1)
    return function(node) in ("flatten", torch.flatten) and node.args[1:] in ((1,), (1, -1)) and not node.kwargs


def is_in_place(flow: Flow, node: fx.Node) -> bool:
    """Whether an operation may write into what it gets."""
    module, name = flow.module(node), str(getattr(node.target, "__name__", node.target))
    inplace = getattr(module, "inplace", False) or node.kwargs.get("inplace", False)
    return bool(inplace) or (node.op != "call_module" and (name.endswith("_") or name.startswith("i")))


def passed(x: Any) -> Any:
    """What it got: where a module only passes on, it still has a place of its own in the graph."""
    return x


POINTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh),
)
MATCHING = (operator.add, operator.iadd, operator.mul, operator.imul, torch.add, torch.mul)
PASSING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    passed: passed,
    **dict.fromkeys(("relu", "relu_", torch.relu, torch.relu_, F.relu), F.relu),
    **{each: each for each in (F.relu6, F.gelu, F.silu, F.leaky_relu, torch.sigmoid, torch.tanh)},
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


class _Tracer(fx.Tracer):
    """Notes which node is the output of which call of which module."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[Call, fx.Node] = {}
        self.calls: dict[nn.Module, int] = {}
        self.born: dict[fx.Node, int] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """What holds no other module may do to numbers what it likes."""
        return super().is_leaf_module(m, module_qualified_name) or next(m.children(), None) is None

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        self.born[node] = len(self.born)
        return node

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        before = len(self.born)
        output = super().call_module(m, forward, args, kwargs)
        if isinstance(output, fx.Proxy) and self.born[output.node] < before:
            output = self.create_proxy("call_function", passed, (output,), {})
        call = self.calls.get(m, 0)
        self.calls[m] = call + 1
        if isinstance(output, fx.Proxy):
            self.given[m, call] = output.node
        return output


class CallTracer(fx.Tracer):
    """Looks only into modules that hold a certain one, down to its calls."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m is self.inner or self.inner not in set(m.modules())


def _shared(network: nn.Module) -> set[str]:
    """Parameters that two modules hold."""
    names: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    several: Collection[list[str]] = [alike for alike in names.values() if len(alike) > 1]
    return {name for alike in several for name in alike}


__all__ = ["CallTracer", "Flow"]
