"""See the activations of many layers while a forward pass runs, or their attributions while a backward pass does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from optvis.models.activations import check_real, input_size
from optvis.models.adapted.select import select_scores
from optvis.models.hooks import Call, intercept
from optvis.models.layers import describe_output, find_module, suggest_layer
from optvis.models.outputs.axes import mark_channel_axis
from optvis.models.outputs.tokens import view_layer
from optvis.models.run import run_network
from optvis.objectives import OUTPUT
from optvis.objectives.layout import split_tokens, takes_input

Visit = Callable[[str, Tensor, str | None], None]
Read = Callable[[Tensor], Tensor]
Watch = Callable[[str, Tensor, Read, str | None], Tensor | None]


def visit_activations(network: nn.Module, inputs: Tensor, layers: Sequence[str], visit: Visit) -> None:
    """Run a borrowed network without gradients, and call a function with the output of each layer when it is there.

    A layer that works in place may overwrite the tensor afterwards, so that the function must not keep it.

    Args:
        network: a borrowed network.
        inputs: preprocessed images.
        layers: names as in `activations`.
        visit: of a layer's name, its activations as `read_activations` gives them, and the name of the layer before, if
            that gave the same numbers: the tensor that a block returns is often that of its last layer.

    Raises:
        TypeError: a layer whose output is no tensor of real numbers.
        ValueError: a layer that never ran.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Flatten()).eval()
        >>> with torch.no_grad():
        ...     visit_activations(net, torch.zeros(1, 2, 2), ["0.0", "0", "1"], lambda *seen: print(seen[0], seen[2]))
        0.0 None
        0 0.0
        1 None
    """

    def watch(name: str, a: Tensor, read: Read, same: str | None) -> None:
        visit(name, read(a.detach()), same)

    _run_watched(network, inputs, layers, watch)


def visit_attributions(
    network: nn.Module,
    inputs: Tensor,
    layers: Sequence[str],
    score: Callable[[Tensor], Tensor],
    visit: Callable[[str, Tensor], None],
) -> None:
    """Run a borrowed network forward and backward, and call a function with the attributions of each layer.

    An attribution is activation times gradient of a score. A layer on which the score does not depend is not visited.

    Args:
        network: a borrowed network.
        inputs: preprocessed images.
        layers: names as in `activations`.
        score: a function of the network's output, one number for each image, (B,).
        visit: of a layer's name and its attributions, in the shape of `read_activations`; layers come in any order.

    Raises:
        TypeError, ValueError: see `visit_activations`.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False)).eval()
        >>> with torch.no_grad():
        ...     _ = net[1].weight.copy_(torch.tensor([[3.0, -1.0]]))
        >>> visit_attributions(net, torch.ones(1, 2), ["0"], lambda output: output[:, 0], print)
        0 tensor([[ 3., -1.]])
    """
    start, outputs = inputs.detach().requires_grad_(), list[Tensor]()

    def watch(name: str, a: Tensor, read: Read, same: str | None) -> Tensor:  # noqa: ARG001
        values, own = a.detach().clone(), a.clone()  # what goes on: others may use the first one too, or overwrite it
        if name in layers and a.requires_grad:
            own.register_hook(lambda gradient: visit(name, read(values * gradient)))  # type: ignore[no-untyped-call]
        if name == OUTPUT:
            outputs[:] = [own]
        return own

    with torch.enable_grad():
        _run_watched(network, start.clone(), [*layers, OUTPUT], watch)
        total = score(outputs[0]).sum()
        if total.requires_grad:
            torch.autograd.grad(total, start, allow_unused=True)


def _run_watched(network: nn.Module, inputs: Tensor, layers: Sequence[str], watch: Watch) -> None:
    calls = {name: find_module(network, split_tokens(name)[0]) for name in layers}
    watcher = _LayerWatcher(network, inputs, watch, {name: module for name, (module, _) in calls.items()})
    after: dict[Call, list[str]] = {}
    before: dict[Call, list[str]] = {}
    for name, call in calls.items():
        (before if takes_input(name) else after).setdefault(call, []).append(name)
    at_end = {call: partial(watcher.see, names) for call, names in after.items()}
    at_begin = {call: partial(watcher.see_input, names) for call, names in before.items()}
    with intercept(network, at_end, before=at_begin):
        run_network(network, inputs, watcher.seen.clear)
    for name in layers:
        if name not in watcher.seen:
            raise ValueError(f"layer {name!r} never ran in this forward pass; {suggest_layer(network, inputs, name)}")


class _LayerWatcher:
    """Calls a function with the output of each layer, and remembers which of them it has seen in a forward pass."""

    def __init__(self, network: nn.Module, inputs: Tensor, watch: Watch, modules: dict[str, nn.Module]) -> None:
        self.network, self.inputs, self.watch, self.modules = network, inputs, watch, modules
        self.seen: dict[str, None] = {}
        self.last: tuple[Tensor, int, str] | None = None

    def see_input(self, names: Sequence[str], values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        new = self.see(names, values[0] if values else None)
        return None if new is None else (new, *values[1:])

    def see(self, names: Sequence[str], value: Any) -> Tensor | None:
        new = None
        for name in names:
            a = select_scores(value) if name == OUTPUT else value if new is None else new
            if not isinstance(a, Tensor):
                raise TypeError(f"layer {name!r} gives {describe_output(a)}, not a tensor; layers(net) lists those")
            check_real(name, a)
            same = self.last[2] if self.last is not None and self._is_last(a) else None
            view, output = a.detach(), split_tokens(name)[0]
            module = self.network if takes_input(name) else self.modules[name]
            mark_channel_axis(self.network, module, output, view, input_size(self.inputs))
            read = view_layer(self.network, name, view, input_size(self.inputs)).read
            new = self.watch(name, a, partial(_read_as, view, read), same if output == name else None)
            self.seen[name] = None
            self.last = (a, a._version, name) if output == name else None
        return new

    def _is_last(self, a: Tensor) -> bool:
        return self.last is not None and self.last[0] is a and self.last[1] == a._version


def _read_as(marked: Tensor, read: Read, a: Tensor) -> Tensor:
    """Read a tensor of a layer's shape, with the mark of its channels."""
    vars(a).update(vars(marked))
    return read(a)
