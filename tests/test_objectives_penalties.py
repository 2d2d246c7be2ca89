"""Penalties on the picture: by hand, their symmetries, and what is refused."""

from __future__ import annotations

import re

import pytest
import torch
from torch.testing import assert_close

from optvis.objectives import IMAGE, total_variation

X = torch.rand(2, 3, 5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def variation(images: torch.Tensor) -> torch.Tensor:
    return total_variation()({IMAGE: images})


def test_by_hand() -> None:
    assert variation(torch.tensor([[[[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]]]])).tolist() == [1 + 2 + 2 + 1 + 1]


def test_a_constant_image_has_none() -> None:
    assert variation(torch.full((2, 3, 4, 4), 0.3)).tolist() == [0.0, 0.0]
    assert variation(torch.rand(1, 3, 1, 1)).tolist() == [0.0]


def test_it_is_the_same_flipped_turned_and_shifted_in_level() -> None:
    for same in (X.flip(2), X.flip(3), X.mT, X + 1, -X):
        assert_close(variation(same), variation(X))


def test_it_grows_with_contrast() -> None:
    assert_close(variation(3 * X), 3 * variation(X))


@pytest.mark.parametrize("shape", [(2, 3), (2, 7, 3), (2, 3, 4, 4, 4)], ids=str)
def test_a_layer_without_rows_and_columns_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape("needs rows and columns, (B, C, H, W)")):
        total_variation("l")({"l": torch.zeros(shape)})
