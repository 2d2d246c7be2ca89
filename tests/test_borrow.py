"""A borrowed network comes back as it was, whatever happened."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from optvis.models.borrow import borrow


def partly_frozen() -> nn.Sequential:
    """Training outside, eval in one block; one weight frozen; BatchNorm with buffers; a dropout."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(0.5)), nn.Conv2d(4, 2, 1)
    )
    network[2].eval()
    network[0].weight.requires_grad_(False)
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "training": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)),
    "eval": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval(),
    "frozen": lambda: nn.Conv2d(3, 4, 3).requires_grad_(False),
    "partly frozen": partly_frozen,
    "without weights": lambda: nn.Sequential(nn.ReLU(), nn.Flatten()),
}
each_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def state(network: nn.Module) -> dict[str, Any]:
    modes: dict[str, Any] = {name: module.training for name, module in network.named_modules()}
    weights = {name: (p.requires_grad, p.grad, p.tolist()) for name, p in network.named_parameters()}
    return modes | weights | {name: buffer.tolist() for name, buffer in network.named_buffers()}


def look(network: nn.Module) -> None:
    """Ask the network something, and a gradient of the images."""
    x = torch.rand(2, 3, 5, 5, requires_grad=True)
    assert torch.autograd.grad(network(x).sum(), x)[0].shape == x.shape


@each_network
def test_inside_it_is_in_eval_mode_and_frozen(make: Callable[[], nn.Module]) -> None:
    network = make()
    with borrow(network) as borrowed:
        assert borrowed is network
        assert not any(module.training for module in network.modules())
        assert not any(weight.requires_grad for weight in network.parameters())


@each_network
def test_it_is_as_it_was_after_success(make: Callable[[], nn.Module]) -> None:
    network = make()
    before = state(network)
    with borrow(network):
        look(network)
    assert state(network) == before


@each_network
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_it_is_as_it_was_after_any_error(make: Callable[[], nn.Module], error: type[BaseException]) -> None:
    network = make()
    before = state(network)

    def broken() -> None:
        with borrow(network):
            look(network)
            raise error("stop")

    with pytest.raises(error, match="stop"):
        broken()
    assert state(network) == before


@each_network
@pytest.mark.parametrize("leave", ["close", "forget", "throw"])
def test_it_is_as_it_was_when_a_generator_is_left(make: Callable[[], nn.Module], leave: str) -> None:
    def steps(network: nn.Module) -> Iterator[int]:
        with borrow(network):
            for step in range(10):
                look(network)
                yield step

    network = make()
    before = state(network)
    running: Any = steps(network)
    assert (next(running), next(running)) == (0, 1)
    if leave == "close":
        running.close()
    elif leave == "throw":
        with pytest.raises(KeyboardInterrupt):
            running.throw(KeyboardInterrupt())
    else:
        del running
        gc.collect()
    assert state(network) == before


@each_network
def test_borrowing_nests(make: Callable[[], nn.Module]) -> None:
    network = make()
    before = state(network)
    with borrow(network):
        with borrow(network):
            look(network)
        assert not any(module.training for module in network.modules())
        assert not any(weight.requires_grad for weight in network.parameters())
        look(network)
    assert state(network) == before


def test_statistics_of_batchnorm_do_not_move_inside_and_do_outside() -> None:
    network = nn.BatchNorm2d(3)
    before = state(network)
    with borrow(network):
        look(network)
    assert state(network) == before
    look(network)
    assert state(network) != before


def test_no_gradient_of_the_weights_appears() -> None:
    network = partly_frozen()
    x = torch.rand(2, 3, 5, 5, requires_grad=True)
    with borrow(network):
        network(x).sum().backward()
    assert x.grad is not None
    assert all(weight.grad is None for weight in network.parameters())


def test_gradients_that_were_there_stay() -> None:
    network = nn.Conv2d(3, 4, 3)
    network(torch.rand(1, 3, 5, 5)).sum().backward()
    gradient = network.weight.grad
    with borrow(network):
        look(network)
    assert network.weight.grad is gradient


def test_a_part_may_be_borrowed_alone() -> None:
    network = partly_frozen()
    before = state(network)
    with borrow(network[2]):
        assert network.training
        assert network[3].weight.requires_grad
    assert state(network) == before


def test_shared_weights_and_modules_are_restored_once() -> None:
    layer = nn.Linear(3, 3)
    network = nn.Sequential(layer, nn.ReLU(), layer)
    other = nn.Linear(3, 3)
    other.weight = layer.weight
    before = state(network)
    with borrow(network), borrow(other):
        assert not layer.weight.requires_grad
    assert state(network) == before
    assert other.weight.requires_grad
