"""Numbers that have to be finite, and where in a network those that are not come from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from optvis.errors import NotFiniteError
from optvis.models.adapted.compiled import name_modules
from optvis.models.hooks import hook_modules


def check_finite(values: Tensor, what: str, network: nn.Module, inputs: Tensor) -> None:
    """Check that what was computed from a network is finite.

    Args:
        values: of any shape.
        what: they are, for the message.
        network: a borrowed network, which is run again to find the layer.
        inputs: ready for it.

    Raises:
        NotFiniteError: a value is NaN or infinite; the message names the first layer that gives such values.
    """
    if not bool(values.isfinite().all()):
        raise NotFiniteError(f"{what} are NaN or infinite; {explain_not_finite(network, inputs)}")


def explain_not_finite(network: nn.Module, inputs: Tensor) -> str:
    """Say where numbers that are not finite come from, and the cure."""
    weights = [name for name, weight in network.named_parameters() if not bool(weight.isfinite().all())]
    if weights:
        return f"the weights {weights[0]!r} are not finite: load them again"
    if not bool(inputs.isfinite().all()):
        return "the network's input is not finite: check the images and normalize"
    layer = _first_layer(network, inputs)
    dtype = next((weight.dtype for weight in network.parameters() if weight.is_floating_point()), torch.float32)
    is_half = dtype.itemsize < torch.float32.itemsize
    cure = "use dtype float32, network.float()" if is_half else "check its weights and the normalisation"
    if layer is None:
        return f"all layers give finite values, so gradients or what replaces units overflow: {cure}"
    return f"layer {layer!r} is the first to give such values: {cure}"


@torch.no_grad()
def _first_layer(network: nn.Module, inputs: Tensor) -> str | None:
    """The layer that finishes first of those whose output is not finite; "" is the network's own output."""
    names = name_modules(network)
    found: list[str] = []

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not bool(output.isfinite().all()):
            found.append(names[module])

    with hook_modules(names, after=note):
        network(inputs)
    return found[0] if found else None
