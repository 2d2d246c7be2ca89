"""Forward hooks that put something else where units were: new tensors, no weight and no activation written to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from torch import Tensor, nn

from optvis.features.units import Units
from optvis.models.layers import _described, located
from optvis.objectives.layout import channels_first

# What stands where units were, of the layer's activations with channels second.
Filling: TypeAlias = Callable[[Tensor], Tensor | float]


class Switches:
    """Units of a network, and what stands where they were; hung on its modules as hooks.

    Raises:
        KeyError: a layer that does not exist.
    """

    def __init__(self, network: nn.Module, units: Sequence[Units], fillings: Sequence[Filling]) -> None:
        self.network = network
        self.places = [(located(network, one.layer), one, fill) for one, fill in zip(units, fillings, strict=True)]
        self.calls: dict[nn.Module, int] = {}

    def begins(self, _network: nn.Module, _inputs: Any) -> None:
        """A pass may have been cut short, so calls are counted from where the network begins."""
        self.calls.clear()

    def after(self, module: nn.Module, _inputs: Any, output: Any) -> Any:
        """What the module gives instead."""
        call = self.calls.get(module, 0)
        self.calls[module] = call + 1
        for place, units, filling in self.places:
            if place == (module, call):
                output = _replaced(units, filling, output)
        return output


@contextmanager
def switched(network: nn.Module, units: Sequence[Units], fillings: Sequence[Filling]) -> Iterator[None]:
    """Inside, the network runs with these in place of its units; every hook is gone on any exit."""
    switches = Switches(network, units, fillings)
    handles = []
    try:
        handles.append(network.register_forward_pre_hook(switches.begins))
        for module in dict.fromkeys(module for (module, _), *_ in switches.places):
            handles.append(module.register_forward_hook(switches.after))
        yield
    finally:
        for handle in handles:
            handle.remove()


def is_switched(network: nn.Module) -> bool:
    """Whether a `switched` is open on it."""
    hooks = (hook for module in network.modules() for hook in module._forward_pre_hooks.values())
    return any(isinstance(getattr(hook, "__self__", None), Switches) for hook in hooks)


def _replaced(units: Units, filling: Filling, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise TypeError(
            f"layer {units.layer!r} gives {_described(output)}, not a tensor; layers(net) lists those that give one"
        )
    return units.replaced(output, filling(channels_first(output, units.channel_axis)))
