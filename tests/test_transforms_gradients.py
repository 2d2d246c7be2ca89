"""Transforms that rescale the gradient of each image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from optvis.transforms import Compose, Jitter, NormalizeGradient, NormalizeGradientRMS

from .transform_members import SEEDS, random_images, streams

SIZES = {"norm": (NormalizeGradient, 1.0), "norm 3": (NormalizeGradient, 3.0)}
RMS = {"rms": (NormalizeGradientRMS, 1.0), "rms 0.2": (NormalizeGradientRMS, 0.2)}
each_one = pytest.mark.parametrize(("make", "size"), (SIZES | RMS).values(), ids=SIZES | RMS)


def upstream_gradient(images: Tensor, seed: int = 3) -> Tensor:
    """Build a gradient for each image, with very different norms."""
    grad = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed), dtype=images.dtype)
    return grad * torch.tensor([1.0, 1e-6, 1e8, 1e-3], dtype=images.dtype).view(-1, 1, 1, 1)


def gradient(transform: Any, images: Tensor, grad: Tensor, *seeds: int) -> Tensor:
    images = images.clone().requires_grad_()
    return torch.autograd.grad(transform(images, streams(*seeds)), images, grad)[0]


@each_one
@pytest.mark.parametrize("shape", [(13, 18), (1, 1), (5, 2)], ids=str)
def test_each_gradient_keeps_its_direction_and_gets_the_norm(make: Any, size: float, shape: tuple[int, int]) -> None:
    images = random_images(*shape)
    found = gradient(make(size), images, upstream_gradient(images), *SEEDS)
    for one, result in zip(upstream_gradient(images).numpy(), found.numpy(), strict=True):
        squares = [number * number for number in one.ravel()]
        of = math.sqrt(sum(squares)) if make is NormalizeGradient else math.sqrt(sum(squares) / len(squares))
        np.testing.assert_allclose(result, one * size / of, rtol=1e-12, atol=0)


@each_one
def test_gradients_are_the_same_alone_and_in_a_batch(make: Any, size: float) -> None:
    images = random_images()
    together = gradient(make(size), images, upstream_gradient(images), *SEEDS)
    for i, seed in enumerate(SEEDS):
        alone = gradient(make(size), images[i : i + 1], upstream_gradient(images)[i : i + 1], seed)
        assert_close(alone, together[i : i + 1], rtol=1e-14, atol=0)


@each_one
def test_a_zero_gradient_stays_zero_and_does_not_change_others(make: Any, size: float) -> None:
    images, grad = random_images(), upstream_gradient(random_images())
    grad[1] = 0
    found = gradient(make(size), images, grad, *SEEDS)
    assert not found[1].any()
    assert found.isfinite().all()
    assert torch.equal(found[0], gradient(make(size), images, upstream_gradient(images), *SEEDS)[0])


@each_one
def test_gradients_whose_squares_underflow_or_overflow_are_scaled(make: Any, size: float) -> None:
    images = torch.rand(2, 3, 4, 5)
    grad = torch.ones_like(images)
    grad[0] *= 1e-30
    grad[1] *= 1e30
    found = gradient(make(size), images, grad, 1, 2)
    norm = size if make is NormalizeGradient else size * math.sqrt(60)
    assert_close(found.flatten(1).norm(dim=1), torch.full((2,), norm))


@each_one
def test_the_images_do_not_change_and_allow_changes_in_place(make: Any, size: float) -> None:
    images = random_images().requires_grad_()
    output = make(size)(images * 1, streams(*SEEDS))
    assert torch.equal(output, images)
    assert torch.autograd.grad(output.mul_(2).sum(), images)[0].isfinite().all()


def test_only_the_gradient_from_later_transforms_is_scaled() -> None:
    images = random_images(9, 8)
    grad = upstream_gradient(images)
    found = gradient(Compose(NormalizeGradient(), Jitter(3)), images, grad, *SEEDS)
    warped_back = gradient(Jitter(3), images, grad, *SEEDS)
    expected = warped_back / warped_back.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert_close(found, expected, rtol=1e-12, atol=0)
    other = gradient(Compose(Jitter(3), NormalizeGradient()), images, grad, *SEEDS)
    unit = grad / grad.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    assert_close(other, gradient(Jitter(3), images, unit, *SEEDS), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("make", [NormalizeGradient, NormalizeGradientRMS])
@pytest.mark.parametrize("size", [0, -1.0, math.inf, math.nan])
def test_a_norm_that_is_not_positive_raises(make: Any, size: float) -> None:
    with pytest.raises(ValueError, match=f"{make.__name__} got {size!r}; expected a positive number"):
        make(size)
