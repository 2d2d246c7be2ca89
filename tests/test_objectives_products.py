"""Objective times objective: the product of scores, image by image."""

from __future__ import annotations

import pickle
from functools import reduce
from operator import mul
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import optvis.objectives
from optvis import Classifier, render
from optvis.objectives import IMAGE, Decay, Objective, alignment, channel, direction, l1, logit, neuron, on

from .ids import stable_id

GENERATOR = torch.Generator().manual_seed(4)
A = torch.randn(3, 5, 4, 4, dtype=torch.float64, generator=GENERATOR)
B = torch.randn(3, 6, 2, 2, dtype=torch.float64, generator=GENERATOR)
LOGITS = torch.randn(3, 2, dtype=torch.float64, generator=GENERATOR)
ACTS = {"a": A, "b": B, "": LOGITS, IMAGE: torch.rand(3, 3, 8, 8, dtype=torch.float64, generator=GENERATOR)}
ONE, OTHER, THIRD = channel("a", [1, 0, 4]), neuron("b", 3), direction("a", torch.eye(5)[:3])
W = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)


def energy(a: Tensor, above: Tensor) -> Tensor:
    return (a.flatten(1) - above.view(-1, 1)).square().mean(1)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (ONE * OTHER, lambda p, q, r: p * q),
        (ONE * ONE, lambda p, q, r: p * p),
        (ONE * OTHER * THIRD, lambda p, q, r: p * q * r),
        (ONE * (OTHER * THIRD), lambda p, q, r: p * q * r),
        (2 * ONE * (W * OTHER), lambda p, q, r: 2 * p * W * q),
        ((ONE - 2 * THIRD) * (OTHER + 3), lambda p, q, r: (p - 2 * r) * (q + 3)),
        ((ONE + OTHER) * (ONE - OTHER), lambda p, q, r: p * p - q * q),
        (-(ONE * OTHER) / 4 + THIRD, lambda p, q, r: r - p * q / 4),
    ],
    ids=stable_id,
)
def test_products_of_objectives_are_products_of_scores(objective: Objective, expected: Any) -> None:
    assert_close(objective(ACTS), expected(ONE(ACTS), OTHER(ACTS), THIRD(ACTS)), rtol=1e-12, atol=1e-12)


def test_gradients_follow_the_product_rule_even_at_zero_scores() -> None:
    a, b = A.clone().requires_grad_(), B.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: (ONE * OTHER * THIRD)({"a": x, "b": y}), (a, b), fast_mode=True)
    nothing = torch.zeros_like(A, requires_grad=True)
    (gradient,) = torch.autograd.grad((ONE * OTHER)({"a": nothing, "b": B}).sum(), nothing)
    (alone,) = torch.autograd.grad(ONE({"a": nothing}).sum(), nothing)
    assert_close(gradient, alone * OTHER(ACTS).view(-1, 1, 1, 1))


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (channel("a", 1) * channel("b", 2), "channel('a', 1) * channel('b', 2)"),
        (-2 * channel("a", 1) * l1(), "-2.0 * channel('a', 1) * l1('<image>')"),
        (
            (channel("a", 1) + channel("a", 2)) * (channel("b", 3) - 1),
            "channel('a', 1) * channel('b', 3) - channel('a', 1) * constant('b') + "
            "channel('a', 2) * channel('b', 3) - channel('a', 2) * constant('b')",
        ),
        ([1, 2] * channel("a", 1) * logit(["x", "y"]), "[1.0, 2.0] * channel('a', 1) * logit(['x', 'y'])"),
        (0.5 * channel("a", 1) * OTHER * Decay(0.9), "0.5 * channel('a', 1) * neuron('b', 3) * Decay(rate=0.9)"),
    ],
)
def test_a_product_is_flat_and_prints_without_parentheses(objective: Objective, text: str) -> None:
    assert repr(objective) == text
    again = eval(text, dict(vars(optvis.objectives)))
    assert repr(again) == text
    assert again.names == objective.names
    assert repr(pickle.loads(pickle.dumps(objective))) == text


def test_a_product_of_many_does_not_nest() -> None:
    many = reduce(mul, [channel("a", i % 5) for i in range(500)])
    assert len(many.terms) == 1
    assert many[:2].batch == 1
    assert repr(many).count("channel") == 500
    assert many.layers == ("a",)


def test_a_slice_of_a_product_is_the_product_of_slices() -> None:
    product = W * ONE * OTHER * on("a", energy, [1.0, 2.0, 3.0])
    assert product.batch == 3
    for i in range(3):
        alone = product[i : i + 1]({name: a[i : i + 1] for name, a in ACTS.items()})
        assert_close(alone, product(ACTS)[i : i + 1])
    assert_close(pickle.loads(pickle.dumps(product))(ACTS), product(ACTS))


def test_labels_in_a_product_are_resolved() -> None:
    product = ONE * logit(["dog", "cat", "cat"])
    resolved = product.resolve(["cat", "dog"])
    assert_close(resolved(ACTS), ONE(ACTS) * LOGITS[torch.arange(3), torch.tensor([1, 0, 0])])
    with pytest.raises(ValueError, match="without labels"):
        product(ACTS)


def test_a_product_couples_images_or_is_custom_if_a_factor_is() -> None:
    assert (ONE * alignment("b")).couples_images
    assert not (ONE * OTHER).couples_images
    assert (ONE * on("a", energy, 1.0)).has_custom_terms
    assert not (ONE * OTHER).has_custom_terms
    with pytest.raises(ValueError, match="couples images"):
        _ = (ONE * alignment("b"))[:1]


def test_term_scores_name_the_factors() -> None:
    assert list((ONE * OTHER + ONE).term_scores(ACTS)) == ["channel a × neuron b", "channel a"]


def test_factors_for_different_numbers_of_images_raise() -> None:
    with pytest.raises(ValueError, match="mixes targets or weights for 2 and for 3 images"):
        _ = ONE * channel("b", [0, 1])
    with pytest.raises(ValueError, match="mixes targets or weights for 2 and for 3 images"):
        _ = W * OTHER * ([1, 2] * OTHER)


def test_a_factor_without_a_score_per_image_raises() -> None:
    with pytest.raises(ValueError, match=r"mean a returned \(\); expected \(3,\)"):
        (ONE * on("a", torch.mean))(ACTS)


def test_a_channel_outside_the_layer_names_the_factor() -> None:
    with pytest.raises(IndexError, match="channel b: index 6 is outside"):
        (ONE * channel("b", 6))(ACTS)


def test_division_by_an_objective_raises() -> None:
    with pytest.raises(TypeError, match="expected a number"):
        _ = ONE / OTHER


def test_a_product_renders_and_a_wrong_channel_raises_before_the_first_step(small: Classifier) -> None:
    product = channel("conv2", [1, 5]) * channel("conv1", 3)
    rendering = render(small, product, size=16, steps=2, progress=False)
    parts = render(small, product, size=16, steps=2, batch_size=1, progress=False)
    assert_close(rendering.images, parts.images, rtol=1e-9, atol=1e-9)
    assert rendering.recipe["objective"] == "channel('conv2', [1, 5]) * channel('conv1', 3)"
    with pytest.raises(IndexError, match="channel conv1: index 99"):
        render(small, channel("conv2", 1) * channel("conv1", 99), size=16, steps=0, progress=False)
