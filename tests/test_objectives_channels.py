"""Channels, neurons and logits: values computed by hand, and errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from optvis.objectives import OUTPUT, channel, logit, neuron, pick, positions
from optvis.objectives.layout import channels_first

from .ids import stable_id

A = torch.arange(2 * 3 * 4 * 5, dtype=torch.float64).view(2, 3, 4, 5)


def test_values_computed_by_hand() -> None:
    acts = {"l": A}
    assert channel("l", 1)(acts).tolist() == [29.5, 89.5]
    assert channel("l", [1, 2])(acts).tolist() == [29.5, 109.5]
    assert neuron("l", 1)(acts).tolist() == [32.0, 92.0]  # row 2 of 4, column 2 of 5
    assert neuron("l", 1, 0, 4)(acts).tolist() == [24.0, 84.0]
    assert neuron("l", 1, [0, 3], [4, 0])(acts).tolist() == [24.0, 95.0]
    assert logit([2, 0])({OUTPUT: A[:, :, 0, 0]}).tolist() == [40.0, 60.0]


@pytest.mark.parametrize(
    "index",
    [
        range(1, 3),
        (1, 2),
        torch.tensor([1, 2]),
        torch.tensor([1, 2], dtype=torch.uint8),
        np.array([1, 2]),
        np.array([1, 2], dtype=np.int16),
        [np.int64(1), np.int64(2)],
        {1: "a", 2: "b"},
        (i for i in (1, 2)),
    ],
    ids=lambda index: type(index).__name__,
)
def test_any_sequence_of_integers_is_an_index(index: Any) -> None:
    assert repr(channel("l", index)) == "channel('l', [1, 2])"


@pytest.mark.parametrize(
    "index",
    [1.0, [1, 2.5], True, [True], "17", [1, None], [], (), [[1, 2]], [[1], [2, 3]], 1j, object()],
    ids=stable_id,
)
@pytest.mark.parametrize("make", [lambda i: channel("l", i), lambda i: neuron("l", i), lambda i: neuron("l", 0, 0, i)])
def test_a_wrong_index_raises(make: Any, index: Any) -> None:
    message = "expected an integer, or a sequence with one integer per image|must be int, an iterable of int"
    with pytest.raises(TypeError, match=message):
        make(index)


@pytest.mark.parametrize("target", [1.0, True, None, [], ["cat", 1], [1, "cat"]], ids=repr)
def test_a_target_that_is_neither_class_nor_label_raises(target: Any) -> None:
    with pytest.raises(TypeError, match="logit"):
        logit(target)


@pytest.mark.parametrize("index", [3, -1, [0, 3], [-1, 0], 2**40], ids=repr)
def test_a_channel_outside_the_layer_raises_with_the_range(index: Any) -> None:
    wrong = next(i for i in (index if isinstance(index, list) else [index]) if not 0 <= i < 3)
    for objective in (channel("l", index), neuron("l", index)):
        with pytest.raises(IndexError, match=re.escape(f"index {wrong} is outside 0..2")) as caught:
            objective({"l": A})
        assert "(2, 3, 4, 5)" in str(caught.value)
        assert "channel_axis=-1" in str(caught.value)


@pytest.mark.parametrize(("y", "x", "message"), [(4, 0, "4 is outside 0..3"), (0, -1, "-1 is outside 0..4")])
def test_a_position_outside_the_layer_raises(y: int, x: int, message: str) -> None:
    with pytest.raises(IndexError, match=re.escape(message)) as caught:
        neuron("l", 0, y, x)({"l": A})
    assert "the map is 4 × 5" in str(caught.value)
    assert "channel_axis" not in str(caught.value)


def test_x_without_y_raises() -> None:
    with pytest.raises(ValueError, match="got x without y"):
        neuron("l", 0, x=1)


@pytest.mark.parametrize(
    ("place", "shape", "message"),
    [((1,), (2, 3, 4, 5), "give y and x"), ((1, 1), (2, 6, 3), "give y alone"), ((1,), (2, 3), "give neither y nor x")],
)
def test_a_position_needs_an_index_for_each_axis(place: tuple[int, ...], shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        neuron("l", 0, *place)({"l": torch.zeros(shape)})


def test_positions_of_every_layout() -> None:
    planes = torch.randn(2, 3, 4, 5)
    expected = planes.flatten(2)
    assert torch.equal(positions(planes), expected)
    assert torch.equal(positions(planes.movedim(1, -1), channel_axis=-1), expected)
    assert torch.equal(positions(planes.movedim(1, -1), channel_axis=3), expected)
    assert torch.equal(positions(expected.mT), expected)
    assert torch.equal(positions(expected, channel_axis=1), expected)
    assert torch.equal(positions(planes[:, :, 0, 0]), planes[:, :, 0, :1])


def test_a_layer_without_channels_raises() -> None:
    with pytest.raises(ValueError, match=re.escape("activations are (2,)")):
        channels_first(torch.zeros(2))


def test_pick_selects_one_entry_per_row_along_any_axis() -> None:
    a = torch.randn(3, 4, 5, 6)
    for axis, index in ((1, [3, 0, 2]), (2, [4, 4, 1]), (3, [5, 0, 0]), (-1, [1, 2, 3])):
        expected = torch.stack([a[i].select(axis - 1 if axis > 0 else axis, index[i]) for i in range(3)])
        assert torch.equal(pick(a, torch.tensor(index), axis), expected)
