"""Distributions of random transforms: crops, zooms, flips, colours, noise; the presets; wrong arguments."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from optvis.transforms import (
    ATLAS,
    Blur,
    Compose,
    Crop,
    CropOrPad,
    Flip,
    GaussianNoise,
    Jitter,
    Margin,
    OnColor,
    OnRandomColor,
    OnRandomNoise,
    Pad,
    RandomResizedCrop,
    Resize,
    Rotate,
    Scale,
    UniformNoise,
    Zoom,
    maco_crops,
)

from .transform_members import random_images, streams

MANY = 3000


def as_likely(counts: Counter[Any], among: int) -> None:
    share = 1 / len(counts)
    assert len(counts) == among
    assert all(abs(count - MANY * share) <= 5 * math.sqrt(MANY * share * (1 - share)) for count in counts.values())


# Crops


@pytest.mark.parametrize(("crop", "rows", "columns"), [(Crop(5), 4, 6), (Crop((8, 2)), 1, 9), (Crop(0.5), 5, 6)])
def test_crop_draws_every_position_equally_often(crop: Crop, rows: int, columns: int) -> None:
    places = crop.matrix((8, 10), streams(*range(MANY)))[:, :2, 2]
    assert sorted(set(places[:, 1].tolist())) == [float(-row) for row in reversed(range(rows))]
    as_likely(Counter(map(tuple, places.tolist())), rows * columns)


def test_a_crop_is_a_slice() -> None:
    images = random_images()
    found = Crop((4, 6))(images, streams(*range(4)))
    starts = -Crop((4, 6)).matrix((13, 18), streams(*range(4)))[:, :2, 2].long()
    for image, crop, (left, top) in zip(images, found, starts.tolist(), strict=True):
        assert_close(crop, image[:, top : top + 4, left : left + 6], rtol=0, atol=1e-12)


def test_a_crop_of_the_full_size_is_the_identity() -> None:
    for crop in (Crop((13, 18)), Crop(1.0)):
        assert_close(crop(random_images(), streams(*range(4))), random_images(), rtol=0, atol=1e-12)


def test_a_crop_larger_than_the_image_raises_and_a_margin_helps() -> None:
    with pytest.raises(ValueError, match=r"Crop\(\(14, 14\)\) of an image of 13 × 18 px.*Margin before it"):
        Crop(14)(random_images(), streams(*range(4)))
    assert Compose(Margin(1), Crop(14))(random_images(), streams(*range(4))).shape == (4, 3, 14, 14)


def test_zoom_windows_are_normally_distributed() -> None:
    size = (60, 80)
    matrix = Zoom((0.4, 0.05), (0.5, 0.1), 0.3).matrix(size, streams(*range(MANY)))
    side = 1 / matrix[:, 0, 0]
    assert float(side.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(side.min()) == pytest.approx(0.3)  # two standard deviations below the mean
    assert float((side == side.min()).double().mean()) == pytest.approx(0.023, abs=0.015)
    assert float(side.std()) == pytest.approx(0.1, abs=0.01)
    corners = torch.tensor([[-0.5, size[1] - 0.5], [-0.5, size[0] - 0.5], [1, 1]], dtype=torch.float64)
    sources = (matrix.inverse() @ corners)[:, :2] + 0.5  # in pixels from the corner of the image
    centres = sources.mean(2) / torch.tensor([80.0, 60.0])
    assert_close(centres.mean(0), torch.full((2,), 0.4, dtype=torch.float64), rtol=0, atol=0.005)
    assert_close(centres.std(0), torch.full((2,), 0.05, dtype=torch.float64), rtol=0, atol=0.005)
    assert abs(float(torch.corrcoef(torch.stack([*centres.T, side]))[0, 1])) < 0.1
    lengths = (sources[:, :, 1] - sources[:, :, 0]) / torch.tensor([80.0, 60.0])
    assert_close(lengths, side.unsqueeze(1).expand(-1, 2))


def test_windows_of_random_resized_crops_are_log_uniform_and_reach_each_place_alike() -> None:
    matrix = RandomResizedCrop((0.4, 1.0), 0.05).matrix((60, 80), streams(*range(MANY)))
    side = 1 / matrix[:, 0, 0]
    assert 0.4 <= float(side.min()) < 0.41
    assert 0.98 < float(side.max()) <= 1.0
    middle = math.sqrt(0.4)  # half of the windows are smaller
    assert float((side < middle).double().mean()) == pytest.approx(0.5, abs=0.04)
    corners = torch.tensor([[-0.5, 79.5], [-0.5, 59.5], [1, 1]], dtype=torch.float64)
    windows = (matrix.inverse() @ corners)[:, :2] + 0.5  # in pixels from the corner of the image
    windows = windows / torch.tensor([[80.0], [60.0]])
    assert_close(windows[:, :, 1] - windows[:, :, 0], side.unsqueeze(1).expand(-1, 2))
    assert float(windows.min()) >= -0.05 - 1e-9
    assert float(windows.max()) <= 1.05 + 1e-9
    place = (windows[:, :, 0] + 0.05) / (1.1 - side).unsqueeze(1)
    assert_close(place.mean(0), torch.full((2,), 0.5, dtype=torch.float64), rtol=0, atol=0.03)
    assert_close(place.var(0), torch.full((2,), 1 / 12, dtype=torch.float64), rtol=0, atol=0.01)


def test_a_zoom_of_the_full_size_is_the_identity() -> None:
    whole = Zoom((0.5, 0.0), (1.0, 0.0))
    assert_close(whole(random_images(), streams(*range(4))), random_images(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [(13, 18), (10, 23), (4, 4), (14, 17), (1, 1)], ids=str)
def test_crop_or_pad_keeps_the_centre(size: tuple[int, int]) -> None:
    images = random_images()
    found = Compose(Pad(0.0), CropOrPad(size))(images, streams(*range(4))).numpy()
    image = images.numpy()
    for axis, new in ((2, size[0]), (3, size[1])):
        old = image.shape[axis]
        if new < old:
            image = image.take(range((old - new) // 2, (old - new) // 2 + new), axis)
        else:
            before = (new - old) // 2
            image = np.pad(image, [(before, new - old - before) if n == axis else (0, 0) for n in range(4)])
    np.testing.assert_allclose(found, image, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("fill", "mode"),
    [
        (0.5, {"mode": "constant", "constant_values": 0.5}),
        ("reflect", {"mode": "reflect"}),
        ("edge", {"mode": "edge"}),
    ],
)
def test_margin_equals_numpy_pad(fill: Any, mode: Any) -> None:
    found = Compose(Pad(fill), Margin(5))(random_images(), streams(*range(4))).numpy()
    expected = np.pad(random_images().numpy(), [(0, 0), (0, 0), (5, 5), (5, 5)], **mode)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_crops_zooms_flips_and_margins_are_one_warp(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = nn.functional.grid_sample
    monkeypatch.setattr(
        nn.functional, "grid_sample", lambda *args, **kwargs: calls.append(1) or original(*args, **kwargs)
    )
    chain = Compose(Pad("random"), Margin(4), Flip(), Zoom(), Jitter(2), CropOrPad(20), Crop(0.5), Resize(7))
    assert chain(random_images(), streams(*range(4))).shape == (4, 3, 7, 7)
    assert len(calls) == 1


# Flips, colours, noise


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.5, 1.0])
def test_flip_happens_with_its_probability(chance: float) -> None:
    image = random_images(3, 4, 1).expand(MANY, -1, -1, -1)
    found = Flip(chance)(image, streams(*range(MANY)))
    flipped = (found - image.flip(3)).abs().amax((1, 2, 3)) < 1e-9
    usual = (found - image).abs().amax((1, 2, 3)) < 1e-9
    assert (flipped ^ usual).all()
    assert abs(float(flipped.double().mean()) - chance) <= 5 * math.sqrt(chance * (1 - chance) / MANY)


@pytest.mark.parametrize("colors", [Compose(Pad("random"), Margin(1)), OnRandomColor()], ids=repr)
def test_random_colors_are_uniform_and_their_channels_independent(colors: nn.Module) -> None:
    clear = torch.zeros(MANY, 4 if isinstance(colors, OnRandomColor) else 3, 2, 2, dtype=torch.float64)
    found = colors(clear, streams(*range(MANY)))[:, :, 0, 0]
    assert found.shape == (MANY, 3)
    for channel in found.T:
        as_likely(Counter((channel * 4).long().tolist()), 4)
    assert float((torch.corrcoef(found.T) - torch.eye(3)).abs().max()) < 0.1


@pytest.mark.parametrize(
    ("noise", "sd"), [(GaussianNoise(0.2), 0.2), (UniformNoise(0.3), 0.3 / math.sqrt(3))], ids=repr
)
def test_noise_has_the_same_deviation_in_every_pixel(noise: nn.Module, sd: float) -> None:
    images = torch.full((2, 3, 60, 70), 0.5, dtype=torch.float64)
    drawn = noise(images, streams(1, 2)) - 0.5
    assert float(drawn.mean()) == pytest.approx(0, abs=0.01)
    assert_close(drawn.flatten(2).std(2), torch.full((2, 3), sd, dtype=torch.float64), rtol=0.05, atol=0)
    assert abs(float(torch.corrcoef(drawn.flatten(1))[0, 1])) < 0.05
    if isinstance(noise, UniformNoise):
        assert 0.299 < float(drawn.abs().max()) <= 0.3
        counts = Counter(((drawn + 0.3) / 0.6 * 5).long().flatten().tolist())
        assert all(abs(count / drawn.numel() - 0.2) < 0.01 for count in counts.values())


@pytest.mark.parametrize("noise", [GaussianNoise(1.0), UniformNoise(math.sqrt(3))], ids=repr)
def test_the_numbers_of_noise_are_independent(noise: nn.Module) -> None:
    """Of each other at any distance, of those of other images and steps, and of those of the other kind."""
    zeros = torch.zeros(48, 3, 64, 64)
    several = streams(*range(48))
    drawn = torch.cat([noise(zeros, several.seek(step)) for step in (0, 1)]).flatten(1).double()
    count = drawn.shape[1]
    between = (drawn @ drawn.mT / math.sqrt(count)).fill_diagonal_(0)
    assert float(between.abs().max()) < 5.5  # in standard deviations, of 4,560
    for distance in (1, 2, 3, 4, 8, 16, 63, 64, 65, 128, 1024, 4096, count // 2):
        products = drawn[:, distance:] * drawn[:, :-distance]
        assert abs(float(products.mean())) * math.sqrt(products.numel()) < 4.5
    sums = drawn.sum(1) / math.sqrt(count)
    assert 0.7 < float(sums.std()) < 1.3
    fourth = 3.0 if isinstance(noise, GaussianNoise) else 1.8
    assert float(drawn.pow(4).mean()) == pytest.approx(fourth, rel=0.02)
    half = noise(zeros.double(), several.seek(1)).flatten(1)
    assert_close(half, drawn[48:], rtol=0, atol=1e-5)  # in another precision


def test_blur_keeps_constants_and_slopes_and_removes_grain() -> None:
    level = torch.full((1, 3, 9, 9), 0.3, dtype=torch.float64)
    assert_close(Blur(2.0)(level, streams(1)), level)
    slope = torch.arange(41.0, dtype=torch.float64).expand(1, 3, 9, 41)
    assert_close(Blur(2.0)(slope, streams(1))[..., 10:-10], slope[..., 10:-10])
    grain = random_images(40, 40, 1)
    deviations = [float(Blur(sigma)(grain, streams(1)).std()) for sigma in (0.3, 0.6, 1.2, 2.4)]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[2] == pytest.approx(math.sqrt(1 / 12) / (2 * math.sqrt(math.pi) * 1.2), rel=0.2)


def test_random_sigmas_lie_in_their_range() -> None:
    point = torch.zeros(MANY, 1, 9, 9, dtype=torch.float64)
    point[:, :, 4, 4] = 1
    found = Blur((0.5, 1.0))(point, streams(*range(MANY)))
    sigma = (-0.5 / (found[:, 0, 4, 5] / found[:, 0, 4, 4]).log()).sqrt()
    assert 0.5 <= float(sigma.min()) < 0.51
    assert 0.99 < float(sigma.max()) <= 1.0
    as_likely(Counter(((sigma - 0.5) * 8).long().tolist()), 4)


@pytest.mark.parametrize("blend", [OnColor(0.7), OnRandomColor(), OnRandomNoise()], ids=repr)
def test_opaque_pixels_hide_the_background_and_clear_pixels_show_it(blend: nn.Module) -> None:
    images = random_images(7, 9, channels=4)
    images[:, 3] = 1
    assert torch.equal(blend(images, streams(*range(4))), images[:, :3])
    images[:, 3] = 0
    upstream_gradient = blend(images, streams(*range(4)))
    images[:, :3] = 0
    assert torch.equal(blend(images, streams(*range(4))), upstream_gradient)
    assert 0 <= float(upstream_gradient.min()) <= float(upstream_gradient.max()) <= 1


def test_coarse_noise_is_coarse_and_colorful() -> None:
    clear = torch.zeros(4, 4, 64, 65, dtype=torch.float64)
    found = OnRandomNoise()(clear, streams(*range(4)))
    assert float(found.std((2, 3)).min()) > 0.1
    step = (found[..., 1:] - found[..., :-1]).std()
    assert float(step) < 0.9 * float(found.std())  # √2 for independent neighbours
    white = OnRandomNoise(decay=0.0)(clear, streams(*range(4)))
    assert float((white[..., 1:] - white[..., :-1]).std()) == pytest.approx(math.sqrt(2) * float(white.std()), rel=0.05)
    assert_close(OnRandomNoise(sd=0.0)(clear, streams(*range(4))), torch.full((4, 3, 64, 65), 0.5).double())


# Presets


def test_lucids_atlas_chain() -> None:
    pad, *jitters, scale, rotate, last = ATLAS.parts
    assert repr(pad) == "Pad(0.5)"
    assert [jitter.pixels for jitter in [*jitters, last]] == [4, 4, 8, 8, 8, 2]
    assert isinstance(scale, Scale)
    assert scale.factors == pytest.approx(np.exp(np.log(0.998) * np.arange(20, 40)))
    assert isinstance(rotate, Rotate)
    expected = Counter([*np.arange(-20.0, 20), *np.arange(-10.0, 10), *np.arange(-5.0, 5), *np.zeros(5)])
    assert Counter(rotate.degrees) == expected


def test_maco_crops() -> None:
    chain = maco_crops((20, 30), noise=0.2)
    expected = "Pad(0.5), Zoom((0.5, 0.15), (0.25, 0.1), 0.05), Resize((20, 30)), GaussianNoise(0.2), UniformNoise(0.1)"
    assert repr(chain) == f"Compose({expected})"


# Arguments


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flip(1.5), "a probability in"),
        (lambda: Flip(-0.1), "a probability in"),
        (lambda: Margin(-1), "whole pixels"),
        (lambda: Margin(0.5), "pixels must be int"),  # type: ignore[arg-type]
        (lambda: CropOrPad(0), "expected"),
        (lambda: CropOrPad((3, 0)), "expected"),
        (lambda: Crop(0), "expected"),
        (lambda: Crop(1.5), "a share of the image's sides"),
        (lambda: Crop(0.0), "a share of the image's sides"),
        (lambda: RandomResizedCrop((0, 1)), "side=.*positive shares"),
        (lambda: RandomResizedCrop((0.8, 0.5)), "side=.*positive shares"),
        (lambda: RandomResizedCrop((0.8,)), "side must be"),  # type: ignore[arg-type]
        (lambda: RandomResizedCrop((0.5, math.inf)), "side=.*positive shares"),
        (lambda: RandomResizedCrop(overhang=-0.1), "overhang=.*0 or more"),
        (lambda: Zoom((0.5, -0.1)), "center=.*mean and standard deviation"),
        (lambda: Zoom(side=(0.5, math.nan)), "side=.*mean and standard deviation"),
        (lambda: Zoom(side=(0.5,)), r"side must be \(float, float\)"),  # type: ignore[arg-type]
        (lambda: Zoom(min_side=0), "min_side=0; expected a share"),
        (lambda: Pad(()), "Pad got"),
        (lambda: Pad(1.5), "Pad got"),
        (lambda: Pad(1), r"Pad\(1.0\) makes .* white, Margin\(1\) adds"),
        (lambda: Pad((0.1, "a")), "fill must be float, a sequence of float or str"),  # type: ignore[arg-type]
        (lambda: Blur(0), "positive number of pixels"),
        (lambda: Blur((2.0, 1.0)), r"range \(low, high\)"),
        (lambda: Blur(math.inf), "positive number of pixels"),
        (lambda: GaussianNoise(-1), "standard deviation, 0 or more"),
        (lambda: GaussianNoise(math.nan), "standard deviation, 0 or more"),
        (lambda: UniformNoise(-1), "largest change"),
        (lambda: OnColor((0.1, 0.2)), "one each for red, green and blue"),
        (lambda: OnColor(2.0), "level in"),
        (lambda: OnRandomNoise(sd=-1.0), "sd=-1.0"),
        (lambda: OnRandomNoise(decay=math.inf), "decay=inf"),
    ],
)
def test_wrong_arguments_raise(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize("blend", [OnColor(0.7), OnRandomColor(), OnRandomNoise()], ids=repr)
def test_a_blend_without_alpha_raises(blend: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"got images of 3 channels; expected 4, with alpha in the last"):
        blend(random_images(), streams(*range(4)))


def test_levels_for_another_number_of_channels_raise() -> None:
    images: Tensor = random_images(channels=4)
    with pytest.raises(ValueError, match=r"has 3 levels for images of 4 channels"):
        Compose(Pad((0.1, 0.2, 0.3)), Jitter(3))(images, streams(*range(4)))
    assert Compose(Pad((0.1, 0.2, 0.3, 0.0)), Jitter(3))(images, streams(*range(4))).shape == images.shape
