"""Colour maps: NumPy is the oracle; each has an inverse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from optvis.params import IMAGENET_COLOR, ColorMap, DecorrelatedColor, Grayscale, Sigmoid, color_matrix

from . import oracles, param_oracles

OWN = ((0.5, 0.1, 0.0), (0.4, -0.2, 0.1), (0.3, 0.0, -0.3))
X = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
MAPS = {"DecorrelatedColor": DecorrelatedColor(), "DecorrelatedColor own": DecorrelatedColor(OWN), "Sigmoid": Sigmoid()}


@pytest.mark.parametrize("color_map", MAPS.values(), ids=MAPS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_inverse_undoes_a_map(color_map: ColorMap, dtype: torch.dtype) -> None:
    images = X.to(dtype)
    converted = color_map.to(dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert_close(converted.inverse(converted(images)), images, rtol=0, atol=tolerance)
    inside = images.sigmoid()
    assert_close(converted(converted.inverse(inside)), inside, rtol=0, atol=tolerance)
    color_map.to(torch.float32)


def test_decorrelated_color_applies_the_matrix_of_lucid_to_each_pixel() -> None:
    expected = np.stack([oracles.apply_color_matrix(x.numpy()) for x in X])
    # Lucid prints the largest column norm, .46195, with five digits.
    assert_close(DecorrelatedColor().double()(X), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


def test_a_matrix_is_divided_by_its_largest_column_norm() -> None:
    norm = max(np.linalg.norm(np.array(OWN), axis=0))
    expected = np.stack([oracles.apply_color_matrix(x.numpy(), np.array(OWN) / norm) for x in X])
    assert_close(DecorrelatedColor(OWN).double()(X), torch.from_numpy(expected), rtol=1e-6, atol=1e-6)
    hundredfold = tuple(tuple(100 * number for number in row) for row in OWN)
    assert_close(DecorrelatedColor(hundredfold)(X.float()), DecorrelatedColor(OWN)(X.float()))


def test_a_matrix_that_is_not_three_by_three_raises() -> None:
    for matrix in (((1.0, 0.0), (0.0, 1.0)), ((1.0, 2.0, 3.0),)):
        with pytest.raises(ValueError, match="expected 3 rows of 3"):
            DecorrelatedColor(matrix)


def test_decorrelated_color_has_no_parameters_and_no_state() -> None:
    assert not list(DecorrelatedColor().parameters())
    assert not DecorrelatedColor().state_dict()


def test_sigmoid_equals_numpy() -> None:
    assert_close(Sigmoid()(X), torch.from_numpy(oracles.sigmoid(X.numpy())), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_inverse_of_the_sigmoid_clips_half_a_level_from_either_end(dtype: torch.dtype) -> None:
    levels = torch.tensor([-1.0, 0.0, 1e-9, 1 / 512, 0.5, 511 / 512, 1.0, 2.0], dtype=dtype)
    found = Sigmoid()(Sigmoid().inverse(levels))
    assert_close(found, levels.clamp(1 / 512, 511 / 512), rtol=0, atol=1e-6)
    bytes_again = Sigmoid()(Sigmoid().inverse(torch.arange(256, dtype=dtype) / 255))
    assert torch.equal((bytes_again * 255).round(), torch.arange(256, dtype=dtype))


def test_reprs_evaluate_to_equal_ones() -> None:
    for color_map in (DecorrelatedColor(), DecorrelatedColor(OWN)):
        again = eval(repr(color_map), {"DecorrelatedColor": DecorrelatedColor})
        assert torch.equal(again.matrix, color_map.matrix)
    assert repr(DecorrelatedColor()) == "DecorrelatedColor()"
    assert repr(Sigmoid()) == "Sigmoid()"
    assert np.linalg.norm(np.array(IMAGENET_COLOR), axis=0).max() == pytest.approx(0.46195, abs=5e-6)


def test_channels_after_the_third_do_not_change() -> None:
    four = torch.cat([X, X[:, :1] + 5], dim=1)
    found = DecorrelatedColor().double()(four)
    assert_close(found[:, :3], DecorrelatedColor().double()(X), rtol=0, atol=1e-14)
    assert torch.equal(found[:, 3], four[:, 3])
    assert_close(DecorrelatedColor().double().inverse(found), four, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="DecorrelatedColor got 2 channels; expected three or more"):
        DecorrelatedColor()(torch.zeros(1, 2, 3, 3))


def test_a_matrix_may_be_a_tensor_and_must_have_an_inverse() -> None:
    assert DecorrelatedColor(torch.tensor(OWN, dtype=torch.float64)).rows == OWN
    for matrix in (((1.0, 2.0, 3.0),) * 3, ((float("nan"), 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))):
        with pytest.raises(ValueError, match="three independent colours"):
            DecorrelatedColor(matrix)


def test_color_matrix_is_the_square_root_of_the_covariance_by_numpy() -> None:
    images = torch.rand(3, 3, 4, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    images[:, 1] = 0.5 * images[:, 0] + 0.5 * images[:, 1]
    root = np.array(color_matrix(images))
    expected = param_oracles.covariance(images.numpy())
    np.testing.assert_allclose(root @ root.T, expected, atol=1e-12)
    norms = np.linalg.norm(root, axis=0)
    np.testing.assert_allclose(norms**2, np.linalg.svd(expected)[1], atol=1e-12)
    np.testing.assert_allclose(root.T @ root, np.diag(norms**2), atol=1e-12)
    assert (root[0] >= 0).all()
    assert eval(repr(DecorrelatedColor(color_matrix(images))), {"DecorrelatedColor": DecorrelatedColor}).rows == tuple(
        map(tuple, root.tolist())
    )


def test_colors_decorrelated_by_the_measured_matrix_have_a_diagonal_covariance() -> None:
    """In units of the largest column, by which `DecorrelatedColor` divides."""
    images = torch.rand(3, 3, 6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    matrix = color_matrix(images)
    inside = DecorrelatedColor(matrix).double().inverse(images)
    largest = np.linalg.norm(np.array(matrix), axis=0).max()
    np.testing.assert_allclose(param_oracles.covariance(inside.numpy()), largest**2 * np.eye(3), atol=1e-6)


def test_images_without_three_independent_colors_raise() -> None:
    with pytest.raises(ValueError, match="lie in a plane, as grey does"):
        color_matrix(torch.rand(2, 1, 4, 4).expand(2, 3, 4, 4))
    with pytest.raises(ValueError, match=r"expected \(N, 3, H, W\)"):
        color_matrix(torch.rand(3, 4, 4))


def test_grayscale_repeats_the_channel_and_its_inverse_is_luma() -> None:
    plane = X[:, :1]
    assert torch.equal(Grayscale()(plane), plane.repeat(1, 3, 1, 1))
    assert_close(Grayscale().inverse(Grayscale()(plane)), plane, rtol=0, atol=1e-14)
    pixel = torch.tensor([1.0, 0.5, 0.25]).view(1, 3, 1, 1)
    assert float(Grayscale().inverse(pixel)) == pytest.approx(0.299 + 0.587 * 0.5 + 0.114 * 0.25)
    with pytest.raises(ValueError, match="expected a canvas with channels=1"):
        Grayscale()(X)
