"""Objectives of images that see each other: their symmetries, their constants, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from optvis import Classifier, render
from optvis.objectives import alignment, channel, diversity, interpolate

A = torch.randn(7, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_alignment_sums_to_the_formula_whatever_the_number_of_images() -> None:
    for images in range(1, 8):
        a = A[:images]
        pairs = [(i, i + d, 2.0**d) for d in (1, 2, 3, 4) for i in range(images - d)]
        expected = -sum(float((a[i] - a[j]).square().mean()) / weight for i, j, weight in pairs)
        assert math.isclose(float(alignment("l")({"l": a}).sum()), expected, rel_tol=1e-12, abs_tol=1e-15)


def test_a_sum_of_alignment_has_the_gradient_of_the_formula() -> None:
    a = A.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(alignment("l")({"l": a}).sum(), a)
    neighbours = [(i, j) for i in range(7) for j in range(7) if 1 <= abs(i - j) <= 4]
    expected = torch.zeros_like(A)
    for i, j in neighbours:
        expected[i] -= 2 * (A[i] - A[j]) / A[0].numel() / 2.0 ** abs(i - j)
    assert_close(gradient, expected)


def test_images_more_than_four_apart_are_not_compared() -> None:
    a = torch.zeros(6, 1, 1, 1, dtype=torch.float64)
    a[5] = 1
    assert alignment("l")({"l": a})[0] == 0
    assert (alignment("l")({"l": a})[1:] < 0).all()


def test_equal_images_are_aligned() -> None:
    assert alignment("l")({"l": A[:1].expand(5, -1, -1, -1)}).tolist() == [0.0] * 5


@pytest.mark.parametrize("ratio", [0, -1, math.nan])
def test_a_ratio_that_is_not_positive_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        alignment("l", decay_ratio=ratio)


def test_diversity_is_a_sum_of_cosines() -> None:
    same = A[:1].expand(4, -1, -1, -1)
    assert_close(diversity("l")({"l": same}), torch.full((4,), 3.0, dtype=torch.float64))
    apart = torch.eye(3, dtype=torch.float64).view(3, 3, 1, 1)
    assert_close(diversity("l")({"l": apart}), torch.zeros(3, dtype=torch.float64))
    assert_close(diversity("l")({"l": A[:1]}), torch.zeros(1, dtype=torch.float64))


def test_diversity_knows_neither_strength_nor_place() -> None:
    expected = diversity("l")({"l": A})
    strengths = torch.arange(1, 8).view(-1, 1, 1, 1)
    assert_close(diversity("l")({"l": A * strengths}), expected)
    assert_close(diversity("l")({"l": A.flip(2, 3)}), expected)


def test_images_of_one_channel_become_different(small: Classifier) -> None:
    one = channel("conv2", [3, 3, 3])
    for question in (one - 100 * diversity("conv1"), interpolate("conv2:3", "conv2:3", 3) + alignment("conv1")):
        made = render(small, question, size=16, steps=2, progress=False)
        assert made.recipe["seeds"] == [0, 1, 2]
        assert not torch.equal(made.images[0], made.images[1])
        with pytest.raises(ValueError, match="couples images"):
            render(small, question, size=16, steps=2, chunk=2, progress=False)
