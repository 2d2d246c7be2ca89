"""Canvases: NumPy is the oracle; fill_ can set any image."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis.params import FFT, Canvas, Pixels, Streams
from optvis.params.canvas import frequency_scale, height_and_width

from . import oracles

SIZES = [(8, 8), (7, 7), (6, 9), (9, 6), (5, 8), (33, 47), (1, 1), (1, 6), (1, 7), (6, 1), (7, 1), (2, 2), (1, 2)]
MAKERS: dict[str, Callable[..., Canvas]] = {
    "Pixels": Pixels,
    "FFT": FFT,
    "FFT decay=0": lambda size, streams, **k: FFT(size, streams, 0.0, **k),
    "FFT decay=2": lambda size, streams, **k: FFT(size, streams, 2.0, **k),
}
each_canvas = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
at_each_size = pytest.mark.parametrize("size", SIZES, ids=str)


def streams(*seeds: int) -> Streams:
    return Streams(seeds, "canvas")


def tolerance(dtype: torch.dtype) -> float:
    return 1e-12 if dtype == torch.float64 else 2e-6


@at_each_size
@pytest.mark.parametrize("decay", [0.0, 1.0, 1.7])
def test_fft_equals_numpy(size: tuple[int, int], decay: float, dtype: torch.dtype) -> None:
    canvas = FFT(size, streams(3, 4), decay, sd=1.0)
    expected = np.stack([oracles.fft_image(s.double().numpy(), size, decay) for s in canvas.spectrum.detach()])
    found = canvas().detach()
    assert found.shape == (2, 3, *size)
    assert_close(found.double(), torch.from_numpy(expected), rtol=0, atol=tolerance(dtype) * np.abs(expected).max())


@pytest.mark.parametrize(
    ("side", "lucids", "seeds"), [(64, 0.0171, 80), (128, 0.0189, 20), (224, 0.0200, 10), (512, 0.0218, 3)]
)
def test_fft_starts_with_the_standard_deviation_of_lucid(side: int, lucids: float, seeds: int) -> None:
    found = float(FFT(side, streams(*range(seeds)))().detach().square().mean().sqrt())
    # Parseval: an inner column of a real FFT counts twice; the edge columns lose half of their energy to symmetry.
    times = np.array([0.5, *[2.0] * (side // 2 - 1), 0.5])
    down, across = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
    scale = 1 / np.maximum(np.hypot(down, across), 1 / side)
    theory = 0.01 / 4 * math.sqrt(float((2 * scale**2 * times).sum()) / side**2)
    assert found == pytest.approx(theory, rel=0.05)
    assert theory == pytest.approx(lucids, rel=0.02)


def test_pixels_start_with_standard_deviation_sd() -> None:
    assert float(Pixels(64, streams(1, 2))().detach().std()) == pytest.approx(0.01, rel=0.02)
    assert float(Pixels(64, streams(1, 2), sd=0.3)().detach().std()) == pytest.approx(0.3, rel=0.02)


@each_canvas
def test_sd_zero_gives_zero(make: Callable[..., Canvas]) -> None:
    assert not make((5, 6), streams(1), sd=0).forward().any()


@each_canvas
@at_each_size
def test_fill_sets_the_output(make: Callable[..., Canvas], size: tuple[int, int], dtype: torch.dtype) -> None:
    canvas = make(size, streams(1, 2))
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(5))
    assert canvas.fill_(images) is canvas
    assert_close(canvas(), images, rtol=0, atol=10 * tolerance(dtype))
    assert canvas().dtype == dtype


@each_canvas
def test_one_image_fills_the_whole_batch(make: Callable[..., Canvas]) -> None:
    image = torch.randn(1, 3, 5, 8)
    assert_close(make((5, 8), streams(1, 2)).fill_(image)(), image.repeat(2, 1, 1, 1), rtol=0, atol=1e-5)


@each_canvas
@pytest.mark.parametrize("shape", [(2, 3, 8, 5), (3, 3, 5, 8), (2, 4, 5, 8), (3, 5, 8), (2, 3, 5, 8, 1)], ids=str)
def test_images_of_another_shape_raise(make: Callable[..., Canvas], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"this canvas holds \(2, 3, 5, 8\)"):
        make((5, 8), streams(1, 2)).fill_(torch.zeros(shape))


@each_canvas
def test_an_image_starts_the_same_alone_and_in_a_batch(make: Callable[..., Canvas]) -> None:
    for side in (12, 31):
        together = make(side, streams(5, 6, 5))()
        for i, seed in enumerate((5, 6, 5)):
            assert torch.equal(make(side, streams(seed))(), together[i : i + 1])


@each_canvas
def test_a_slice_has_the_rows_of_the_whole_and_is_independent(make: Callable[..., Canvas]) -> None:
    whole = make((5, 8), streams(1, 2, 3, 4))
    for rows in (slice(1, 3), slice(2, None), slice(None, None, 3), slice(0, 1)):
        part = whole[rows]
        assert type(part) is type(whole)
        assert part.size == whole.size == (5, 8)
        assert torch.equal(part(), whole()[rows])
        assert len(part) == len(part())
        assert all(isinstance(p, nn.Parameter) and p.is_leaf and p.requires_grad for p in part.parameters())
        before = whole().clone()
        part.fill_(torch.ones(1, 3, 5, 8))
        part.double()
        assert torch.equal(whole(), before)
        assert whole().dtype == before.dtype


@each_canvas
def test_a_slice_does_not_copy_gradients(make: Callable[..., Canvas]) -> None:
    whole = make((5, 8), streams(1, 2))
    whole().square().sum().backward()
    assert all(p.grad is None for p in whole[:1].parameters())


@each_canvas
def test_a_canvas_takes_slices_and_no_integers(make: Callable[..., Canvas]) -> None:
    with pytest.raises(TypeError, match=r"write \[i:i \+ 1\]"):
        make(4, streams(1, 2))[0]  # type: ignore[index]


@each_canvas
def test_the_state_can_be_saved_and_loaded(make: Callable[..., Canvas], tmp_path: Any) -> None:
    saved, other = make((5, 8), streams(1, 2)), make((5, 8), streams(3, 4))
    assert not torch.equal(saved(), other())
    torch.save(saved.state_dict(), tmp_path / "canvas.pt")
    other.load_state_dict(torch.load(tmp_path / "canvas.pt"))
    assert torch.equal(saved(), other())
    assert torch.equal(copy.deepcopy(saved)(), saved())


@each_canvas
@pytest.mark.parametrize("channels", [1, 4])
def test_any_number_of_channels(make: Callable[..., Canvas], channels: int) -> None:
    assert make((5, 8), streams(1, 2), channels=channels)().shape == (2, channels, 5, 8)


@each_canvas
def test_gradients_reach_every_parameter_of_its_own_image_only(make: Callable[..., Canvas]) -> None:
    canvas = make((6, 7), streams(1, 2))
    loss = (canvas()[0] * torch.randn(3, 6, 7, generator=torch.Generator().manual_seed(0))).sum()
    for gradient in torch.autograd.grad(loss, list(canvas.parameters())):
        assert gradient[0].any()
        assert not gradient[1].any()


@each_canvas
def test_to_float64_moves_parameters_and_buffers(make: Callable[..., Canvas]) -> None:
    canvas = make((5, 8), streams(1))
    assert_close(canvas().double(), canvas.double()(), rtol=0, atol=1e-6)


@each_canvas
@pytest.mark.parametrize("size", [0, -1, 2.0, (3,), (3, 4, 5), (0, 3), (3, 2.5), "ab", "64"], ids=repr)
def test_a_wrong_size_raises(make: Callable[..., Canvas], size: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"one positive integer or|size must be int or"):
        make(size, streams(1))


def test_a_size_is_height_then_width() -> None:
    assert height_and_width((3, 4)) == (3, 4)
    assert height_and_width(5) == (5, 5)
    assert Pixels((3, 4), streams(1))().shape == FFT((3, 4), streams(1))().shape == (1, 3, 3, 4)


def test_the_frequency_scale_is_one_over_f_and_largest_at_the_lowest_frequency() -> None:
    scale = frequency_scale((8, 8), 1.0)
    assert scale[0, 0] == scale[0, 1] == scale[1, 0] == scale[7, 0] == 8 / 4
    assert_close(scale[0, 4], torch.tensor(2 / 4, dtype=torch.float64))
    assert frequency_scale((8, 8), 0.0).unique().tolist() == [0.25]


def test_reprs_name_size_and_constants() -> None:
    assert repr(Pixels((3, 4), streams(1))) == "Pixels((3, 4), Streams((1,), 'canvas'), sd=0.01)"
    assert repr(FFT((3, 4), streams(1), 1.5)) == "FFT((3, 4), Streams((1,), 'canvas'), decay=1.5, sd=0.01)"
    assert repr(Pixels(3, streams(1), 5)) == "Pixels((3, 3), Streams((1,), 'canvas'), channels=5, sd=0.01)"
