"""Somebody else's network, borrowed: eval mode and frozen weights inside, as it was outside."""

from __future__ import annotations

from collections.abc import Iterator
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
        for module, _ in training:
            module.training = False
        for weight, learns in learning:
            if learns:
                weight.requires_grad_(False)
        yield network
    finally:
        for module, trains in training:
            module.training = trains
        for weight, learns in learning:
            if weight.requires_grad != learns:
                weight.requires_grad_(learns)
