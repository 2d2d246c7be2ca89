"""Copies of networks."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def copy_network(network: Network) -> Network:
    """Copy a network with all that it holds.

    Tensors with a history, such as the weight that `torch.nn.utils.weight_norm` computes, are copied without it: torch
    copies leaves only, and they are computed anew when the copy runs.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> net.doubled = 2 * net.weight
        >>> copy_network(net).doubled.requires_grad
        False
    """
    kept = [value for module in network.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    return copy.deepcopy(network, {id(value): value.detach().clone() for value in kept if not value.is_leaf})
