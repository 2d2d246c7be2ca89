"""The same network with some of its units switched off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

from optvis.ablation.fills import Filled, prepared
from optvis.ablation.switching import switched
from optvis.features.units import Channels, Directions, Units
from optvis.models.classifier import Classifier
from optvis.models.layers import find_module

Model = TypeVar("Model", bound=nn.Module | Classifier)


@contextmanager
def blinded(net: Model, *units: Units, fill: Filled = 0.0) -> Iterator[Model]:
    """Inside, the network answers without some of its units; outside it is bit for bit as it was.

    It stays the same object, so all that optvis can do, it can do to a blinded network: render, classify, take
    gradients. Nothing is written to: a layer hands out a new tensor in which its units are replaced. Several units of
    one layer are replaced one after the other, in the order given. Blocks nest; the outer one's units are off already
    when the inner one measures its fill. Call the network itself, not a part of it: "relu#1" is counted from there.

    Args:
        net: a network, or a Classifier.
        units: what is switched off: Channels and Directions, of any layers that `layers(net)` lists.
        fill: what stands where they were: a number, 0 by default; a tensor (C,), a number a channel; a mapping of
            layers to either; or what is measured: `Mean`, `Noise`, `Gaussian`, `Resampled`, `Optimal`.

    Yields:
        `net` itself.

    Raises:
        KeyError: a layer that does not exist, or for which the fill has nothing.
        TypeError: units, or a fill, of another type; inside, a layer whose output is no tensor.
        IndexError, ValueError: inside, a channel that the layer does not have, directions of another length.

    Example:
        >>> import torch
        >>> from optvis.features.units import Channels
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        >>> with blinded(net, Channels("1", [0, 2])) as same:
        ...     print(same(torch.rand(1, 3, 8, 8))[:, [0, 2]].abs().max().item(), same is net)
        0.0 True
    """
    network = network_of(net)
    checked(network, units)
    with switched(network, units, prepared(fill, net, units)):
        yield net


def network_of(net: nn.Module | Classifier) -> nn.Module:
    """The bare network.

    Raises:
        TypeError: it is neither.
    """
    network = net.network if isinstance(net, Classifier) else net
    if not isinstance(network, nn.Module):
        raise TypeError(f"net is a {type(net).__name__}; expected an nn.Module or a Classifier, e.g. load(name)")
    return network


def checked(network: nn.Module, units: tuple[Units, ...]) -> None:
    """Refuse what is no unit, or lies in no layer.

    Raises:
        TypeError: what is neither Channels nor Directions.
        KeyError: a layer that does not exist.
    """
    for one in units:
        if not isinstance(one, Channels | Directions):
            raise TypeError(f"units are {one!r}; expected Channels(layer, indices) or Directions(layer, vectors)")
        find_module(network, one.layer)


__all__ = ["blinded"]
