"""Sampling with a gradient that is summed in integers: torch's own up to rounding, the same in any order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.transforms.sample import SampleBilinearly, spread_gradient

MODES = ("zeros", "border", "reflection")
SIZES = ((7, 5), (32, 40), (1, 6), (1, 1))


def draw(size: tuple[int, int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Images, a grid that leaves them on all sides, and a gradient of the result."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, *size, generator=generator).requires_grad_()
    grid = 1.4 * torch.randn(2, 50, 9, 2, generator=generator)
    return images, grid, torch.randn(2, 3, 50, 9, generator=generator)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_the_gradient_is_torchs_up_to_rounding(size, mode):
    images, grid, grad = draw(size)
    sampled = F.grid_sample(images, grid, padding_mode=mode, align_corners=True)
    own = SampleBilinearly.apply(images, grid, mode)
    assert own.equal(sampled)
    expected = torch.autograd.grad(sampled, images, grad)[0]
    torch.testing.assert_close(torch.autograd.grad(own, images, grad)[0], expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-3, 1e30])
def test_gradients_of_any_size_keep_their_digits(scale):
    images, grid, grad = draw((8, 8))
    plain = spread_gradient(grad, grid, images.shape, "zeros")
    scaled = spread_gradient(grad * scale, grid, images.shape, "zeros")
    torch.testing.assert_close(scaled / scale, plain, rtol=1e-4, atol=1e-6)


def test_the_order_of_positions_changes_no_bit():
    images, grid, grad = draw((6, 6))
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    expected = spread_gradient(grad, grid, images.shape, "border")
    assert spread_gradient(grad[:, :, order], grid[:, order], images.shape, "border").equal(expected)


def test_an_image_alone_has_the_same_bits_as_in_a_batch():
    images, grid, grad = draw((9, 5))
    together = spread_gradient(grad, grid, images.shape, "reflection")
    alone = spread_gradient(grad[1:], grid[1:], images[1:].shape, "reflection")
    assert together[1:].equal(alone)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite_makes_its_image_not_finite(bad):
    images, grid, grad = draw((6, 6))
    grad[0, 1, 20, 3] = bad
    found = spread_gradient(grad, grid, images.shape, "zeros")
    assert not found[0].isfinite().any()
    assert found[1].isfinite().all()


def test_a_gradient_of_zero_stays_zero():
    images, grid, grad = draw((6, 6))
    assert not spread_gradient(0 * grad, grid, images.shape, "zeros").any()
