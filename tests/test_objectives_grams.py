"""Gram matrices: compared with a double loop, and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from optvis.objectives import gram, gram_distance, gram_matrix

from . import oracles

A = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_gram_matrix_equals_a_double_loop() -> None:
    expected = np.stack([oracles.gram_matrix(a.numpy()) / 20 for a in A])
    assert_close(gram_matrix(A), torch.from_numpy(expected))
    assert_close(gram_matrix(A.movedim(1, -1), channel_axis=-1), torch.from_numpy(expected))


def test_gram_is_the_sum_of_the_matrix_times_positions() -> None:
    assert_close(gram("l")({"l": A}), 20 * gram_matrix(A).sum((1, 2)))


def test_the_gram_matrix_ignores_positions() -> None:
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    shuffled = A.flatten(2)[:, :, order].view(A.shape)
    assert_close(gram_matrix(shuffled), gram_matrix(A))
    assert_close(gram_matrix(A.repeat(1, 1, 2, 3)), gram_matrix(A))


@pytest.mark.parametrize("power", [1, 2, 0.5])
def test_the_distance_from_itself_is_zero_and_from_zero_the_norm(power: float) -> None:
    own = gram_matrix(A)
    assert gram_distance("l", own, power=power)({"l": A}).tolist() == [0.0, 0.0]
    nothing = gram_distance("l", torch.zeros(3, 3), power=power)({"l": A})
    assert_close(nothing, own.abs().pow(power).mean((1, 2)))


@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 4), (1, 1, 3, 3), ()], ids=str)
def test_a_target_that_is_not_square_raises(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"expected \(C, C\), or one per image, \(B, C, C\)"):
        gram_distance("l", torch.zeros(shape))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_target_of_another_number_of_channels_raises(channels: int) -> None:
    with pytest.raises(ValueError, match=f"a Gram matrix of {channels} channels for a layer of 3"):
        gram_distance("l", torch.zeros(channels, channels))({"l": A})


@pytest.mark.parametrize("power", [0, -1, math.nan])
def test_a_power_that_is_not_positive_raises(power: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        gram_distance("l", torch.zeros(3, 3), power=power)
