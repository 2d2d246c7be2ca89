"""Eval mode and frozen weights while a network is in use; afterwards it is as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def borrow(network: nn.Module) -> Iterator[nn.Module]:
    """Inside, a network is in eval mode with frozen weights; every flag is restored on any exit.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> with borrow(net):
        ...     net.training, net.weight.requires_grad
        (False, False)
        >>> net.training, net.weight.requires_grad
        (True, True)
    """
    training = [(module, module.training) for module in network.modules()]
    learning = [(weight, weight.requires_grad) for weight in network.parameters()]
    try:
        _set_flags(((module, False) for module, _ in training), "training")
        _set_flags(((weight, False) for weight, _ in learning), "requires_grad")
        yield network
    finally:
        _set_flags(training, "training")
        _set_flags(learning, "requires_grad")


def _set_flags(flags: Iterable[tuple[object, bool]], name: str) -> None:
    """Set the flags that differ: reading a flag is cheap, setting it is not."""
    for thing, flag in flags:
        if getattr(thing, name) != flag:
            setattr(thing, name, flag)
