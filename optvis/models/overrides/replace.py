"""What layers return, replaced by functions of it, as the library sees it: of a transformer a map of its patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from optvis.models.activations import check_real, require_gradients
from optvis.models.adapted.network import original_of
from optvis.models.hooks import Call, intercept, replace_outputs
from optvis.models.layers import describe_output, find_module
from optvis.models.outputs.axes import mark_channel_axis
from optvis.models.outputs.token_evidence import Grid
from optvis.models.outputs.tokens import view_layer
from optvis.objectives.layout import split_tokens, takes_input


@contextmanager
def replace_output(network: nn.Module, layer: str, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, a layer returns what `change` makes of its output, as `read_activations` reads it; see `replace_outputs`.

    Raises:
        KeyError: no such layer.
        TypeError: inside, a layer whose output is no tensor of real numbers.
        ValueError: inside, a layer that the network computes without gradients, where gradients were on outside.
    """
    has_gradients = torch.is_grad_enabled()

    def replace(output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise TypeError(
                f"layer {layer!r} gives {describe_output(output)}, not a tensor; layers(net) lists those that do"
            )
        check_real(layer, output)
        if has_gradients:
            require_gradients(layer)
        return change(output)

    with replace_layers(network, [(layer, replace)]):
        yield


@contextmanager
def replace_layers(
    network: nn.Module,
    changes: Sequence[tuple[str, Callable[[Any], Any]]],
    *,
    purpose: str = "",
    is_required: bool = False,
) -> Iterator[None]:
    """Inside, layers return what functions make of their outputs, one function of a layer after the other.

    Args:
        changes: names of layers, each with a function of its output as `read_activations` reads it: of a transformer's
            layer a map of its patches. Other tokens stay as they are.
        purpose: see `intercept`.
        is_required: whether a forward pass in which one of the layers does not run is an error.

    Raises:
        KeyError: no such layer.
        ValueError: inside, a layer that has no such tokens.
    """
    calls = {layer: find_module(network, layer) for layer, _ in changes}
    with _note_size(network) as read_size:
        functions: dict[Call, list[Callable[[Any], Any]]] = {}
        inside: dict[Call, list[Callable[[Any], Any]]] = {}
        for layer, change in changes:
            group = (inside if takes_input(layer) else functions).setdefault(calls[layer], [])
            module = network if takes_input(layer) else calls[layer][0]
            group.append(partial(_change_view, network, module, layer, change, read_size))
        chained = {call: partial(_apply_each, group) for call, group in functions.items()}
        before = {call: partial(_apply_to_first, group) for call, group in inside.items()}
        names = {call: layer for layer, call in calls.items()} if is_required else {}
        required, required_before = ({call: names[call] for call in some if names} for some in (chained, before))
        with (
            intercept(network, {}, before=before, purpose=purpose, required=required_before),
            replace_outputs(network, chained, purpose=purpose, required=required),
        ):
            yield


def _apply_to_first(functions: Sequence[Callable[[Any], Any]], values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Apply functions to the first input of a module."""
    return (_apply_each(functions, values[0]), *values[1:]) if values else None


def _apply_each(functions: Sequence[Callable[[Any], Any]], output: Any) -> Any:
    for function in functions:
        output = function(output)
    return output


@contextmanager
def _note_size(network: nn.Module) -> Iterator[Callable[[], Grid | None]]:
    """Inside, note the size of a network's input; yields a function that returns it, (H, W), or None."""
    sizes: list[Grid] = []

    def note(values: tuple[Any, ...]) -> None:
        sizes[:] = [(a.shape[2], a.shape[3]) for a in values[:1] if isinstance(a, Tensor) and a.dim() == 4]

    roots = dict.fromkeys((network, original_of(network)))
    with intercept(network, {}, before={(root, 0): note for root in roots}):
        yield lambda: sizes[0] if sizes else None


def _change_view(
    network: nn.Module,
    module: nn.Module,
    layer: str,
    change: Callable[[Any], Any],
    read_size: Callable[[], Grid | None],
    output: Any,
) -> Any:
    """Apply a change to what the library sees of a layer's output; what is no tensor goes to the change as it is.

    Args:
        network: in which the layer is.
        module: the layer's, or the network.
        layer: its name, which may end in the tokens that are meant.
        change: a function of what `read_activations` would read.
        read_size: see `_note_size`.
        output: of the layer.

    Returns:
        The layer's whole output.
    """
    if not isinstance(output, Tensor):
        return change(output)
    size = read_size()
    mark_channel_axis(network, module, split_tokens(layer)[0], output, size)
    view = view_layer(network, layer, output, size)
    seen = view.read(output)
    new = change(seen)
    return output if new is seen else view.restore(new, output)
