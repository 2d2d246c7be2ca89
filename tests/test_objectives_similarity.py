"""Objectives that compare images: symmetries, constants, and errors."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from optvis import Classifier, render
from optvis.objectives import alignment, channel, diversity, interpolate
from optvis.objectives.similarity import _cosines_by_channels, _cosines_by_positions

from . import oracles

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


def test_alignment_of_equal_images_is_zero() -> None:
    assert alignment("l")({"l": A[:1].expand(5, -1, -1, -1)}).tolist() == [0.0] * 5


@pytest.mark.parametrize("ratio", [0, -1, math.nan])
def test_a_decay_ratio_that_is_not_positive_raises(ratio: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        alignment("l", decay_ratio=ratio)


def test_diversity_is_a_sum_of_cosines() -> None:
    same = A[:1].expand(4, -1, -1, -1)
    assert_close(diversity("l")({"l": same}), torch.full((4,), 3.0, dtype=torch.float64))
    apart = torch.eye(3, dtype=torch.float64).view(3, 3, 1, 1)
    assert_close(diversity("l")({"l": apart}), torch.zeros(3, dtype=torch.float64))
    assert_close(diversity("l")({"l": A[:1]}), torch.zeros(1, dtype=torch.float64))


def test_diversity_ignores_scale_and_position() -> None:
    expected = diversity("l")({"l": A})
    strengths = torch.arange(1, 8).view(-1, 1, 1, 1)
    assert_close(diversity("l")({"l": A * strengths}), expected)
    assert_close(diversity("l")({"l": A.flip(2, 3)}), expected)


def test_diversity_makes_images_of_one_channel_different(small: Classifier) -> None:
    one = channel("conv2", [3, 3, 3])
    for objective in (one - 100 * diversity("conv1"), interpolate("conv2:3", "conv2:3", 3) + alignment("conv1")):
        rendering = render(small, objective, size=16, steps=2, progress=False)
        assert rendering.recipe["seeds"] == [0, 1, 2]
        assert not torch.equal(rendering.images[0], rendering.images[1])
        with pytest.raises(ValueError, match="couples images"):
            render(small, objective, size=16, steps=2, batch_size=2, progress=False)


@pytest.mark.parametrize("shape", [(3, 4, 5), (9, 2, 2), (2,)], ids=str)  # more positions than channels, fewer, none
@pytest.mark.parametrize("size", [1, 2, 4])
def test_diversity_in_groups_equals_that_of_each_group_alone(shape: tuple[int, ...], size: int) -> None:
    a = torch.randn(8, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = [oracles.diversity(part.numpy()) for part in (a if len(shape) > 1 else a[:, :, None]).split(size)]
    found = diversity("l", group_size=size)({"l": a})
    assert_close(found, torch.tensor(expected, dtype=torch.float64).flatten())


@pytest.mark.parametrize("shape", [(3, 4, 5), (9, 2, 2)], ids=str)
def test_both_ways_to_compare_gram_matrices_have_the_same_gradient(shape: tuple[int, ...]) -> None:
    f = torch.randn(2, 3, shape[0], shape[1] * shape[2], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
    by_channels, by_positions = (
        torch.autograd.grad((way(f) * weights).sum(), f)[0] for way in (_cosines_by_channels, _cosines_by_positions)
    )
    assert_close(by_positions, by_channels)


def test_images_without_activation_have_similarity_zero_and_a_finite_gradient() -> None:
    for places in (1, 30):
        a = torch.zeros(4, 3, places, dtype=torch.float64, requires_grad=True)
        scores = diversity("l", channel_axis=1)({"l": a})
        (gradient,) = torch.autograd.grad(scores.sum(), a)
        assert scores.tolist() == [0.0] * 4
        assert gradient.isfinite().all()


def test_slices_cannot_split_a_group() -> None:
    objective = channel("l", range(8)) - diversity("l", group_size=4)
    assert (objective.couples_images, objective.group_size, objective[4:].batch) == (True, 4, 4)
    scores = objective({"l": A.repeat(2, 1, 1, 1)[:8].repeat(1, 3, 1, 1)})
    assert_close(objective[4:]({"l": A.repeat(2, 1, 1, 1)[4:8].repeat(1, 3, 1, 1)}), scores[4:])
    for rows in (slice(2, 6), slice(0, 6), slice(None, None, 2)):
        with pytest.raises(ValueError, match=r"each 4 successive images.*multiple of 4"):
            _ = objective[rows]


def test_sums_and_products_use_the_least_common_multiple_of_group_sizes() -> None:
    two, three, whole = diversity("l", group_size=2), diversity("l", group_size=3), diversity("l")
    assert [one.group_size for one in (two + three, two * three, two + whole, two * whole)] == [6, 6, None, None]
    assert [one.group_size for one in (channel("l", 0), two * channel("l", 0))] == [1, 2]
    assert repr(two) == "diversity('l', group_size=2)"


@pytest.mark.parametrize("size", [0, -4])
def test_group_size_below_one_raises(size: int) -> None:
    with pytest.raises(ValueError, match=r"group_size is -?\d; expected 1 or more"):
        diversity("l", group_size=size)


def test_a_number_of_images_that_is_no_multiple_raises() -> None:
    with pytest.raises(ValueError, match="group_size=4 got 7 images; expected a multiple of 4"):
        diversity("l", group_size=4)({"l": A})


def test_groups_render_alike_alone_and_in_a_batch(small: Classifier) -> None:
    objective = channel("conv2", [3, 3, 5, 5, 7, 7]) - 10 * diversity("conv1", group_size=2)
    together = render(small, objective, size=16, steps=3, progress=False)
    assert together.recipe["seeds"] == [0, 1, 0, 1, 0, 1]
    alone = render(small, objective[2:4], size=16, steps=3, progress=False)
    chunks = render(small, objective, size=16, steps=3, batch_size=4, progress=False)
    assert_close(alone.images, together.images[2:4], atol=1e-9, rtol=0)
    assert_close(chunks.images, together.images, atol=1e-9, rtol=0)


def test_groups_pass_through_the_network_together(small: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optvis.rendering.ascent.PIXELS_PER_BATCH", 5 * 16 * 16)
    objective = channel("conv2", [3] * 8) - diversity("conv1", group_size=4)
    small.network.fuse.calls.clear()
    render(small, objective, size=16, steps=1, progress=False)
    assert small.network.fuse.calls[-2:] == [4, 4]


def test_out_of_memory_halves_the_batch_between_groups(small: Classifier) -> None:
    objective = channel("conv2", [3] * 12) - diversity("conv1", group_size=4)
    small.network.fuse.limit(8)
    rendering = render(small, objective, size=16, steps=1, progress=False)
    assert len(rendering) == 12
    small.network.fuse.limit(3)
    with pytest.raises(torch.OutOfMemoryError):
        render(small, objective, size=16, steps=1, progress=False)
