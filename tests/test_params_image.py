"""Image parameterizations of a canvas and its maps: fill, slice, save and load."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from optvis.params import FFT, ColorMap, DecorrelatedColor, ImageParam, Pixels, Sigmoid, Streams, fft_image, pixel_image

from . import oracles

MAKERS: dict[str, Callable[..., ImageParam]] = {
    "fft_image": fft_image,
    "fft_image decay=1.5": lambda size, **k: fft_image(size, decay=1.5, **k),
    "pixel_image": pixel_image,
    "bare sigmoid": lambda size, seeds=(0,): ImageParam(Pixels(size, Streams(seeds, "canvas")), Sigmoid()),
}
each_image = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


class Gain(ColorMap):
    """A map with a parameter that all images share."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.gain

    def inverse(self, images: Tensor) -> Tensor:
        return images / self.gain


def test_images_equal_numpy_from_spectrum_to_color() -> None:
    image = fft_image((9, 6), seeds=(4,), decay=1.2, sd=0.5).double()
    spectrum = next(image.parameters())[0].detach().numpy()
    expected = oracles.sigmoid(oracles.apply_color_matrix(oracles.fft_image(spectrum, (9, 6), 1.2)))
    assert_close(image()[0], torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


@each_image
@pytest.mark.parametrize("size", [1, 16, (1, 9), (9, 1), (33, 47), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_fill_sets_any_image(make: Callable[..., ImageParam], size: Any, dtype: torch.dtype) -> None:
    image = make(size, seeds=(0, 1)).to(dtype)
    wanted = 0.01 + 0.98 * torch.rand(2, 3, *image.size, generator=torch.Generator().manual_seed(1), dtype=dtype)
    assert image.fill_(wanted) is image
    assert_close(image(), wanted, rtol=0, atol=2e-6 if dtype == torch.float32 else 1e-12)
    image.fill_(wanted[:1].double())
    assert_close(image(), wanted[:1].repeat(2, 1, 1, 1), rtol=0, atol=2e-6)


@each_image
def test_fill_moves_black_and_white_by_half_a_level(make: Callable[..., ImageParam]) -> None:
    board = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]).repeat(1, 3, 4, 4)
    assert_close(make(8).fill_(board)(), board.clamp(1 / 512, 511 / 512), rtol=0, atol=1e-5)


@each_image
def test_filled_images_can_be_optimized(make: Callable[..., ImageParam]) -> None:
    image = make(8).fill_(torch.full((1, 3, 8, 8), 0.5))
    (gradient,) = torch.autograd.grad(image().sum(), list(image.parameters()))
    assert gradient.isfinite().all()
    assert gradient.any()


@each_image
def test_images_are_strictly_inside_zero_and_one(make: Callable[..., ImageParam]) -> None:
    found = make(16, seeds=range(3))()
    assert found.shape == (3, 3, 16, 16)
    assert (found > 0).all()
    assert (found < 1).all()
    assert abs(float(found.detach().mean()) - 0.5) < 0.02


@pytest.mark.parametrize("make", [fft_image, pixel_image])
def test_sd_zero_gives_grey(make: Callable[..., ImageParam]) -> None:
    assert make((5, 6), sd=0)().unique().tolist() == [0.5]


@each_image
@pytest.mark.parametrize("size", [(12, 10), 32, (12, 9)], ids=str)
def test_an_image_starts_the_same_alone_and_in_a_batch(make: Callable[..., ImageParam], size: Any) -> None:
    together = make(size, seeds=(5, 6, 5)).double()()
    for i, seed in enumerate((5, 6, 5)):
        alone = make(size, seeds=(seed,)).double()()
        # If the size is no multiple of 8, torch computes the sigmoid of the last numbers with another kernel.
        assert_close(alone, together[i : i + 1], rtol=0, atol=0 if alone.numel() % 8 == 0 else 2.3e-16)


@each_image
def test_a_slice_has_the_rows_of_the_whole_and_is_independent(make: Callable[..., ImageParam]) -> None:
    whole = make((5, 8), seeds=range(4))
    before = whole().clone()
    for rows in (slice(1, 3), slice(3, None), slice(None, None, 2)):
        part = whole[rows]
        assert isinstance(part, ImageParam)
        assert (len(part), part.size) == (len(before[rows]), (5, 8))
        assert_close(part(), before[rows], rtol=0, atol=1.2e-7)  # the last bit may differ: see above
        part.fill_(torch.rand(1, 3, 5, 8))
        part.double().eval()
        part.requires_grad_(False)
        assert torch.equal(whole(), before)
        assert whole.training
        assert all(p.requires_grad for p in whole.parameters())


def test_a_slice_shares_the_parameters_of_the_maps() -> None:
    whole = ImageParam(Pixels(4, Streams((0, 1), "canvas")), DecorrelatedColor(), Gain(), Sigmoid())
    part = whole[:1]
    assert len(list(part.parameters())) == 2
    with torch.no_grad():
        part.maps[1].gain.fill_(3.0)  # type: ignore[operator, union-attr]
    assert torch.equal(part(), whole()[:1])


def test_a_slice_of_a_subclass_is_of_that_subclass() -> None:
    class Named(ImageParam):
        name = "mine"

    whole = Named(Pixels(4, Streams((0, 1), "canvas")), Sigmoid())
    assert type(whole[1:]) is Named


@each_image
def test_an_image_param_takes_slices_and_no_integers(make: Callable[..., ImageParam]) -> None:
    with pytest.raises(TypeError, match=r"write \[i:i \+ 1\]"):
        make(4, seeds=(1, 2))[0]  # type: ignore[index]


@each_image
def test_the_state_can_be_saved_and_loaded(make: Callable[..., ImageParam], tmp_path: Any) -> None:
    saved, other = make((5, 8), seeds=(1, 2)), make((5, 8), seeds=(3, 4))
    assert not torch.equal(saved(), other())
    torch.save(saved.state_dict(), tmp_path / "image.pt")
    other.load_state_dict(torch.load(tmp_path / "image.pt"))
    assert torch.equal(saved(), other())
    assert torch.equal(copy.deepcopy(saved)(), saved())


@pytest.mark.parametrize("make", [fft_image, pixel_image])
def test_pickling_round_trips(make: Callable[..., ImageParam]) -> None:
    image = make((5, 8), seeds=(1, 2))
    assert torch.equal(pickle.loads(pickle.dumps(image))(), image())


@each_image
@pytest.mark.parametrize("shape", [(1, 3, 8, 5), (3, 3, 5, 8), (1, 1, 5, 8), (3, 5, 8), (1, 5, 8, 3)], ids=str)
def test_images_of_another_shape_raise(make: Callable[..., ImageParam], shape: tuple[int, ...]) -> None:
    image = make((5, 8), seeds=(1, 2))
    before = image().clone()
    with pytest.raises(ValueError, match=r"this canvas holds \(2, 3, 5, 8\)"):
        image.fill_(torch.full(shape, 0.5))
    assert torch.equal(image(), before)


@pytest.mark.parametrize("make", [fft_image, pixel_image])
@pytest.mark.parametrize("size", [0, -3, 2.5, (3,), (3, 4, 5), (3, 0), "big"], ids=repr)
def test_a_wrong_size_raises(make: Callable[..., ImageParam], size: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"one positive integer or|size must be int or"):
        make(size)


def test_the_repr_names_the_parts() -> None:
    image = ImageParam(FFT((3, 4), Streams((0,), "canvas")), DecorrelatedColor(), Sigmoid())
    canvas = "FFT((3, 4), Streams((0,), 'canvas'), decay=1.0, sd=0.01)"
    assert repr(image) == f"ImageParam({canvas}, DecorrelatedColor(), Sigmoid())"


def test_color_steps_follow_the_axes_of_natural_images() -> None:
    image = pixel_image(1, sd=0)
    with torch.no_grad():
        next(image.parameters())[0, 0] += 1
    expected = oracles.sigmoid(oracles.apply_color_matrix(np.array([1.0, 0, 0]).reshape(3, 1, 1)))
    assert_close(image()[0].double(), torch.from_numpy(expected), rtol=1e-4, atol=1e-5)
