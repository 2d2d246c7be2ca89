"""Data flow: a network as a graph of operations, and the node that each layer's output is in it."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from optvis.ablation.baking.tracer import ModuleTracer
from optvis.models.hooks import Call, has_hooks

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
FLAT_POOLS = (nn.MaxPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class DataFlow:
    """A network in eval mode as a graph of operations.

    Args:
        network: its forward pass must not depend on the values of its input.

    Attributes:
        graph: all operations.
        outputs: the node of each call of a module that returns a tensor.
        calls: how often each module runs.
        modules: by name.
        shared: names of parameters that several modules hold, or that a node reads by itself.
    """

    def __init__(self, network: nn.Module) -> None:
        tracer = _OutputTracer()
        self.graph = tracer.trace(network)
        self.outputs: dict[Call, fx.Node] = tracer.outputs
        self.calls = tracer.calls
        self.modules = dict(network.named_modules())
        end = next(node for node in self.graph.nodes if node.op == "output").args[0]
        if isinstance(end, fx.Node) and not has_hooks(network):
            self.outputs[network, 0] = end
        parameters = list(network.named_parameters(remove_duplicate=False))
        holders = Counter(id(parameter) for _, parameter in parameters)
        self.shared = {name for name, parameter in parameters if holders[id(parameter)] > 1}
        self.shared |= {str(node.target) for node in self.graph.nodes if node.op == "get_attr"}

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls; None for other nodes, and for modules with hooks, which may change outputs."""
        found = self.modules[str(node.target)] if node.op == "call_module" else None
        return None if found is None or has_hooks(found) else found

    def own_module(self, node: fx.Node, kinds: tuple[type[nn.Module], ...]) -> Any:
        """A node's module, if it is exactly of one of these types and no other node uses its weights."""
        module = self.module(node)
        if module is None or type(module) not in kinds or self.calls[module] > 1:
            return None
        if any(f"{node.target}.{name}" in self.shared for name, _ in module.named_parameters()):
            return None
        return module if type(module) in BATCH_NORMS or "weight" in module._parameters else None

    def source(self, node: fx.Node) -> fx.Node | None:
        """The only input of a node, if it is the input of no other node."""
        inputs = node.all_input_nodes
        return inputs[0] if len(inputs) == 1 and set(inputs[0].users) == {node} else None

    def channels(self, node: fx.Node) -> int | None:
        """The number of channels of a node's output; None if unknown."""
        module = self.module(node)
        if isinstance(module, nn.Linear):
            return module.out_features
        if isinstance(module, CONVOLUTIONS):
            return module.out_channels
        if is_cat(node):
            counts = [self.channels(part) for part in node.all_input_nodes]
            return None if None in counts else sum(filter(None, counts))
        if target_function(node) in MATCHING:
            return _common_value([self.channels(part) for part in node.all_input_nodes])
        keeps = self.is_pointwise(node) or self.is_pooling(node) or type(module) in BATCH_NORMS
        keeps = keeps or (is_flattening(self, node) and self.is_single(node.all_input_nodes[0]))
        return self.channels(node.all_input_nodes[0]) if keeps else None

    def axes(self, node: fx.Node) -> int | None:
        """The number of axes of a node's output; None if unknown."""
        module = self.module(node)
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, *FLAT_POOLS)):
            return 4
        if isinstance(module, nn.Conv1d):
            return 3
        if is_flattening(self, node) or is_mean(node):
            return 2
        if target_function(node) in MATCHING:
            return _common_value([self.axes(part) for part in node.all_input_nodes])
        keeps = isinstance(module, nn.Linear | nn.BatchNorm1d) or is_cat(node)
        keeps = keeps or self.is_pointwise(node) or self.is_pooling(node)
        return self.axes(node.all_input_nodes[0]) if keeps else None

    def is_single(self, node: fx.Node) -> bool:
        """Whether a node's output has one position per channel."""
        module = self.module(node)
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            return module.output_size in (1, (1, 1))
        if target_function(node) is F.adaptive_avg_pool2d:
            return node.args[1] in (1, (1, 1))
        return self.is_pointwise(node) and self.is_single(node.all_input_nodes[0])

    def is_pointwise(self, node: fx.Node) -> bool:
        """Whether each number of a node's output depends on one number of its input, in eval mode."""
        known = type(self.module(node)) in (*POINTWISE, *IDENTITIES) or target_function(node) in FUNCTIONS
        return known and len(node.all_input_nodes) == 1

    def is_identity(self, node: fx.Node) -> bool:
        """Whether a node returns its input, in eval mode."""
        return type(self.module(node)) in IDENTITIES or target_function(node) is identity

    def is_pooling(self, node: fx.Node) -> bool:
        """Whether a node pools maps."""
        return type(self.module(node)) in FLAT_POOLS or target_function(node) in (F.adaptive_avg_pool2d, F.max_pool2d)

    def is_averaging(self, node: fx.Node) -> bool:
        """Whether each number of a node's output is a mean of numbers of its own channel, at the border as well."""
        module = self.module(node)
        if isinstance(module, nn.AvgPool2d):
            return module.padding in (0, (0, 0)) and module.divisor_override is None
        is_adaptive = isinstance(module, nn.AdaptiveAvgPool2d) or target_function(node) is F.adaptive_avg_pool2d
        return is_adaptive or is_mean(node)

    def apply_pointwise(self, node: fx.Node, numbers: Tensor) -> Tensor:
        """Apply a pointwise node to numbers."""
        if self.is_identity(node):
            return numbers
        module = self.module(node)
        if module is not None:
            return module(numbers.clone())  # type: ignore[no-any-return]
        return FUNCTIONS[node.target](numbers.clone(), *node.args[1:], **dict(node.kwargs))


def target_function(node: fx.Node) -> Any:
    """The function that a node calls, or the name of the method; None for other nodes."""
    return node.target if node.op in ("call_function", "call_method") else None


def is_cat(node: fx.Node) -> bool:
    """Whether a node is a concatenation."""
    is_call = target_function(node) in (torch.cat, torch.concat)
    return is_call and bool(node.args) and not isinstance(node.args[0], fx.Node)


def is_mean(node: fx.Node) -> bool:
    """Whether a node computes the mean of each channel over the positions of a map."""
    is_call = target_function(node) in ("mean", torch.mean)
    if not is_call or node.kwargs.get("keepdim", False) or len(node.args) > 2:
        return False
    dims = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    return isinstance(dims, Iterable) and sorted(dims) in ([2, 3], [-2, -1])


def is_flattening(flow: DataFlow, node: fx.Node) -> bool:
    """Whether a node joins all axes but the first."""
    module = flow.module(node)
    if isinstance(module, nn.Flatten):
        return (module.start_dim, module.end_dim) == (1, -1)
    return target_function(node) in ("flatten", torch.flatten) and node.args[1:] in ((1,), (1, -1)) and not node.kwargs


def is_in_place(flow: DataFlow, node: fx.Node) -> bool:
    """Whether an operation may overwrite its input."""
    module, name = flow.module(node), str(getattr(node.target, "__name__", node.target))
    inplace = getattr(module, "inplace", False) or node.kwargs.get("inplace", False)
    return bool(inplace) or (node.op != "call_module" and (name.endswith("_") or name.startswith("i")))


def identity(x: Any) -> Any:
    """Return the input: a module that returns its input gets a node of its own in the graph."""
    return x


def pass_hooks(x: Any) -> Any:
    """Stand for the hooks of a module that is run, behind or before which nothing is known of its activations."""
    return x


POINTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus),
    *(nn.Hardswish, nn.Hardtanh, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh),
)
MATCHING = (operator.add, operator.iadd, operator.mul, operator.imul, torch.add, torch.mul)
IDENTITIES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    identity: identity,
    **dict.fromkeys(("relu", "relu_", torch.relu, torch.relu_, F.relu), F.relu),
    **{each: each for each in (F.relu6, F.gelu, F.silu, F.leaky_relu, torch.sigmoid, torch.tanh)},
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


class _OutputTracer(ModuleTracer):
    """A tracer that records the node of each module call's output."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[Call, fx.Node] = {}
        self.calls: dict[nn.Module, int] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """A module without children is one node, whatever its forward pass does."""
        return super().is_leaf_module(m, module_qualified_name) or next(m.children(), None) is None

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        before = set(self.graph.nodes)
        output = super().call_module(m, forward, args, kwargs)
        if isinstance(output, fx.Proxy) and output.node in before:
            output = self.create_proxy("call_function", identity, (output,), {})
        call = self.calls.get(m, 0)
        self.calls[m] = call + 1
        if isinstance(output, fx.Proxy):
            self.outputs[m, call] = output.node
        return output

    def run_hooked(self, m: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The hooks stand in the graph as operations that nothing is folded through."""
        if m._forward_pre_hooks:
            args, kwargs = fx.node.map_aggregate((args, kwargs), self._mark)
        output = m.forward(*args, **kwargs)
        return fx.node.map_aggregate(output, self._mark) if m._forward_hooks else output

    def _mark(self, value: Any) -> Any:
        is_node = isinstance(value, fx.Proxy)
        return self.create_proxy("call_function", pass_hooks, (value,), {}) if is_node else value


class CallTracer(ModuleTracer):
    """A tracer that only enters modules that contain a certain one, down to its calls."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m is self.inner or self.inner not in set(m.modules())

    def run_hooked(self, m: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A graph has no place for hooks."""
        raise ValueError(f"{self.path_of_module(m)!r} has hooks")


def _common_value(counts: list[int | None]) -> int | None:
    return counts[0] if len(set(counts)) == 1 else None
