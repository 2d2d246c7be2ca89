"""Ceilings: layers whose activations cannot grow any more, such as those after a ReLU6 or a sigmoid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from optvis.models.activations import read_activations
from optvis.models.adapted.compiled import name_modules
from optvis.models.borrow import borrow
from optvis.models.hooks import hook_modules
from optvis.objectives import IMAGE, Objective
from optvis.objectives.layout import INPUT, name_call

FLAT = 0.05  # of the slope at the middle: below, the gradient is all but gone
SHARE = 0.5  # of the gradient that asks for larger activations, from which on an image is at the ceiling
NEAR = 0.02  # of the extent of a smooth function, within which it is called its top

#: How the top of a function is told from its node in autograd's graph: which elements are there, and its value. These
#: are the functions of torch that have one: ReLU6 is a hardtanh.
TOPS: dict[str, Callable[[Any], tuple[Tensor, float]]] = {
    "Hardtanh": lambda node: (_saved(node, "self") >= _saved(node, "max_val"), float(_saved(node, "max_val"))),
    "Hardsigmoid": lambda node: (_saved(node, "self") >= 3, 1.0),
    "Sigmoid": lambda node: (_saved(node, "result") >= 1 - NEAR, 1.0),
    "Tanh": lambda node: (_saved(node, "result") >= 1 - 2 * NEAR, 1.0),
    "Clamp": lambda node: (_saved(node, "self") >= _saved(node, "max"), float(_saved(node, "max"))),
    "ClampMax": lambda node: (_saved(node, "self") >= _saved(node, "max"), float(_saved(node, "max"))),
}
CLAMPS = ("Clamp", "ClampMax")  # their limits may be missing, or tensors
#: Nodes that pass activations on without computing: what a layer may do behind its ceiling.
PASSES = frozenset(
    {"Clone", "Alias", "View", "UnsafeView", "Reshape", "Permute", "Transpose", "Squeeze", "Unsqueeze", "AsStrided"}
    | {"ToCopy", "Mean", "AvgPool2D", "AdaptiveAvgPool2D", "MaxPool2DWithIndices", "Slice", "Select", "Expand"}
)


@dataclass(frozen=True)
class Ceiling:
    """Images whose objective a layer keeps from growing.

    Args:
        images: their indices.
        layer: that the objective reads.
        value: the top of the layer's activations.
        before: the layer to ask instead: what goes into the function that has the top; "" where no module gives it.
    """

    images: tuple[int, ...]
    layer: str
    value: float
    before: str


def find_ceilings(network: nn.Module, inputs: Tensor, images: Tensor, objective: Objective) -> list[Ceiling]:
    """Find the layers of an objective at whose ceiling images are.

    An image is there where over half of the gradient that asks a layer for larger activations reaches elements at the
    top of a bounded function, whose slope is all but zero. Scores of classes do not count: they are logits, whatever
    function the network ends in.

    Args:
        network: any network.
        inputs: (B, C, H, W), ready for it.
        images: the same in [0, 1], for objectives that read them.
        objective: a score for each.
    """
    asked = [layer for term in objective.terms if not term.reads_classes for layer in term.layers if layer != IMAGE]
    with borrow(network), torch.enable_grad():
        start = inputs.detach().requires_grad_()
        names = _Names(network)
        with hook_modules(names.modules, before=names.note_input, after=names.note_output):
            activations = read_activations(network, start.clone(), objective.layers, images=images)
        nodes = {layer: _find_node(activations[layer].grad_fn) for layer in dict.fromkeys(asked)}
        probes = {layer: _Probe(node) for layer, node in nodes.items() if node is not None}
        if not probes:
            return []
        score = objective(activations).sum()
        torch.autograd.grad(score, start, allow_unused=True)
        found = [(layer, probe, probe.stuck_images(len(inputs))) for layer, probe in probes.items()]
        return [Ceiling(rows, layer, probe.value, names.before(probe.node)) for layer, probe, rows in found if rows]


class _Probe:
    """What flows through a node of autograd's graph in a backward pass."""

    def __init__(self, node: Any) -> None:
        self.node, self.flows = node, list[tuple[Tensor, Tensor]]()
        self.is_top, self.value = TOPS[_kind(node)](node)
        node.register_hook(self._note)

    def _note(self, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
        if inputs[0] is not None and outputs[0] is not None:
            self.flows.append((outputs[0].detach(), inputs[0].detach()))

    def stuck_images(self, count: int) -> tuple[int, ...]:
        """Which of so many images are at the ceiling."""
        if not self.flows or len(self.is_top) != count:
            return ()
        asked, passed = self.flows[0]
        wanted = asked.clamp(min=0)
        stuck = wanted * (self.is_top & (passed <= FLAT * asked))
        shares = stuck.flatten(1).sum(1) / wanted.flatten(1).sum(1).clamp(min=torch.finfo(wanted.dtype).tiny)
        return tuple((shares > SHARE).nonzero().flatten().tolist())


class _Names:
    """Names of what modules take and give, by the node of autograd's graph that computed it."""

    def __init__(self, network: nn.Module) -> None:
        self.modules = name_modules(network)
        self.calls: Counter[nn.Module] = Counter()
        self.outputs: dict[Any, str] = {}
        self.inputs: dict[Any, str] = {}

    def note_input(self, module: nn.Module, inputs: Any) -> None:
        if inputs and isinstance(inputs[0], Tensor):
            self.inputs[inputs[0].grad_fn] = self._name(module) + INPUT

    def note_output(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        name = self._name(module)
        self.calls[module] += 1
        if isinstance(output, Tensor) and name:
            self.outputs[output.grad_fn] = name

    def _name(self, module: nn.Module) -> str:
        return name_call(self.modules[module], self.calls[module])

    def before(self, node: Any) -> str:
        """The layer that gives what a node takes; the input of a layer where no module gives it."""
        source = node.next_functions[0][0]
        return str(self.outputs.get(source, self.inputs.get(source, "")))


def _find_node(node: Any) -> Any:
    """The node of a function that has a top, which alone a layer's output comes from; None where there is none."""
    for each in _follow(node):
        if _kind(each) in TOPS and (_kind(each) not in CLAMPS or isinstance(_saved(each, "max"), int | float)):
            return each
    return None


def _follow(node: Any) -> Iterator[Any]:
    """A node, and those before it as long as they pass activations on."""
    while node is not None:
        yield node
        node = node.next_functions[0][0] if _kind(node) in PASSES and node.next_functions else None


def _kind(node: Any) -> str:
    """The name of a node's function, without what autograd adds."""
    return str(node.name()).partition("Backward")[0]


def _saved(node: Any, name: str) -> Any:
    """What a node has saved for its backward pass."""
    return getattr(node, f"_saved_{name}", None)
