"""Directions: relations to channels and to each other, and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from optvis.objectives import channel, cosine, direction, direction_neuron, neuron

A = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
V = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
ACTS = {"l": A}


def test_a_one_hot_direction_is_a_channel() -> None:
    for c, one_hot in enumerate(torch.eye(3, dtype=torch.float64)):
        assert_close(direction("l", one_hot)(ACTS), channel("l", c)(ACTS))
        assert_close(direction_neuron("l", one_hot)(ACTS), neuron("l", c)(ACTS))
        assert_close(direction_neuron("l", one_hot, 1, 4)(ACTS), neuron("l", c, 1, 4)(ACTS))


def test_a_dot_product_is_linear_in_the_direction() -> None:
    parts = sum(float(v) * channel("l", c) for c, v in enumerate(V))
    assert_close(direction("l", V)(ACTS), parts(ACTS))


def test_a_cosine_ignores_lengths() -> None:
    scores = cosine("l", V)(ACTS)
    assert_close(cosine("l", 1000 * V)({"l": 1000 * A}), scores, rtol=2e-3, atol=2e-3)
    assert_close(
        cosine("l", V)({"l": V.view(1, 3, 1, 1) * 10**6}), torch.ones(1, dtype=torch.float64), atol=1e-3, rtol=0
    )


def test_a_power_does_not_change_scores_of_parallel_vectors() -> None:
    along = {"l": 1e6 * V.view(1, 3, 1, 1)}
    assert_close(direction("l", V, power=4)(along), direction("l", V)(along), rtol=1e-3, atol=0)


def test_each_power_scales_scores_of_orthogonal_vectors_by_a_tenth() -> None:
    away = {"l": -V.view(1, 3, 1, 1)}
    assert_close(direction("l", V, power=2)(away), 0.01 * direction("l", V)(away))
    assert_close(direction_neuron("l", V, power=3)(away), 0.001 * direction_neuron("l", V)(away))


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        np.array([[1, 2, 3], [4, 5, 6.0]]),
        [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0])],
        [np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])],
        torch.tensor([[1, 2, 3], [4, 5, 6]]),
    ],
    ids=["lists", "array", "tensors", "arrays", "integers"],
)
def test_a_direction_per_image_may_be_any_sequence_of_rows(rows: Any) -> None:
    objective = direction("l", rows)
    assert objective.batch == 2
    expected = torch.einsum("bcyx,bc->b", A, torch.tensor([[1.0, 2, 3], [4, 5, 6]], dtype=torch.float64)) / 20
    assert_close(objective(ACTS), expected)


def test_a_direction_is_copied() -> None:
    vector, array = V.clone(), V.clone().numpy()
    objectives = [direction("l", vector), direction("l", array)]
    before = [objective(ACTS) for objective in objectives]
    vector.zero_()
    array[:] = 0
    assert all(torch.equal(objective(ACTS), old) for objective, old in zip(objectives, before, strict=True))


def test_a_read_only_array_gives_no_warning() -> None:
    array = np.arange(3.0)
    array.flags.writeable = False
    assert direction("l", array).batch == 1


@pytest.mark.parametrize("make", [direction, direction_neuron, cosine])
@pytest.mark.parametrize("vector", [1.0, torch.zeros(2, 3, 1), torch.zeros(1, 0), []], ids=str)
def test_a_wrong_direction_raises(make: Any, vector: Any) -> None:
    with pytest.raises(ValueError, match=r"expected \(C,\), or one per image, \(B, C\)"):
        make("l", vector)


@pytest.mark.parametrize("make", [direction, direction_neuron, cosine])
@pytest.mark.parametrize("vector", ["up", None, [1.0, None], [[1.0], [1.0, 2.0]]], ids=str)
def test_a_direction_without_numbers_raises(make: Any, vector: Any) -> None:
    with pytest.raises(TypeError, match="expected numbers"):
        make("l", vector)


@pytest.mark.parametrize("make", [direction, direction_neuron, cosine])
@pytest.mark.parametrize("length", [1, 4])
def test_a_direction_of_another_length_raises(make: Any, length: int) -> None:
    with pytest.raises(ValueError, match=f"a direction of {length} numbers in a layer of 3 channels"):
        make("l", torch.ones(length, dtype=torch.float64))(ACTS)


@pytest.mark.parametrize("make", [direction, direction_neuron])
@pytest.mark.parametrize("power", [-1, -1e-9, math.nan])
def test_a_negative_power_raises(make: Any, power: float) -> None:
    with pytest.raises(ValueError, match="expected 0 or more"):
        make("l", V, power=power)


def test_wrong_positions_raise_as_for_neuron() -> None:
    with pytest.raises(ValueError, match="got x without y"):
        direction_neuron("l", V, x=1)
    with pytest.raises(ValueError, match="give y and x"):
        direction_neuron("l", V, 1)(ACTS)
    with pytest.raises(IndexError, match=r"4 is outside 0\.\.3"):
        direction_neuron("l", V, 4, 0)(ACTS)
    with pytest.raises(TypeError, match=r"y must be int, .*got float 1\.5"):
        direction_neuron("l", V, 1.5, 0)  # type: ignore[arg-type]
