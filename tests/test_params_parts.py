"""Properties of single parameterizations; the common ones are in test_params_members.py."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Classifier, render
from optvis.objectives import channel
from optvis.params import (
    CPPN,
    FFT,
    Grayscale,
    ImageParam,
    Phase,
    Pixels,
    Pyramid,
    SharedLowRes,
    Sigmoid,
    Streams,
    channels_image,
    cppn_image,
    mean_spectrum,
    one_over_f,
    phase_image,
    shared_image,
)
from optvis.params.color import ColorMap
from optvis.params.spectrum import resample
from optvis.rendering.optimizers import ADAM
from optvis.viz.sheet import to_pil_image

from . import oracles, param_oracles


def streams(*seeds: int) -> Streams:
    return Streams(seeds, "canvas")


# Pyramids and shared parts


@pytest.mark.parametrize("make", [Pyramid, lambda size, s, sd: SharedLowRes(Pixels(size, s, sd=sd), streams(0), sd=sd)])
def test_sd_zero_gives_zero(make):
    assert not make((5, 6), streams(1), sd=0)().any()


def test_each_level_has_its_own_noise_and_is_centred():
    levels = Pyramid(16, streams(1), sd=1.0).levels
    assert [tuple(level.shape[2:]) for level in levels] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    assert all(0.5 < float(level.detach().std()) < 1.5 for level in levels)
    spot = Pyramid(16, streams(1), sd=0)
    with torch.no_grad():
        spot.levels[3].fill_(1.0)
        spot.levels[3][..., :1] = 0
    assert_close(spot() + spot().flip(3), torch.ones(1, 3, 16, 16))


def test_shared_parts_change_all_images_and_unique_parts_one():
    image = shared_image(16, seeds=(1, 2), sd=0)
    with torch.no_grad():
        image.canvas.parts[1].fill_(1.0)
    found = image().detach()
    assert torch.equal(found[0], found[1])
    assert float(found.mean()) > 0.5
    with torch.no_grad():
        image.canvas.unique.spectrum[0, 0, 1, 1] += 1
    assert not torch.equal(image()[0], found[0])
    assert torch.equal(image()[1], found[1])


def test_shared_parts_need_one_stream_and_divisors():
    with pytest.raises(ValueError, match="2 streams for parts that all images share"):
        SharedLowRes(FFT(8, streams(1, 2)), streams(1, 2))
    for divisors in ((), (0, 2)):
        with pytest.raises(ValueError, match="divisors are"):
            SharedLowRes(FFT(8, streams(1)), streams(1), divisors)
    with pytest.raises(ValueError, match="levels is 0"):
        Pyramid(8, streams(1), 0)


def test_coupled_images_that_do_not_fit_in_memory_raise(small):
    """Halving the batch would split them."""
    small.network.fuse.limit(1)
    with pytest.raises(torch.OutOfMemoryError):
        render(small, channel("conv2", [1, 2]), shared_image(20, seeds=(0, 1)).double(), steps=2, progress=False)


# CPPN


def test_a_cppn_has_the_published_number_of_parameters_and_starts_grey():
    canvas = CPPN((5, 7), streams(1, 2))
    assert sum(values[0].numel() for values in canvas.parameters()) == 8451
    assert not canvas().any()
    assert cppn_image(6)().unique().tolist() == [0.5]
    first = torch.cat([CPPN(4, streams(seed)).weights[3].detach().flatten() for seed in range(8)])
    assert float(first.std()) == pytest.approx(48**-0.5, rel=0.02)


def test_a_cppn_renders_at_any_resolution_after_training():
    net = small_net()
    image = cppn_image(9, seeds=(1, 2))
    options = {"steps": 3, "optimizer": partial(torch.optim.Adam, lr=0.005), "transform": None, "progress": False}
    rendering = render(net, channel("", [0, 1]), image, **options)
    large = image.with_size((33, 17))
    assert large().shape == (2, 3, 33, 17)
    assert large.size == (33, 17)
    assert_close(large()[:, :, ::4, ::2], rendering.images, rtol=0, atol=1e-5)  # the same coordinates among more
    assert rendering.images.std() > 1e-3
    with torch.no_grad():
        large.canvas.biases[0].add_(1)
    assert_close(image().detach(), rendering.images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("canvas", [FFT, Pixels, Phase, Pyramid])
def test_a_canvas_of_one_size_raises_for_another(canvas):
    with pytest.raises(TypeError, match=rf"{canvas.__name__} has one size, \(4, 5\); a CPPN can"):
        ImageParam(canvas((4, 5), streams(1)), Sigmoid()).with_size(8)


# Phase and spectra


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (6, 5), (1, 4), (1, 1)], ids=str)
def test_one_over_f_and_mean_spectrum_equal_numpy(size):
    np.testing.assert_allclose(one_over_f(size, 1.3).numpy(), param_oracles.law(size, 1.3), rtol=1e-12)
    images = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    np.testing.assert_allclose(mean_spectrum(images).numpy(), param_oracles.mean_spectrum(images.numpy()), atol=1e-6)
    bare = mean_spectrum(images, ()).numpy()
    np.testing.assert_allclose(bare, np.abs(np.fft.rfft2(images.numpy(), norm="ortho")).mean(0), atol=1e-12)


def test_a_resampled_spectrum_keeps_the_magnitude_of_each_frequency():
    def linear(size):
        down, across = torch.fft.fftfreq(size[0]).abs(), torch.fft.rfftfreq(size[1])
        return (1 + down.view(-1, 1) + 3 * across).expand(2, -1, -1).double()

    known = linear((16, 20))
    assert resample(known, (16, 20)) is known or torch.equal(resample(known, (16, 20)), known)
    for size in ((32, 40), (8, 10), (24, 15), (48, 33)):
        assert_close(resample(known, size), linear(size), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (9, 14)], ids=str)
def test_gradients_change_the_phase_and_not_the_magnitude(size):
    canvas = Phase(size, streams(1, 2), spectrum=mean_spectrum(torch.rand(3, 3, 20, 20) - 0.5, ())).double()
    inner = (
        slice(None),
        slice(None),
        slice(None),
        slice(1, (size[1] + 1) // 2),
    )  # edge columns are their own mirror images
    before = torch.fft.rfft2(canvas().detach(), norm="ortho").abs()[inner]
    with torch.no_grad():
        canvas.phase += torch.randn(canvas.phase.shape, dtype=torch.float64)
    after = torch.fft.rfft2(canvas().detach(), norm="ortho").abs()[inner]
    ratio = after / before
    assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio), rtol=1e-5, atol=1e-5)
    assert float((ratio - 1).abs().max()) < 0.3  # the standard deviation of the whole image is 1


def test_first_phases_are_uniform_so_that_no_spot_appears_in_a_corner():
    phase = Phase(64, streams(0)).phase.detach()
    assert float(phase.abs().max()) <= torch.pi
    assert float(phase.cos().mean().abs()) < 0.03
    assert float((phase.abs() < torch.pi / 2).float().mean()) == pytest.approx(0.5, abs=0.02)


def test_fill_sets_the_magnitude_of_a_phase_image():
    image_tensor = 0.1 + 0.8 * torch.rand(1, 3, 9, 8)
    image = phase_image((9, 8), seeds=(0, 1)).fill_(image_tensor)
    assert_close(image().detach(), image_tensor.expand(2, -1, -1, -1), rtol=0, atol=1e-5)
    assert not torch.equal(image.canvas.magnitude[0], phase_image((9, 8)).canvas.magnitude[0])
    assert list(image.state_dict())[1:2] == ["canvas.magnitude"]


@pytest.mark.parametrize("spectrum", [torch.ones(2, 4, 3), torch.ones(4, 3), -torch.ones(3, 4, 3)])
def test_a_wrong_spectrum_raises(spectrum):
    with pytest.raises(ValueError, match=r"expected magnitudes \(3, H, W // 2 \+ 1\), finite, 0 or more"):
        phase_image(4, spectrum=spectrum)


def test_mean_spectrum_of_images_of_another_shape_raises():
    for images in (torch.rand(3, 4, 4), torch.rand(0, 3, 4, 4)):
        with pytest.raises(ValueError, match=r"expected \(N, C, H, W\), one or more"):
            mean_spectrum(images)


# Custom maps, and channels


def small_net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Classifier(nn.Conv2d(3, 4, 3, padding=1), None, 8)


class Gain(ColorMap):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.0))

    def forward(self, images):
        return images * self.gain

    def inverse(self, images):
        return images / self.gain


def test_a_map_with_a_shared_parameter_renders_in_chunks():
    image = ImageParam(Pixels(8, streams(0, 1, 2)), Gain(), Sigmoid())
    rendering = render(
        small_net(),
        channel("", [0, 1, 2]),
        image,
        batch_size=2,
        steps=2,
        transform=None,
        progress=False,
        optimizer=ADAM,
    )
    assert rendering.images.shape == (3, 3, 8, 8)
    assert image.maps[0].gain.item() != 1.0


def test_grayscale_images_of_a_color_image_show_its_luma():
    image_tensor = 0.1 + 0.8 * torch.rand(1, 3, 6, 6)
    image = ImageParam(FFT(6, streams(0), channels=1), Sigmoid(), Grayscale()).fill_(image_tensor)
    brightness = (image_tensor * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    assert_close(image().detach(), brightness.expand(-1, 3, -1, -1), rtol=0, atol=1e-5)


def test_images_with_alpha_need_a_background_for_a_network_of_three_channels(small):
    image = ImageParam(FFT(20, streams(0), channels=4), Sigmoid()).double()
    with pytest.raises(ValueError, match="images have 4 channels, the network takes 3; lay alpha over a background"):
        render(small, channel("conv2", 1), image, steps=1, progress=False)


def test_images_of_any_number_of_channels_are_shown(tmp_path):
    for channels, mode, size in ((1, "L", (9, 6)), (2, "L", (18, 6)), (3, "RGB", (9, 6)), (4, "RGBA", (9, 6))):
        net = Classifier(nn.Conv2d(channels, 4, 3), None, (6, 9))
        rendering = render(
            net, channel("", [0, 1]), channels_image((6, 9), channels, seeds=(0, 1)), steps=1, progress=False
        )
        assert (to_pil_image(rendering.images[0]).mode, to_pil_image(rendering.images[0]).size) == (mode, size)
        assert rendering.sheet(columns=2, scale=1).size[0] == 6 + 2 * (size[0] + 6)
        times = -(-80 // size[0])  # so that a label has 80 pixels
        assert rendering.sheet(columns=2).size[0] == 6 + 2 * (times * size[0] + 6)
        assert rendering.save(tmp_path / f"{channels}.png").is_file()
        assert type(rendering).load(tmp_path / f"{channels}.png").images.shape == rendering.images.shape


def test_streams_can_be_sliced_and_have_a_short_repr():
    for seeds, text in (((3,), "(3,)"), ((3, 4), "(3, 4)"), ((3, 4, 5), "range(3, 6)"), ((3,) * 5, "(3,) * 5")):
        canvas_streams = Streams(seeds, "canvas")
        assert repr(canvas_streams) == f"Streams({text}, 'canvas')"
        assert eval(repr(canvas_streams)).seeds == seeds
    assert torch.equal(streams(3, 4, 5)[1:].normal(2), streams(4, 5).normal(2))


def test_cppn_images_equal_numpy_at_another_size_too():
    canvas = CPPN(4, streams(1)).double()
    with torch.no_grad():
        for values in canvas.parameters():
            values += 0.3 * torch.randn(values.shape, dtype=torch.float64)
    values = [p.detach().numpy()[0] for p in canvas.parameters()]
    found = oracles.sigmoid(canvas.with_size((5, 3))().detach().numpy()[0])
    np.testing.assert_allclose(found, oracles.sigmoid(param_oracles.cppn(values, (5, 3))), atol=1e-12)
