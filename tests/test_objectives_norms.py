"""Norms: values computed by hand, limits, and errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from optvis.objectives import IMAGE, l1, l2, layer_norm, mean_square

A = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_values_computed_by_hand() -> None:
    acts = {"l": torch.tensor([[3.0, -4.0], [0.0, 1.0]])}
    assert layer_norm("l")(acts).tolist() == [5.0, 1.0]
    assert layer_norm("l", p=1)(acts).tolist() == [7.0, 1.0]
    assert layer_norm("l", p=math.inf)(acts).tolist() == [4.0, 1.0]
    assert layer_norm("l", [1, 0])(acts).tolist() == [4.0, 0.0]
    assert mean_square("l")(acts).tolist() == [12.5, 0.5]
    assert l1("l", constant=1)(acts).tolist() == [7.0, 1.0]
    assert_close(l2("l", constant=1, epsilon=0.25)(acts), torch.tensor([29.25, 1.25]).sqrt())


def test_the_default_layer_is_the_image() -> None:
    assert l1().layers == l2().layers == (IMAGE,)


def test_the_norm_of_a_layer_is_the_norm_of_its_channels_norms() -> None:
    each = torch.stack([layer_norm("l", c)({"l": A}) for c in range(3)])
    assert_close(layer_norm("l")({"l": A}), each.square().sum(0).sqrt())


def test_the_mean_square_is_the_squared_norm_divided_by_the_count() -> None:
    assert_close(mean_square("l")({"l": A}), layer_norm("l")({"l": A}).square() / A[0].numel())


def test_norms_decrease_with_p() -> None:
    norms = torch.stack([layer_norm("l", p=p)({"l": A}) for p in (1, 1.5, 2, 3, 10, math.inf)])
    assert (norms.diff(dim=0) < 0).all()


@pytest.mark.parametrize("p", [0.5, 0, -1, math.nan, -math.inf])
def test_p_below_one_raises(p: float) -> None:
    with pytest.raises(ValueError, match="a norm needs p >= 1"):
        layer_norm("l", p=p)


def test_epsilon_keeps_the_gradient_of_the_root_finite() -> None:
    x = torch.full((1, 4), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(l2(constant=0.5)({IMAGE: x}).sum(), x)
    assert gradient.tolist() == [[0.0] * 4]
