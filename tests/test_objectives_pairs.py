"""Pairs of objectives, interpolation between objectives, and the shorthand for a channel."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from optvis import Classifier, ascend, dream, render
from optvis.objectives import (
    Objective,
    alignment,
    as_objective,
    channel,
    channel_interpolate,
    direction,
    interpolate,
    layer_norm,
    logit,
    neuron,
    positive_negative,
    text,
)

from .ids import stable_id

A = torch.randn(6, 5, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
ACTS = {"a": A}


def test_positive_negative_is_a_pair_with_opposite_weights() -> None:
    pair = positive_negative(channel("a", 3))
    assert pair.batch == 2
    assert_close(pair({"a": A[:2]}), A[:2, 3].mean((1, 2)) * torch.tensor([1, -1]))
    assert repr(pair) == "[1.0, -1.0] * channel('a', 3)"
    assert repr(positive_negative("a:3")) == repr(pair)
    assert repr(pair[1:]) == "-channel('a', 3)"


def test_an_objective_for_several_images_gives_a_pair_for_each() -> None:
    vectors = torch.eye(5, dtype=torch.float64)[:3]
    three = [1, 2, 3] * channel("a", [1, 0, 4]) + direction("a", vectors) - 0.5 * neuron("a", 2)
    pairs = positive_negative(three)
    assert pairs.batch == 6
    twice = A[[0, 0, 1, 1, 2, 2]]
    expected = three({"a": A[:3]}).repeat_interleave(2) * torch.tensor([1, -1] * 3)
    assert_close(pairs({"a": twice}), expected)
    for factory in (logit, text):
        twice_each = f"{factory.__name__}(['cat', 'cat', 'dog', 'dog'])"
        assert repr(positive_negative(factory(["cat", "dog"]))) == f"[1.0, -1.0, 1.0, -1.0] * {twice_each}"


@pytest.mark.parametrize("images", [1, 2, 3, 6])
def test_interpolation_weights_are_n_over_b_minus_one(images: int) -> None:
    interpolated = interpolate(channel("a", 1), neuron("a", 2), images)
    acts = {"a": A[:images]}
    first, second = channel("a", 1)(acts), neuron("a", 2)(acts)
    weights = [n / (images - 1) if images > 1 else 0.0 for n in range(images)]
    assert_close(
        interpolated(acts), torch.stack([(1 - w) * p + w * q for w, p, q in zip(weights, first, second, strict=True)])
    )
    assert_close(channel_interpolate("a", 1, "a", 2, images)(acts), interpolate("a:1", "a:2", images)(acts))


def test_a_slice_of_an_interpolation_keeps_its_weights() -> None:
    interpolated = interpolate("a:1", "a:2", 6)
    assert_close(interpolated[2:5]({"a": A[2:5]}), interpolated(ACTS)[2:5])


def test_interpolation_combines_with_alignment_and_objectives_per_image() -> None:
    interpolated = interpolate(channel("a", [0, 1, 2]), layer_norm("a"), 3) + 0.1 * alignment("a")
    assert interpolated.batch == 3
    assert interpolated.couples_images


@pytest.mark.parametrize("images", [0, -1])
def test_interpolation_over_no_images_raises(images: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to"):
        interpolate("a:1", "a:2", images)


def test_interpolation_over_another_number_of_images_raises() -> None:
    with pytest.raises(ValueError, match="mixes targets or weights for 2 and for 3 images"):
        interpolate(channel("a", [0, 1]), "a:2", 3)


# The shorthand


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mixed4:17", "channel('mixed4', 17)"),
        (" mixed4 : 17 ", "channel('mixed4', 17)"),
        ("layer1.0.relu#1:0", "channel('layer1.0.relu#1', 0)"),
        ("odd:name:3", "channel('odd:name', 3)"),
        ("<image>:2", "channel('<image>', 2)"),
    ],
)
def test_the_shorthand_gives_a_channel(text: str, expected: str) -> None:
    assert repr(as_objective(text)) == expected


def test_an_objective_passes_unchanged() -> None:
    one = channel("a", 1)
    assert as_objective(one) is one


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("mixed4", "e.g. 'mixed4:0'; for a class write logit('mixed4')"),
        ("mixed4:", "e.g. 'mixed4:0'"),
        ("mixed4:a", "e.g. 'mixed4:0'"),
        ("mixed4:-1", "e.g. 'mixed4:0'"),
        ("mixed4:1.5", "e.g. 'mixed4:0'"),
        ("mixed4:1,2", "e.g. 'mixed4:0'"),
        ("mixed4:²", "e.g. 'mixed4:0'"),
        ("17", "e.g. '17:0'; for a class write logit('17')"),
        ("", "e.g. 'mixed3:0'"),
        (":", "e.g. 'mixed3:0'"),
        (":17", "for the network's output write logit(17)"),
    ],
)
def test_a_text_of_another_form_raises_with_a_cure(text: str, cure: str) -> None:
    with pytest.raises(ValueError, match=f"^objective is {re.escape(repr(text))}.*{re.escape(cure)}$"):
        as_objective(text)


@pytest.mark.parametrize("wrong", [None, 3, lambda a: a, ["mixed4:17"]], ids=stable_id)
def test_neither_objective_nor_text_raises(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"as_objective: objective must be Objective or str, got \w+"):
        as_objective(wrong)


def test_every_function_takes_the_shorthand(small: Classifier) -> None:
    same: Objective = channel("conv2", 3)
    rendering = render(small, "conv2:3", size=16, steps=2, progress=False)
    assert torch.equal(rendering.images, render(small, same, size=16, steps=2, progress=False).images)
    assert rendering.recipe["objective"] == "channel('conv2', 3)"
    assert torch.equal(next(ascend(small, "conv2:3", size=16)).scores, next(ascend(small, same, size=16)).scores)
    dreamt = dream(small, torch.full((1, 3, 24, 24), 0.5), "conv2:3", octaves=1, steps=1, progress=False)
    assert dreamt.recipe["objective"] == "channel('conv2', 3)"
    with pytest.raises(KeyError, match="no layer 'konv2'; nearest: 'conv2'"):
        render(small, "konv2:3", size=16, steps=1, progress=False)
    with pytest.raises(IndexError, match=r"index 12 is outside 0\.\.11"):
        render(small, "conv2:12", size=16, steps=1, progress=False)
