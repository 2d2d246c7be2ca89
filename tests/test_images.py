"""Photographs in every form are the same photograph."""

from __future__ import annotations

import io
import pathlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from optvis import Classifier
from optvis.data.crop import ResizeCrop
from optvis.data.images import load_image


@pytest.fixture
def levels():
    """(H, W, 3) uint8: a corner of each colour, so that turning or swapping shows."""
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:10, :15] = 255, 0, 0
    pixels[:10, 15:] = 0, 255, 0
    pixels[10:, :15] = 0, 0, 255
    return pixels


@pytest.fixture
def whole(levels):
    """The same as (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(levels).permute(2, 0, 1).unsqueeze(0).float() / 255


def classifier(size=8, dtype=torch.float32, crop=None):
    return Classifier(nn.Conv2d(3, 1, 1).to(dtype), None, size, crop=crop)


def forms(levels, tmp_path):
    """The photograph in every form that is taken, by name."""
    path = tmp_path / "photo.png"
    Image.fromarray(levels).save(path)
    tensor = torch.from_numpy(levels).permute(2, 0, 1)
    return {
        "path": path,
        "text path": str(path),
        "Pillow image": Image.fromarray(levels),
        "opened file": Image.open(path),
        "array": levels,
        "array of other strides": levels[::-1][::-1],
        "tensor": tensor.float() / 255,
        "batch": tensor.unsqueeze(0).float() / 255,
        "uint8 tensor": tensor,
        "float array": (tensor.float() / 255).numpy(),
        "float64 tensor": tensor.double() / 255,
    }


def test_every_form_is_the_same_picture(levels, whole, tmp_path):
    for form, source in forms(levels, tmp_path).items():
        torch.testing.assert_close(load_image(source), whole, atol=1e-6, rtol=0, msg=form)
        assert load_image(source).dtype == torch.float32


def test_every_form_is_the_same_photograph_up_to_a_level(levels, tmp_path):
    """Pillow's resizing rounds to 8 bits and torch's does not."""
    small = classifier()
    seen = {form: small.load_batch(source) for form, source in forms(levels, tmp_path).items()}
    for form, images in seen.items():
        assert images.shape == (1, 3, 8, 8), form
        assert (images - seen["path"]).abs().max() <= 2 / 255, form


def test_a_tensor_of_the_networks_own_size_is_taken_as_it_is():
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(classifier().load_batch(images), images)
    assert torch.equal(classifier().load_batch(images[0]), images[:1])


def test_a_file_of_the_networks_own_size_is_framed_as_published(levels):
    """224 pixels of a photograph are not what a publisher's resize to 256 and crop shows."""
    framed = classifier(20, crop=ResizeCrop(40, (20, 20)))
    square = Image.fromarray(levels[:, :20])
    by_hand = square.resize((40, 40), Image.Resampling.BILINEAR).crop((10, 10, 30, 30))
    torch.testing.assert_close(framed.load_batch(square), load_image(by_hand))


def test_a_list_is_the_batch_of_its_photographs(levels, tmp_path):
    sources = list(forms(levels, tmp_path).values())
    together = classifier().load_batch(sources)
    apart = [classifier().load_batch(source) for source in sources]
    assert torch.equal(together, torch.cat(apart))
    assert torch.equal(classifier().load_batch(tuple(sources)), together)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.float64, torch.float64), (torch.float16, torch.float32), (torch.bfloat16, torch.float32)],
)
def test_photographs_come_in_the_networks_dtype_at_least_float32(levels, dtype, expected):
    assert classifier(dtype=dtype).load_batch(levels).dtype == expected
    assert classifier(dtype=dtype).load_batch(torch.rand(3, 9, 9)).dtype == expected


def test_bicubic_framing_stays_in_range(levels):
    framed = classifier(64, crop=ResizeCrop(80, (64, 64), "bicubic"))
    for source in (levels, load_image(levels)):
        images = framed.load_batch(source)
        assert images.min() >= 0
        assert images.max() <= 1


def test_gradients_flow_through_framing():
    images = torch.rand(1, 3, 30, 20, requires_grad=True)
    (gradient,) = torch.autograd.grad(classifier().load_batch(images).sum(), images)
    assert gradient.abs().sum() > 0


def test_the_given_tensor_is_not_changed(whole):
    before = whole.clone()
    classifier().load_batch(whole).zero_()
    load_image(whole).zero_()
    same_size = torch.rand(1, 3, 8, 8)
    kept = same_size.clone()
    classifier().load_batch(same_size).zero_()
    assert torch.equal(whole, before)
    assert torch.equal(same_size, kept)


def test_the_given_array_is_not_changed(levels):
    before = levels.copy()
    load_image(levels).zero_()
    floats = levels.transpose(2, 0, 1) / np.float32(255)
    kept = floats.copy()
    load_image(floats).zero_()
    assert (levels == before).all()
    assert (floats == kept).all()


@pytest.mark.parametrize(("size", "expected"), [(15, (10, 15)), (60, (40, 60)), (1, (1, 1)), (None, (20, 30))])
def test_a_picture_is_brought_to_its_longer_side_whole(levels, size, expected):
    images = load_image(levels, size)
    assert tuple(images.shape[2:]) == expected
    assert abs(float(images.mean()) - float(load_image(levels).mean())) < 0.02


def test_framing_covers_and_crops_the_centre():
    framed = classifier(10, crop=ResizeCrop(10, (10, 10)))
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = 255
    images = framed.load_batch(pixels)
    assert images.mean() > 0.95
    assert framed.load_batch(np.rot90(pixels).copy()).mean() > 0.95


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_file_is_turned_as_its_exif_says(levels, orientation, tmp_path):
    """Orientation n of the EXIF standard: how the stored rows and columns lie to the scene."""
    upright = Image.fromarray(levels)
    method = Image.Transpose
    stored = {
        1: upright,
        2: upright.transpose(method.FLIP_LEFT_RIGHT),
        3: upright.transpose(method.ROTATE_180),
        4: upright.transpose(method.FLIP_TOP_BOTTOM),
        5: upright.transpose(method.TRANSPOSE),
        6: upright.transpose(method.ROTATE_90),
        7: upright.transpose(method.TRANSVERSE),
        8: upright.transpose(method.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix in ("png", "jpg"):
        path = tmp_path / f"photo.{suffix}"
        stored.save(path, exif=exif, quality=100, subsampling=0)
        assert (load_image(path) - load_image(levels)).abs().mean() < 0.02, suffix


def test_greyscale_is_the_same_grey_in_three_channels(tmp_path):
    ramp = np.linspace(0, 255, 20 * 30).reshape(20, 30).round()
    grey = torch.from_numpy(ramp / 255).float().expand(1, 3, 20, 30)
    eight = ramp.astype(np.uint8)
    sixteen = (ramp * 257).astype(np.uint16)
    opaque = np.dstack([eight, np.full_like(eight, 255)])
    saved = {"L": Image.fromarray(eight), "I;16": Image.fromarray(sixteen), "LA": Image.fromarray(opaque, "LA")}
    for mode, image in saved.items():
        path = tmp_path / "grey.png"
        image.save(path)
        with Image.open(path) as opened:
            assert opened.mode == mode
        torch.testing.assert_close(load_image(path), grey, atol=1 / 255, rtol=0, msg=mode)
    for array in (eight, eight[:, :, None]):
        torch.testing.assert_close(load_image(array), grey, atol=1e-6, rtol=0)


def test_one_bit_images_are_black_and_white():
    bits = Image.new("1", (4, 2), 1)
    bits.putpixel((0, 0), 0)
    assert load_image(bits).unique().tolist() == [0, 1]
    assert load_image(bits)[0, :, 0, 0].tolist() == [0, 0, 0]


def test_what_is_transparent_shows_white(levels):
    alpha = np.full((20, 30, 1), 255, np.uint8)
    alpha[:, :15] = 0
    rgba = np.concatenate([levels, alpha], axis=2)
    expected = load_image(levels)
    expected[:, :, :, :15] = 1
    torch.testing.assert_close(load_image(rgba), expected)
    torch.testing.assert_close(load_image(Image.fromarray(rgba)), expected)
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    assert torch.allclose(load_image(half), torch.tensor(127 / 255), atol=1.5 / 255)


def test_a_palette_with_a_transparent_colour_shows_white_there():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    data = io.BytesIO()
    image.save(data, "PNG", transparency=1)
    opened = Image.open(data)
    assert opened.mode == "P"
    assert load_image(opened)[0, :, 0].T.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_cmyk_is_converted(tmp_path):
    path = tmp_path / "print.jpg"
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path, quality=95)
    red = load_image(path)[0, :, 4, 4]
    assert red[0] > 0.8
    assert red[1:].max() < 0.3


def test_one_pixel_is_a_plain_surface(tmp_path):
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), (255, 0, 51)).save(path)
    seen = classifier(8).load_batch(path)
    torch.testing.assert_close(seen, torch.tensor([1, 0, 0.2]).view(1, 3, 1, 1).expand(1, 3, 8, 8))
    dot = torch.tensor([1, 0, 0.2]).view(3, 1, 1)
    torch.testing.assert_close(classifier(8).load_batch(dot), seen)
    assert load_image(path).shape == (1, 3, 1, 1)


def test_animations_show_their_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    path = tmp_path / "moving.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert load_image(path)[0, :, 0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("name", ["with space.png", "ünïcödé-写真.png", "semi;colon&$(touch x).png", "-dash.png"])
def test_hostile_file_names_are_only_names(levels, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(levels).save(tmp_path / name)
    torch.testing.assert_close(load_image(name), load_image(levels))
    assert [path.name for path in pathlib.Path().iterdir()] == [name]
