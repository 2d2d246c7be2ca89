"""Sheets of pictures: where each tile lies, and texts that never break them."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace

import pytest
import torch
from PIL import Image, ImageSequence

from optvis.viz.animation import encode_animation
from optvis.viz.sheet import BACKGROUND, GAP, draw_sheet, encode_png, to_pil_image, wrap_text


@pytest.fixture
def images():
    """Seven pictures of plain colours that 8 bits hold exactly."""
    levels = torch.randint(0, 256, (7, 3, 1, 1), generator=torch.Generator().manual_seed(0))
    return (levels / 255).expand(7, 3, 24, 40)


def colour(image):
    return tuple((image[:, 0, 0] * 255).round().int().tolist())


def test_a_pil_image_equals_the_tensor_pixel_for_pixel():
    image = torch.arange(3 * 5 * 7).view(3, 5, 7) / 255
    picture = to_pil_image(image)
    assert picture.size == (7, 5)
    for y in range(5):
        for x in range(7):
            assert picture.getpixel((x, y)) == tuple((image[:, y, x] * 255).round().int().tolist())


@pytest.mark.parametrize(("width", "times"), [(8, 10), (40, 2), (79, 2), (80, 1), (200, 1)])
def test_small_images_are_enlarged_where_a_text_stands_below(width, times):
    images = torch.rand(2, 1, 5, width)
    sheet = draw_sheet(images, ["7", "8"], columns=1)
    assert sheet.width == times * width + 2 * GAP
    tile = sheet.crop((GAP, GAP, GAP + times * width, GAP + times * 5)).convert("L")
    assert list(tile.resize((width, 5), Image.Resampling.NEAREST).tobytes()) == [
        round(float(value) * 255) for value in images[0].flatten()
    ]
    assert draw_sheet(images, columns=1).width == width + 2 * GAP
    assert draw_sheet(images, ["7", "8"], columns=1, scale=3).width == 3 * width + 2 * GAP
    for scale in (0, 2**14):
        with pytest.raises(ValueError, match=f"scale is {scale}; expected 1 to"):
            draw_sheet(images, scale=scale)


def test_levels_are_rounded_and_clipped():
    image = torch.tensor([-1.0, 0.4999 / 255, 2.0]).view(3, 1, 1)
    with pytest.warns(UserWarning, match=r"an image runs from -1 to 2; expected \[0, 1\]: values outside are clipped"):
        assert to_pil_image(image).getpixel((0, 0)) == (0, 0, 255)
    with pytest.warns(UserWarning, match=r"an image runs from nan to nan; expected \[0, 1\]: NaN is black"):
        assert to_pil_image(torch.tensor([1.0, torch.nan, 1.0]).view(3, 1, 1)).getpixel((0, 0)) == (255, 0, 255)
    half = torch.full((3, 1, 1), 1.0, dtype=torch.float16, requires_grad=True)
    assert to_pil_image(half).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("columns", [None, 1, 2, 3, 7, 50])
@pytest.mark.parametrize("labels", [(), tuple("abcdefg")])
def test_every_tile_is_at_its_place(images, columns, labels):
    canvas = draw_sheet(images, labels, columns, scale=1)
    across = min(7, 4 if columns is None else columns)
    down = math.ceil(7 / across)
    assert canvas.width == across * (40 + GAP) + GAP
    step, rest = divmod(canvas.height - GAP, down)
    assert rest == 0
    assert (step == 24 + GAP) is (not labels)
    for place, image in enumerate(images):
        x, y = GAP + place % across * (40 + GAP), GAP + place // across * step
        assert canvas.crop((x, y, x + 40, y + 24)).getcolors() == [(40 * 24, colour(image))]
        assert canvas.getpixel((x - 1, y)) == BACKGROUND
    assert canvas.getpixel((0, 0)) == BACKGROUND
    assert canvas.getpixel((canvas.width - 1, canvas.height - 1)) == BACKGROUND


def test_one_image_without_label_has_a_margin(images):
    assert draw_sheet(images[:1]).size == (40 + 2 * GAP, 24 + 2 * GAP)


TEXTS = [
    "",
    " ",
    "x",
    "channel('features.12', 50) - 0.001 * total_variation() + many, many more words " * 5,
    "unbrokenwordwithoutanyspaceatall" * 20,
    "写真 ünïcödé 🐈 \u202eright to left",
    "two\nlines\tand\ra tab",
    "<script>alert(1)</script>",
    "\x00\x07",
    "e\u0301",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [4, 40, 224])
def test_any_text_fits_below_its_tile(text, width):
    image = torch.zeros(1, 3, 16, width).expand(4, 3, 16, width)
    canvas = draw_sheet(image, [text] * 4, columns=2, scale=1)
    assert canvas.width == 2 * (width + GAP) + GAP
    assert canvas.height < 2 * (16 + GAP + 3 * 30) + GAP
    for place in range(4):
        x, y = GAP + place % 2 * (width + GAP), GAP + place // 2 * ((canvas.height - GAP) // 2)
        assert canvas.crop((x, y, x + width, y + 16)).getcolors() == [(16 * width, (0, 0, 0))]


def test_a_label_is_written_below_its_own_tile(images):
    canvas = draw_sheet(images[:2], ["", "some text"], columns=2, scale=1)
    below = GAP + 24
    assert canvas.crop((0, below, 40 + GAP, canvas.height)).getcolors() == [
        ((40 + GAP) * (canvas.height - below), BACKGROUND)
    ]
    assert len(canvas.crop((40 + GAP, below, canvas.width, canvas.height)).getcolors()) > 1


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("1: Staffordshire bullterrier", ["1:", "Staffordshire", "bullterrier"]),
        ("German shepherd", ["German", "shepherd"]),
        ("channel 17", ["channel 17"]),
        ("a wordthatiswiderthanaline", ["a wordthatisw", "iderthanaline"]),
    ],
)
def test_a_label_is_broken_between_words(text, lines):
    """Each letter is as wide as a unit, and a line as 13."""
    assert wrap_text(text, SimpleNamespace(getlength=len), 13) == lines


def test_a_long_text_ends_with_an_ellipsis(images):
    short = draw_sheet(images[:1], ["word " * 3])
    long = draw_sheet(images[:1], ["word " * 300])
    longer = draw_sheet(images[:1], ["word " * 400])
    assert long.height == longer.height
    assert long.tobytes() == longer.tobytes()
    assert short.tobytes() != long.tobytes()


def test_a_wrong_number_of_labels_or_columns_is_refused(images):
    with pytest.raises(ValueError, match="2 labels for 7 images"):
        draw_sheet(images, ["a", "b"])
    with pytest.raises(ValueError, match="columns is 0"):
        draw_sheet(images, columns=0)


@pytest.mark.parametrize("recipe", ['{"a": 1}', "ünïcödé 写真", "x" * 5000])
def test_a_png_carries_its_recipe_as_text(images, recipe):
    data = encode_png(to_pil_image(images[0]), recipe)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.text["optvis"] == recipe
        assert image.convert("RGB").tobytes() == to_pil_image(images[0]).tobytes()


def test_a_png_without_recipe_has_no_text(images):
    with Image.open(io.BytesIO(encode_png(to_pil_image(images[0])))) as image:
        image.load()
        assert image.text == {}


@pytest.mark.parametrize(
    ("suffix", "form"), [(".gif", "GIF"), (".webp", "WEBP"), (".png", "PNG"), (".apng", "PNG"), (".GIF", "GIF")]
)
def test_an_animation_has_every_frame_and_repeats(images, suffix, form):
    frames = [to_pil_image(image) for image in images]
    with Image.open(io.BytesIO(encode_animation(frames, suffix, 70))) as moving:
        assert moving.format == form
        assert moving.n_frames == len(frames)
        assert moving.info["loop"] == 0
        for shown, frame in zip(ImageSequence.Iterator(moving), frames, strict=True):
            shown.load()
            assert shown.info["duration"] == 70
            middle = torch.tensor([picture.convert("RGB").getpixel((20, 12)) for picture in (shown, frame)])
            assert middle.diff(dim=0).abs().max() <= (0 if form == "PNG" else 8)


def test_a_video_has_every_frame_with_even_sides(images):
    av = pytest.importorskip("av")
    frames = [to_pil_image(image).resize((41, 33)) for image in images]
    data = encode_animation(frames, ".mp4", 50)
    assert data == encode_animation(frames, ".mp4", 50)
    with av.open(io.BytesIO(data)) as container:
        (stream,) = container.streams.video
        assert (stream.width, stream.height, stream.average_rate) == (42, 34, 20)
        shown = [frame.to_image() for frame in container.decode(stream)]
    assert len(shown) == len(frames)
    for one, frame in zip(shown, frames, strict=True):
        pixels = [torch.tensor(list(picture.convert("RGB").getpixel((20, 12)))) for picture in (one, frame)]
        assert (pixels[0] - pixels[1]).abs().max() < 12


def test_equal_frames_keep_their_duration(images):
    """An image that does not change for a while is a still, not a shorter film."""
    frames = [to_pil_image(images[0])] * 3 + [to_pil_image(images[1])]
    for suffix in (".gif", ".webp", ".png"):
        with Image.open(io.BytesIO(encode_animation(frames, suffix, 50))) as moving:
            assert total_duration(moving) == 200, suffix


def total_duration(moving):
    """Milliseconds of all frames; Pillow knows a frame's once it is loaded."""
    return sum(frame.load() and frame.info["duration"] for frame in ImageSequence.Iterator(moving))


def test_an_animation_without_frames_or_of_another_format_is_refused(images):
    with pytest.raises(ValueError, match=r"no frames: render with snapshots="):
        encode_animation([], ".gif", 40)
    with pytest.raises(ValueError, match=r"\.gif, \.webp, \.png, \.apng, \.mp4; got '\.avi'"):
        encode_animation([to_pil_image(images[0])], ".avi", 40)
    for suffix in (".gif", ".webp"):
        with pytest.raises(ValueError, match="milliseconds is 0; expected 1 or more"):
            encode_animation([to_pil_image(images[0])], suffix, 0)
