"""Caricatures and whitening: values computed by hand, differences from Lucid, and errors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from optvis import Classifier, activations, render
from optvis.objectives import (
    caricature,
    channel_weights,
    cosine,
    direction,
    direction_neuron,
    dot_compare,
    tensor_direction,
    whitening,
)

from . import oracles

GENERATOR = torch.Generator().manual_seed(1)
A = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=GENERATOR)
GIVEN = torch.randn(1, 3, 4, 5, dtype=torch.float64, generator=GENERATOR)
ACTS = {"l": A}


def test_with_power_zero_both_are_the_dot_product_of_layers() -> None:
    expected = (A * GIVEN).sum((1, 2, 3))
    assert_close(caricature("l", GIVEN)(ACTS), expected)
    assert_close(dot_compare("l", GIVEN)(ACTS), expected)


@pytest.mark.parametrize("make", [caricature, dot_compare])
def test_the_cosine_divides_by_both_norms(make: Any) -> None:
    """The score is proportional to the target; divided by one norm it would grow with a higher power."""
    acts = {"l": 100 * A.abs()}
    ratio = make("l", 1e4 * GIVEN.abs(), power=2)(acts) / make("l", 1e3 * GIVEN.abs(), power=2)(acts)
    assert_close(ratio, torch.full_like(ratio, 10), rtol=1e-4, atol=0)
    alike = make("l", 100 * A, power=3)({"l": 100 * A})
    assert_close(alike, (100 * A).square().sum((1, 2, 3)), rtol=1e-4, atol=0)


def test_caricature_has_a_cosine_per_position_and_dot_compare_one_for_the_layer() -> None:
    target = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]], dtype=torch.float64)[..., None]  # two channels, two positions
    a = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)[..., None]
    assert_close(caricature("l", target, power=2)({"l": a}), torch.ones(1, dtype=torch.float64), rtol=1e-3, atol=0)
    half = torch.tensor([0.25], dtype=torch.float64)  # cos² = (1 / √2 / √2)²
    assert_close(dot_compare("l", target, power=2)({"l": a}), half, rtol=1e-5, atol=0)


@pytest.mark.parametrize("make", [caricature, dot_compare])
@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (1, 3, 1, 1), (1, 1, 4, 5), (2, 3, 4, 5)], ids=str)
def test_the_positive_part_of_an_attribution_weights_the_target(make: Any, shape: tuple[int, ...]) -> None:
    attribution = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = make("l", GIVEN, attribution=attribution, power=1)
    assert_close(found(ACTS), make("l", GIVEN * attribution.clamp(min=0), power=1)(ACTS))
    assert found.batch == shape[0]


def test_the_attribution_of_a_class_keeps_positive_contributions(small: Classifier) -> None:
    image = torch.rand(1, 3, 20, 20, dtype=torch.float64, generator=GENERATOR)
    target = activations(small, image, ["conv2"])["conv2"].detach().requires_grad_()
    with torch.no_grad():
        weights = small.network.get_submodule("fc").weight[1].clone()
    logit = (target.relu().mean((2, 3)) * weights).sum()
    (gradient,) = torch.autograd.grad(logit, target)
    objective = caricature("conv2", target, attribution=target * gradient, power=1)
    target = objective.terms[0].targets[0]
    assert isinstance(target, torch.Tensor)
    assert (target[:, weights < 0] == 0).all()
    rendering = render(small, objective, size=20, steps=3, progress=False)
    assert rendering.scores[-1] > rendering.scores[0]


@pytest.mark.parametrize("make", [caricature, dot_compare])
def test_a_target_that_does_not_fit_raises(make: Any) -> None:
    with pytest.raises(ValueError, match="at the canvas's size"):
        make("l", GIVEN[:, :, :2])(ACTS)
    with pytest.raises(ValueError, match="expected activations in the layer's layout"):
        make("l", [1.0, 2.0])
    with pytest.raises(TypeError, match="expected numbers"):
        make("l", "photo.jpg")
    with pytest.raises(ValueError, match=r"attribution is \(1, 2, 4, 5\); expected the target's shape"):
        make("l", GIVEN, attribution=GIVEN[:, :2])
    with pytest.raises(ValueError, match=r"attribution is \(1, 3, 4, 5\); expected the target's shape"):
        make("l", GIVEN[:, :, :1, :1], attribution=GIVEN)
    with pytest.raises(ValueError, match="expected 0 or more"):
        make("l", GIVEN, power=-1)


# Whitening, patches, weights


def test_whitening_is_the_inverse_of_the_second_moment() -> None:
    samples = torch.randn(40, 3, 2, 2, dtype=torch.float64, generator=GENERATOR) + 1
    expected = oracles.whitening(samples.permute(0, 2, 3, 1).reshape(-1, 3).numpy())
    assert_close(whitening(samples), torch.from_numpy(expected))
    assert_close(whitening(samples.movedim(1, -1), channel_axis=-1), torch.from_numpy(expected))
    assert_close(whitening(samples.float()), torch.from_numpy(expected), rtol=1e-4, atol=1e-5)


def test_whitening_recovers_the_source_of_correlated_channels() -> None:
    """If v = M e, the activations that occur together with a channel, then v S is that channel."""
    samples = torch.randn(50, 3, dtype=torch.float64, generator=GENERATOR) @ torch.randn(3, 3, dtype=torch.float64)
    moment = samples.mT @ samples / len(samples)
    for c, one_hot in enumerate(torch.eye(3, dtype=torch.float64)):
        for make in (direction, direction_neuron, cosine):
            found = make("l", moment[c], whitening=whitening(samples))
            assert_close(found(ACTS), make("l", one_hot)(ACTS))


def test_whitening_leaves_out_channels_that_are_never_active() -> None:
    samples = torch.randn(40, 3, dtype=torch.float64, generator=GENERATOR)
    dead = torch.cat([samples[:, :2], torch.zeros(40, 1, dtype=torch.float64), samples[:, 2:]], 1)
    kept = torch.tensor([0, 1, 3])
    assert_close(whitening(dead)[kept][:, kept], whitening(samples))
    assert (whitening(dead)[2] == 0).all()


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (3,), (1, 3, 3)], ids=str)
def test_whitening_of_another_size_raises(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(3, 3\) for this direction"):
        direction("l", torch.ones(3), whitening=torch.ones(shape))


def test_tensor_direction_of_one_position_is_the_centre_and_of_all_a_caricature() -> None:
    v = torch.randn(3, dtype=torch.float64, generator=GENERATOR)
    odd = {"l": A[:, :, :3]}
    assert_close(tensor_direction("l", v.view(3, 1, 1))(odd), direction_neuron("l", v)(odd))
    whole = tensor_direction("l", GIVEN, power=2)(ACTS)
    assert_close(20 * whole, caricature("l", GIVEN, power=2)(ACTS))
    alike = tensor_direction("l", v.view(3, 1, 1).expand(3, 4, 5), power=1)(ACTS)
    assert_close(alike, direction("l", v, power=1)(ACTS))


@pytest.mark.parametrize("shape", [(3, 5, 5), (3, 4, 6)], ids=str)
def test_a_tensor_larger_than_the_layer_raises(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no more rows and columns than the layer's"):
        tensor_direction("l", torch.ones(shape))(ACTS)


def test_a_tensor_of_another_shape_raises() -> None:
    for shape in ((3,), (3, 4), (1, 1, 3, 2, 2), (0, 3, 2, 2)):
        with pytest.raises(ValueError, match="expected"):
            tensor_direction("l", torch.ones(shape))
    with pytest.raises(ValueError, match="a direction of 2 numbers in a layer of 3 channels"):
        tensor_direction("l", torch.ones(2, 2, 2))(ACTS)
    with pytest.raises(ValueError, match="expected 0 or more"):
        tensor_direction("l", torch.ones(3, 2, 2), power=math.nan)


def test_channel_weights_of_another_shape_raise() -> None:
    assert_close(channel_weights("l", [0.5, 0, -2])(ACTS), (A.mean((2, 3)) * torch.tensor([0.5, 0, -2])).sum(1))
    with pytest.raises(ValueError, match="2 weights for a layer of 3 channels"):
        channel_weights("l", [1, 2])(ACTS)
    for wrong in (1.0, [[[1.0]]], []):
        with pytest.raises(ValueError, match=r"expected \(C,\), or one per image|expected a row per image"):
            channel_weights("l", wrong)
