"""Forward hooks that ablate units: each layer returns a new tensor; no weight and no activation is written to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from torch import Tensor, nn

from optvis.features.units import Units
from optvis.models.hooks import Call, intercept, is_intercepted
from optvis.models.layers import describe_output, find_module
from optvis.objectives.layout import channels_first

# What replaces units, as a function of the layer's activations with channels second.
Filling: TypeAlias = Callable[[Tensor], Tensor | float]
PURPOSE = "ablation"


@contextmanager
def switched(network: nn.Module, units: Sequence[Units], fillings: Sequence[Filling]) -> Iterator[None]:
    """Inside, the network runs with its units replaced by fillings; all hooks are removed on any exit.

    Raises:
        KeyError: a layer that does not exist.
    """
    jobs: dict[Call, list[tuple[Units, Filling]]] = {}
    for one, filling in zip(units, fillings, strict=True):
        jobs.setdefault(find_module(network, one.layer), []).append((one, filling))
    with intercept(network, {call: partial(_replace_units, some) for call, some in jobs.items()}, purpose=PURPOSE):
        yield


def is_switched(network: nn.Module) -> bool:
    """Whether units of a network are ablated by hooks."""
    return is_intercepted(network, PURPOSE)


def _replace_units(jobs: Sequence[tuple[Units, Filling]], output: Any) -> Tensor:
    for units, filling in jobs:
        if not isinstance(output, Tensor):
            raise TypeError(
                f"layer {units.layer!r} gives {describe_output(output)}, not a tensor; layers(net) lists those that do"
            )
        output = units.replace(output, filling(channels_first(output, units.channel_axis)))
    return output  # type: ignore[no-any-return]
