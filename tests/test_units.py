"""Channels and directions: replacing them in activations, compared with explicit numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optvis.features.units import Channels, Directions

LAYOUTS = {"BCHW": (None, (2, 5, 3, 4)), "BHWC": (-1, (2, 3, 4, 5)), "BTC": (None, (2, 6, 5)), "BC": (None, (2, 5))}


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64)


def to_numpy_channels_last(a, layout):
    """As numpy, with the channels on the last axis."""
    return a.movedim(1, -1).numpy() if layout == "BCHW" else a.numpy()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fill", [0.0, 0.7, "per channel"])
def test_channels_are_replaced(layout, fill):
    axis, shape = LAYOUTS[layout]
    a = numbers(*shape)
    values = np.linspace(-1, 1, 5) if fill == "per channel" else np.full(5, fill)
    found = Channels("x", [3, 1], channel_axis=axis).replace(a, torch.from_numpy(values) if fill != 0.7 else 0.7)
    expected = to_numpy_channels_last(a, layout).copy()
    expected[..., [1, 3]] = values[[1, 3]]
    np.testing.assert_array_equal(to_numpy_channels_last(found, layout), expected)
    assert found.shape == a.shape


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_subspace_is_projected_out(layout):
    axis, shape = LAYOUTS[layout]
    a, vectors, fill = numbers(*shape), numbers(2, 5), np.linspace(0, 1, 5)
    found = Directions("x", vectors, channel_axis=axis).replace(a, torch.from_numpy(fill))
    v = vectors.numpy()
    projector = v.T @ np.linalg.inv(v @ v.T) @ v
    expected = to_numpy_channels_last(a, layout) - (to_numpy_channels_last(a, layout) - fill) @ projector
    np.testing.assert_allclose(to_numpy_channels_last(found, layout), expected, atol=1e-12)


def test_a_zeroed_channel_is_a_projected_one_hot_direction():
    a = numbers(2, 5, 3, 4)
    torch.testing.assert_close(Channels("x", 2).replace(a), Directions("x", torch.eye(5)[2]).replace(a))


def test_replacing_twice_changes_nothing_more():
    a, units = numbers(2, 5, 3, 4), Directions("x", numbers(2, 5))
    torch.testing.assert_close(units.replace(units.replace(a)), units.replace(a))


def test_dependent_vectors_span_the_same_as_one():
    a, vector = numbers(2, 5), numbers(1, 5)
    both = Directions("x", torch.cat([vector, -2 * vector]))
    torch.testing.assert_close(both.replace(a), Directions("x", vector).replace(a))
    assert both.basis(5).shape == (1, 5)


def test_a_range_of_a_channel():
    a = torch.tensor([[[-1.0, 0.5, 2.0]], [[3.0, 1.0, 0.0]]]).movedim(1, 2)
    found = Channels("x", [0, 1, 2], within=(0.4, 2.0)).replace(a.squeeze(2))
    assert found.tolist() == [[-1.0, 0.0, 0.0], [3.0, 0.0, 0.0]]


def test_a_range_along_a_direction():
    a = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    found = Directions("x", [3.0, 4.0], within=(1.0, 9.0)).replace(a)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [0.3, 0.4]]))


def test_the_input_is_not_written_to_and_gradients_flow():
    a = numbers(2, 5, 3, 3)
    for units in (Channels("x", [1, 4]), Directions("x", numbers(2, 5))):
        before = a.clone()
        assert torch.autograd.gradcheck(lambda x, units=units: units.replace(x, 0.3), a.clone().requires_grad_())
        units.replace(a)
        assert a.equal(before)


def test_repeated_channels_count_once():
    assert Channels("x", [4, 4, 1]).indices == (4, 1)
    assert len(Channels("x", torch.tensor([4, 4]))) == 1


def test_slices_keep_their_options():
    some = Channels("x", [4, 2, 1], within=(0, 1), channel_axis=-1)[:2]
    assert (some.indices, some.within, some.channel_axis) == ((4, 2), (0.0, 1.0), -1)
    assert Directions("x", numbers(3, 5))[1:].vectors.shape == (2, 5)


@pytest.mark.parametrize("index", [5, 17])
def test_a_channel_that_does_not_exist_is_refused(index):
    with pytest.raises(IndexError, match=rf"channel {index} of 'x', which has 0..4"):
        Channels("x", index).replace(numbers(2, 5))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Channels("x", -1), ValueError, "expected 0 or more"),
        (lambda: Channels("x", 1.5), TypeError, "indices must be int, an iterable of int or Tensor, got float 1.5"),
        (lambda: Channels("x", 1, within=(2, 1)), ValueError, "lowest, highest"),
        (lambda: Directions("x", [0.0, 0.0]), ValueError, "zero or not finite"),
        (lambda: Directions("x", [float("nan"), 0.0]), ValueError, "not finite"),
        (lambda: Directions("x", torch.eye(2), within=(0, 1)), ValueError, "within is given for 2 directions"),
        (lambda: Directions("x", torch.eye(2)).replace(numbers(2, 5)), ValueError, "2 numbers in 'x', which has 5"),
    ],
)
def test_bad_units_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
