"""Smoothed gradients of max pooling: NumPy is the oracle, window by window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.testing import assert_close

from optvis import Classifier, ascend, render
from optvis.models.overrides.max_pool import Window, average, smooth_max_pool, squares
from optvis.models.overrides.relu import redirect_relu
from optvis.objectives import channel

from .oracles import Array

WINDOWS: dict[str, dict[str, Any]] = {
    "2": {"kernel_size": 2},
    "3 by 2": {"kernel_size": 3, "stride": 2},
    "(2, 3) by (1, 2)": {"kernel_size": (2, 3), "stride": (1, 2)},
    "3 by 2 padded": {"kernel_size": 3, "stride": 2, "padding": 1},
    "3 by 2 ceiling": {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    "4 by 3 padded ceiling": {"kernel_size": 4, "stride": 3, "padding": (2, 1), "ceil_mode": True},
    "5 by 1 padded": {"kernel_size": 5, "stride": 1, "padding": 2},
}
each_window = pytest.mark.parametrize("options", WINDOWS.values(), ids=WINDOWS)
each_gradient = pytest.mark.parametrize("smooth", [average, squares])

CALLS: dict[str, Callable[..., Tensor]] = {
    "nn.MaxPool2d": lambda x, **options: nn.MaxPool2d(**options)(x),
    "F.max_pool2d": F.max_pool2d,
    "torch.max_pool2d": torch.max_pool2d,
    "F.max_pool2d_with_indices": lambda x, **options: F.max_pool2d_with_indices(x, **options)[0],
    "nn.MaxPool2d(return_indices)": lambda x, **options: nn.MaxPool2d(**options, return_indices=True)(x)[0],
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def inputs(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


def gradient(call: Callable[..., Tensor], x: Tensor, seed: int = 1, **options: Any) -> tuple[Tensor, Tensor]:
    """The gradient at x for some gradient behind the pooling, and that one."""
    x = x.clone().requires_grad_()
    y = call(x, **options)
    behind = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed), dtype=y.dtype)
    return torch.autograd.grad(y, x, behind)[0], behind


def pair(sides: Any) -> tuple[int, int]:
    return (sides, sides) if isinstance(sides, int) else sides


def windows(plane: Array, out: tuple[int, int], options: dict[str, Any]) -> Any:
    """The places of each window that lie in the plane, by the place of the result."""
    kernel, padding = pair(options["kernel_size"]), pair(options.get("padding", 0))
    stride = pair(options.get("stride", options["kernel_size"]))
    for place in np.ndindex(*out):
        rows, columns = (
            [at for at in range(p * s - pad, p * s - pad + k) if 0 <= at < side]
            for p, s, pad, k, side in zip(place, stride, padding, kernel, plane.shape, strict=True)
        )
        yield place, [(row, column) for row in rows for column in columns]


def shared_equally(plane: Array, behind: Array, options: dict[str, Any]) -> Array:
    found = np.zeros_like(plane)
    for place, inside in windows(plane, behind.shape, options):
        for pixel in inside:
            found[pixel] += behind[place] / len(inside)
    return found


def by_square(plane: Array, behind: Array, options: dict[str, Any]) -> Array:
    """The gradient of Σx² / (0.01 n + Σ|x|)."""
    found = np.zeros_like(plane)
    for place, inside in windows(plane, behind.shape, options):
        top = sum(plane[pixel] ** 2 for pixel in inside)
        bottom = 0.01 * len(inside) + sum(abs(plane[pixel]) for pixel in inside)
        for pixel in inside:
            slope = (2 * plane[pixel] * bottom - top * np.sign(plane[pixel])) / bottom**2
            found[pixel] += behind[place] * slope
    return found


@each_call
@each_window
@pytest.mark.parametrize(("smooth", "oracle"), [(average, shared_equally), (squares, by_square)])
def test_the_gradient_is_the_oracles(call: Any, options: Any, smooth: Any, oracle: Any) -> None:
    x = inputs(2, 3, 9, 8)
    with smooth_max_pool(smooth):
        found, behind = gradient(call, x, **options)
    for i, c in np.ndindex(2, 3):
        expected = oracle(x[i, c].numpy(), behind[i, c].numpy(), options)
        np.testing.assert_allclose(found[i, c].numpy(), expected, rtol=0, atol=1e-12)


@each_window
@each_gradient
def test_it_is_the_gradient_of_the_smoother_pooling(options: Any, smooth: Any) -> None:
    window, x = Window(**options), inputs(2, 3, 9, 8)
    assert torch.autograd.gradcheck(lambda x: smooth(x, window), x.clone().requires_grad_())
    with smooth_max_pool(smooth):
        found, _ = gradient(F.max_pool2d, x, **options)
    expected, _ = gradient(lambda x: smooth(x, window), x)
    assert_close(found, expected, rtol=0, atol=1e-14)


@each_call
@each_window
@each_gradient
def test_the_value_is_that_of_max_pooling(call: Any, options: Any, smooth: Any) -> None:
    x = inputs(2, 3, 9, 8)
    with smooth_max_pool(smooth):
        assert torch.equal(call(x, **options), F.max_pool2d(x, **options))


@each_window
def test_the_indices_are_those_of_max_pooling(options: Any) -> None:
    x = inputs(2, 3, 9, 8).requires_grad_()
    with smooth_max_pool():
        _, found = F.max_pool2d(x, **options, return_indices=True)
    assert torch.equal(found, F.max_pool2d(x, **options, return_indices=True)[1])


@each_gradient
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 2), (33, 17)], ids=str)
def test_any_size_and_an_image_alone_as_in_a_batch(smooth: Any, size: tuple[int, int]) -> None:
    x = inputs(3, 2, *size)
    options = {"kernel_size": 3, "stride": 2, "padding": 1}
    with smooth_max_pool(smooth):
        together, behind = gradient(F.max_pool2d, x, **options)
        for i in range(3):
            leaf = x[i : i + 1].clone().requires_grad_()
            (alone,) = torch.autograd.grad(F.max_pool2d(leaf, **options), leaf, behind[i : i + 1])
            assert_close(alone, together[i : i + 1], rtol=0, atol=1e-14)
        leaf = x[0].clone().requires_grad_()
        (bare,) = torch.autograd.grad(F.max_pool2d(leaf, **options), leaf, behind[0])  # (C, H, W)
        assert_close(bare, together[0], rtol=0, atol=1e-14)


@each_gradient
def test_float32_is_float64_but_for_rounding(smooth: Any) -> None:
    x = inputs(2, 3, 9, 8)
    with smooth_max_pool(smooth):
        exact, behind = gradient(F.max_pool2d, x, kernel_size=3, stride=2)
        leaf = x.float().requires_grad_()
        (found,) = torch.autograd.grad(F.max_pool2d(leaf, 3, 2), leaf, behind.float())
    assert found.dtype == torch.float32
    assert_close(found.double(), exact, rtol=0, atol=1e-5)


@each_call
def test_nothing_is_smoothed_outside(call: Any) -> None:
    x = inputs(1, 1, 6, 6)
    usual, _ = gradient(F.max_pool2d, x, kernel_size=2)
    with pytest.raises(KeyError), smooth_max_pool():
        raise KeyError
    found, _ = gradient(call, x, kernel_size=2)
    assert torch.equal(found, usual)
    assert int((found != 0).sum()) == 9


def test_other_poolings_are_left_alone() -> None:
    x = inputs(2, 3, 8, 8)
    for call in (nn.AdaptiveMaxPool2d(2), nn.AvgPool2d(2), lambda x: F.max_pool1d(x[0], 2)):
        usual, _ = gradient(call, x)
        with smooth_max_pool():
            assert torch.equal(gradient(call, x)[0], usual)


def test_dilated_windows_are_refused() -> None:
    with smooth_max_pool(), pytest.raises(ValueError, match="dilation=2; expected 1, as average pooling has none"):
        nn.MaxPool2d(2, dilation=2)(inputs(1, 1, 8, 8))
    with smooth_max_pool():
        assert nn.MaxPool2d(2, dilation=(1, 1))(inputs(1, 1, 8, 8)).shape == (1, 1, 4, 4)


def test_a_function_of_your_own_gives_the_gradient() -> None:
    x = inputs(1, 1, 4, 4)
    with smooth_max_pool(lambda x, window: 3 * window.mean(x)):
        found, _ = gradient(F.max_pool2d, x, kernel_size=2)
    with smooth_max_pool():
        assert_close(found, 3 * gradient(F.max_pool2d, x, kernel_size=2)[0])


def test_it_nests_with_redirected_relus() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2)).double().requires_grad_(False)
    network[0].bias.fill_(-100.0)  # type: ignore[union-attr, operator]
    x = inputs(1, 3, 8, 8)
    assert not gradient(network, x)[0].any()
    with redirect_relu(), smooth_max_pool():
        one, _ = gradient(network, x)
    with smooth_max_pool(), redirect_relu():
        other, _ = gradient(network, x)
    assert one.any()
    assert torch.equal(one, other)


# As an option of the loop


def pooled() -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2), nn.Conv2d(4, 5, 1))
    return Classifier(network, None, 16)


@each_gradient
def test_render_smooths_and_its_recipe_says_so(smooth: Any) -> None:
    options: dict[str, Any] = {"steps": 3, "transform": None, "progress": False}
    usual = render(pooled(), channel("", [0, 3]), **options)
    smooth_one = render(pooled(), channel("", [0, 3]), pool_gradient=smooth, **options)
    with smooth_max_pool(smooth):
        by_hand = render(pooled(), channel("", [0, 3]), **options)
    assert torch.equal(smooth_one.images, by_hand.images)
    assert not torch.equal(smooth_one.images, usual.images)
    assert torch.equal(smooth_one.scores[0], usual.scores[0])  # the network answers as ever
    assert (usual.recipe["pool_gradient"], smooth_one.recipe["pool_gradient"]) == (None, smooth.__name__)
    alone = render(pooled(), channel("", [3]), pool_gradient=smooth, **options)
    in_chunks = render(pooled(), channel("", [0, 3]), pool_gradient=smooth, batch_size=1, **options)
    assert_close(alone.images, smooth_one.images[1:], rtol=0, atol=1e-5)
    assert_close(in_chunks.images, smooth_one.images, rtol=0, atol=1e-5)


def test_ascend_smooths_in_its_steps_and_not_between_them() -> None:
    x = inputs(1, 1, 4, 4)
    usual, _ = gradient(F.max_pool2d, x, kernel_size=2)
    images = []
    for step in ascend(pooled(), channel("", 1), transform=None, pool_gradient=average):
        assert torch.equal(gradient(F.max_pool2d, x, kernel_size=2)[0], usual)
        images.append(step.images)
        if step.index == 2:
            break
    made = render(pooled(), channel("", 1), steps=2, transform=None, pool_gradient=average, progress=False)
    assert torch.equal(made.images, images[2])
