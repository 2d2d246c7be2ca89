"""Redirected ReLU gradients: NumPy is the oracle of the rule, image by image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from optvis.models.overrides.relu import open_relu, redirect_relu

from . import oracles

INF = math.inf
# Each way to write a ReLU, and where it ends. A clone first: what works in place must not overwrite a leaf.
RELUS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "nn.ReLU()": (nn.ReLU(), INF),
    "nn.ReLU(inplace)": (lambda x: nn.ReLU(inplace=True)(x.clone()), INF),
    "F.relu": (F.relu, INF),
    "F.relu(inplace)": (lambda x: F.relu(x.clone(), inplace=True), INF),
    "F.relu_": (lambda x: F.relu_(x.clone()), INF),
    "torch.relu": (torch.relu, INF),
    "torch.relu_": (lambda x: torch.relu_(x.clone()), INF),
    "Tensor.relu": (lambda x: x.relu(), INF),
    "Tensor.relu_": (lambda x: x.clone().relu_(), INF),
    "nn.ReLU6()": (nn.ReLU6(), 6.0),
    "nn.ReLU6(inplace)": (lambda x: nn.ReLU6(inplace=True)(x.clone()), 6.0),
    "F.relu6": (F.relu6, 6.0),
    "F.relu6(inplace)": (lambda x: F.relu6(x.clone(), inplace=True), 6.0),
    "nn.Hardtanh(0, 6)": (nn.Hardtanh(0, 6), 6.0),
    "F.hardtanh(0, 6)": (lambda x: F.hardtanh(x, 0.0, 6.0), 6.0),
    "F.hardtanh(min_val, max_val)": (lambda x: F.hardtanh(x, min_val=0, max_val=6), 6.0),
}
each_relu = pytest.mark.parametrize(("relu", "top"), RELUS.values(), ids=RELUS)

OTHERS: dict[str, Callable[[Tensor], Tensor]] = {
    "hardtanh": F.hardtanh,
    "hardtanh(-1, 6)": lambda x: F.hardtanh(x, -1.0, 6.0),
    "hardtanh(0, 1)": lambda x: F.hardtanh(x, 0.0, 1.0),
    "nn.Hardtanh": nn.Hardtanh(),
    "leaky_relu": F.leaky_relu,
    "gelu": F.gelu,
    "elu": F.elu,
    "clamp": lambda x: x.clamp(min=0),
}


def gradient(relu: Callable[[Tensor], Tensor], x: Tensor, grad: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(relu(x), x, grad)[0]


def cases(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Six images and gradients: alive; all below; all above 6; dead on both sides; unasked; alive with zeros among."""
    generator = torch.Generator().manual_seed(3)
    x = 8 * torch.randn(6, *shape, dtype=torch.float64, generator=generator)
    grad = torch.randn(6, *shape, dtype=torch.float64, generator=generator)
    x[1] = -x[1].abs() - 0.1
    x[2] = x[2].abs() + 6.1
    x[3] = torch.where(x[3] < 3, x[3] - 3.1, x[3] + 3.1)
    grad[4] = 0
    x[5, 0] = 0.0
    return x, grad


@each_relu
@pytest.mark.parametrize("shape", [(2, 3, 4), (7,), (5, 3)], ids=str)
def test_the_gradient_is_the_oracles(relu: Callable[[Tensor], Tensor], top: float, shape: tuple[int, ...]) -> None:
    x, grad = cases(shape)
    with redirect_relu():
        found = gradient(relu, x, grad)
    expected = oracles.redirected_gradient(x.numpy(), grad.numpy(), top)
    assert torch.equal(found, torch.from_numpy(expected))
    assert found[1].any()
    assert found[2].any()


@each_relu
def test_the_value_is_that_of_a_relu(relu: Callable[[Tensor], Tensor], top: float) -> None:
    x, _ = cases((2, 3))
    with redirect_relu():
        assert torch.equal(relu(x.clone()), torch.from_numpy(np.clip(x.numpy(), 0, top)))


@each_relu
def test_a_living_image_has_the_usual_gradient(relu: Callable[[Tensor], Tensor], top: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (4 * torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)).requires_grad_()
    with redirect_relu():
        assert torch.autograd.gradcheck(relu, x)


@each_relu
def test_the_death_of_one_image_does_not_touch_the_others(relu: Callable[[Tensor], Tensor], top: float) -> None:
    x, grad = cases((2, 3))
    with redirect_relu():
        together = gradient(relu, x, grad)
        for i in range(len(x)):
            assert torch.equal(gradient(relu, x[i : i + 1], grad[i : i + 1]), together[i : i + 1])


@each_relu
@pytest.mark.parametrize("size", [1e-30, 1e-42], ids=str)
def test_the_smallest_gradient_is_life(relu: Callable[[Tensor], Tensor], top: float, size: float) -> None:
    with redirect_relu():
        found = gradient(relu, torch.tensor([[1.0, -1.0]]), torch.tensor([[size, -size]]))
    assert found.tolist() == [[torch.tensor(size).item(), 0.0]]


@each_relu
def test_the_layout_in_memory_does_not_matter(relu: Callable[[Tensor], Tensor], top: float) -> None:
    x, grad = cases((3, 4, 5))
    with redirect_relu():
        usual = gradient(relu, x, grad)
        last = gradient(
            relu, x.to(memory_format=torch.channels_last), grad.contiguous(memory_format=torch.channels_last)
        )
        mixed = gradient(relu, x.mT.contiguous().mT, grad)
    assert torch.equal(last, usual)
    assert torch.equal(mixed, usual)


@each_relu
def test_descending_a_dead_image_brings_it_back(relu: Callable[[Tensor], Tensor], top: float) -> None:
    x = torch.tensor([[-1.0, -0.5]])
    with redirect_relu():
        for _ in range(3):
            x = x - gradient(relu, x, torch.tensor([[-1.0, 1.0]]))
    assert x.tolist() == [[2.0, -0.5]]


@each_relu
def test_nothing_is_redirected_outside(relu: Callable[[Tensor], Tensor], top: float) -> None:
    x, grad = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.0, 1.0]])
    with redirect_relu():
        pass
    assert not gradient(relu, x, grad).any()
    with pytest.raises(KeyError), redirect_relu():
        raise KeyError
    assert not gradient(relu, x, grad).any()


@pytest.mark.parametrize("function", OTHERS.values(), ids=OTHERS)
def test_other_functions_are_left_alone(function: Callable[[Tensor], Tensor]) -> None:
    x, grad = cases((2, 3))
    usual = gradient(function, x, grad), function(x)
    with redirect_relu():
        assert torch.equal(gradient(function, x, grad), usual[0])
        assert torch.equal(function(x), usual[1])


@pytest.mark.parametrize("in_place", [False, True])
def test_it_works_in_place_on_a_convolutions_output(in_place: bool) -> None:
    convolution = nn.Conv2d(3, 4, 3).double().requires_grad_(False)
    network = nn.Sequential(convolution, nn.ReLU(inplace=in_place))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 4, 4, 4, dtype=torch.float64)
    (usual,) = torch.autograd.grad((network(x) * weights).sum(), x)
    with redirect_relu():
        (found,) = torch.autograd.grad((network(x) * weights).sum(), x)
        assert_close(found, usual)
        before = convolution(x)
        after = nn.ReLU(inplace=in_place)(before)
        assert (after is before) == in_place
    convolution.bias.fill_(-100.0)  # type: ignore[union-attr]
    assert not torch.autograd.grad((network(x) * weights).sum(), x)[0].any()
    with redirect_relu():
        (found,) = torch.autograd.grad((network(x) * weights).sum(), x)
    expected = torch.autograd.grad(convolution(x), x, weights.clamp(max=0))[0]
    assert_close(found, expected)


def test_a_gradient_in_place_and_not_is_the_same_through_batchnorm() -> None:
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    norm = nn.BatchNorm2d(3).double().eval()
    found = []
    for in_place in (False, True):
        network = nn.Sequential(norm, nn.ReLU(inplace=in_place), nn.Conv2d(3, 3, 1, bias=False).double())
        nn.init.ones_(network[2].weight)  # type: ignore[arg-type]
        with redirect_relu():
            found.append(torch.autograd.grad(-network(x).sum(), x)[0])
    assert torch.equal(*found)


def test_modules_are_not_touched() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    before = {name: dict(vars(module)) for name, module in network.named_modules()}
    with redirect_relu():
        network(torch.rand(1, 3, 4, 4))
    assert {name: dict(vars(module)) for name, module in network.named_modules()} == before


@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (0,)], ids=str)
def test_numbers_without_an_axis_of_images_and_none_at_all_pass(shape: tuple[int, ...]) -> None:
    x = -torch.ones(shape)
    with redirect_relu():
        assert torch.equal(gradient(torch.relu, x, -torch.ones(shape)), -torch.ones(shape))
        assert torch.equal(gradient(torch.relu, x, torch.ones(shape)), torch.zeros(shape))


def test_without_gradients_it_is_a_relu() -> None:
    x = torch.tensor([[-1.0, 2.0]])
    with redirect_relu(), torch.no_grad():
        assert torch.relu(x).tolist() == [[0.0, 2.0]]
        assert torch.relu_(x) is x
    with redirect_relu():
        assert not torch.relu(x).requires_grad


def test_contexts_nest() -> None:
    x, grad = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.0, 1.0]])
    with redirect_relu():
        with redirect_relu():
            inner = gradient(torch.relu, x, grad)
        outer = gradient(torch.relu, x, grad)
    assert inner.tolist() == outer.tolist() == [[-1.0, 0.0]]


def test_a_number_that_is_not_one_stays_so() -> None:
    x: Any = torch.tensor([[math.nan, 1.0]])
    with redirect_relu():
        assert torch.relu(x).isnan().tolist() == [[True, False]]


@each_relu
@pytest.mark.parametrize("shape", [(2, 3, 4), (7,), (5, 3)], ids=str)
def test_an_opened_one_lets_all_through_for_dead_images(
    relu: Callable[[Tensor], Tensor], top: float, shape: tuple[int, ...]
) -> None:
    x, grad = cases(shape)
    with open_relu():
        found = gradient(relu, x, grad)
        assert torch.equal(relu(x.clone()), x.clamp(0, top))
    for i in range(len(x)):
        usual = torch.where((x[i] >= 0) & (x[i] <= top), grad[i], 0)
        assert torch.equal(found[i], usual if usual.any() else grad[i])
