"""Penalties on the image: values computed by hand, symmetries, and errors."""

from __future__ import annotations

import re

import pytest
import torch
from torch.testing import assert_close

from optvis.objectives import (
    IMAGE,
    blur_alpha_each_step,
    blur_input_each_step,
    input_diff,
    penalize_boundary_complexity,
    total_variation,
)

X = torch.rand(2, 3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def variation(images: torch.Tensor) -> torch.Tensor:
    return total_variation()({IMAGE: images})


def test_values_computed_by_hand() -> None:
    assert variation(torch.tensor([[[[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]]])).tolist() == [1 + 2 + 2 + 1 + 1]


def test_total_variation_of_a_constant_image_is_zero() -> None:
    assert variation(torch.full((2, 3, 4, 4), 0.3)).tolist() == [0.0, 0.0]
    assert variation(torch.rand(1, 3, 1, 1)).tolist() == [0.0]


def test_total_variation_does_not_change_with_flips_rotations_and_levels() -> None:
    for same in (X.flip(2), X.flip(3), X.mT, X + 1, -X):
        assert_close(variation(same), variation(X))


def test_total_variation_grows_with_contrast() -> None:
    assert_close(variation(3 * X), 3 * variation(X))


@pytest.mark.parametrize("shape", [(2, 3), (2, 7, 3), (2, 3, 4, 4, 4)], ids=str)
def test_a_layer_without_rows_and_columns_raises(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape("needs rows and columns, (B, C, H, W)")):
        total_variation("l")({"l": torch.zeros(shape)})


# Blur, border, difference


def test_a_step_along_the_gradient_blurs() -> None:
    """x ← x − k · gradient is (1 − k) x + k · blur x; k = 1 is the blur, with double weight in its centre."""
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(blur_input_each_step()({IMAGE: x}).sum(), x)
    ones = torch.nn.functional.avg_pool2d(X, 3, 1, 1, divisor_override=1)
    counts = torch.nn.functional.avg_pool2d(torch.ones_like(X), 3, 1, 1, divisor_override=1)
    assert_close(X - gradient, (ones + X) / (counts + 1))


def test_the_blur_does_not_change_a_constant_image() -> None:
    flat = torch.full((2, 3, 4, 7), 0.3, dtype=torch.float64)
    assert_close(blur_input_each_step()({IMAGE: flat}), torch.zeros(2, dtype=torch.float64), atol=1e-30, rtol=0)


def test_the_blur_works_with_any_number_of_channels_and_tiny_images() -> None:
    assert blur_input_each_step()({IMAGE: torch.rand(2, 4, 1, 1)}).tolist() == [0.0, 0.0]
    each = torch.stack([blur_input_each_step()({IMAGE: X[:, c : c + 1]}) for c in range(3)])
    assert_close(blur_input_each_step()({IMAGE: X}), each.sum(0))


def test_a_grey_border_and_the_inside_have_no_penalty() -> None:
    x = torch.full((1, 3, 50, 46), 0.5, dtype=torch.float64)
    x[:, :, 22:-22, 22:-22] = torch.rand(3, 6, 2, dtype=torch.float64)
    assert penalize_boundary_complexity()({IMAGE: x}).tolist() == [0.0]
    assert (penalize_boundary_complexity(width=21)({IMAGE: x}) < 0).all()


def test_a_mask_weights_the_penalty() -> None:
    inside = torch.ones(5, 7, dtype=torch.float64)
    inside[1:-1, 1:-1] = 0
    by_width = penalize_boundary_complexity(width=1)({IMAGE: X})
    masked = penalize_boundary_complexity(2 * torch.stack([inside, 0 * inside]))
    assert_close(masked({IMAGE: X}), 2 * by_width * torch.tensor([1, 0]))
    assert_close(penalize_boundary_complexity(inside)({IMAGE: X}), by_width)
    everything = penalize_boundary_complexity(torch.ones(5, 7))
    assert_close(everything({IMAGE: X}), penalize_boundary_complexity()({IMAGE: X}))
    assert repr(penalize_boundary_complexity([[1.0, 0.0]])) == "penalize_boundary_complexity([[1.0, 0.0]])"
    assert repr(penalize_boundary_complexity(width=3)) == "penalize_boundary_complexity(width=3)"


def test_a_wrong_border_raises() -> None:
    with pytest.raises(ValueError, match="width is 0; expected 1 or more"):
        penalize_boundary_complexity(width=0)
    with pytest.raises(ValueError, match=re.escape("expected (H, W), or one per image, (B, H, W)")):
        penalize_boundary_complexity(torch.ones(1, 1, 5, 7))
    with pytest.raises(ValueError, match=re.escape("a mask of (5, 6) for images of (5, 7) pixels")):
        penalize_boundary_complexity(torch.ones(5, 6))({IMAGE: X})


def test_input_diff_is_a_root_mean_square_with_a_finite_gradient_at_zero() -> None:
    x = X.clone().requires_grad_()
    scores = input_diff(X)({IMAGE: x})
    assert scores.tolist() == [0.0, 0.0]
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    assert (gradient == 0).all()
    assert_close(input_diff(X)({IMAGE: X + 0.25}), torch.full((2,), 0.25, dtype=torch.float64))
    assert input_diff(X).batch == 2
    assert input_diff(X[0]).batch == 1


def test_an_image_of_another_shape_raises() -> None:
    with pytest.raises(ValueError, match=re.escape("expected (3, H, W), or one per image, (B, 3, H, W)")):
        input_diff(torch.zeros(4))
    with pytest.raises(ValueError, match="resize it to the canvas's size"):
        input_diff(torch.zeros(3, 5, 6))({IMAGE: X})


def test_the_blur_of_alpha_uses_the_fourth_channel_only() -> None:
    x = torch.rand(2, 4, 5, 7, dtype=torch.float64, requires_grad=True)
    scores = blur_alpha_each_step()({IMAGE: x})
    assert_close(scores, blur_input_each_step()({IMAGE: x[:, 3:]}))
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    assert not gradient[:, :3].any()
    assert gradient[:, 3].any()
    assert repr(blur_alpha_each_step()) == "blur_alpha_each_step()"


def test_images_without_alpha_raise() -> None:
    with pytest.raises(ValueError, match=r"images are \(2, 3, 5, 5\); expected alpha as the last of 4 channels"):
        blur_alpha_each_step()({IMAGE: torch.rand(2, 3, 5, 5)})
