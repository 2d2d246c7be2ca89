"""Somebody else's network, borrowed: eval mode and frozen weights inside, as it was outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def borrow(network: nn.Module) -> Iterator[nn.Module]:
    """Put a network in eval mode with frozen weights; every flag is restored on any exit.

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
        _put(((module, False) for module, _ in training), "training")
        _put(((weight, False) for weight, _ in learning), "requires_grad")
        yield network
    finally:
        _put(training, "training")
        _put(learning, "requires_grad")


def _put(flags: Iterable[tuple[object, bool]], name: str) -> None:
    """Set only what differs: setting is what costs time."""
    for thing, flag in flags:
        if getattr(thing, name) != flag:
            setattr(thing, name, flag)
