"""What people really hand in: each a clear error that names the cure, before anything is changed."""

from __future__ import annotations

import itertools
import os
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from optvis import IMAGENET, Classifier, activations, ascend, classify, dream, render
from optvis.data.files import ensure_dir
from optvis.data.images import load_image
from optvis.objectives import channel, direction, gram_distance, logit, neuron, on, total_variation
from optvis.params import fft_image, pixel_image
from optvis.rendering import Octaves

quick = partial(render, steps=1, transform=None, progress=False)


@pytest.fixture(params=["load_batch", "load_image", "classify", "activations", "dream"])
def show(request, small):
    """Every way in for a photograph."""
    return {
        "load_batch": lambda source: small.load_batch(source),
        "load_image": load_image,
        "classify": lambda source: classify(small, source),
        "activations": lambda source: activations(small, source, ["conv1"]),
        "dream": lambda source: dream(small, source, channel("conv1", 0), steps=1, octaves=1, progress=False),
    }[request.param]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.full((3, 20, 20), torch.nan), "NaN or infinite"),
        (torch.full((1, 3, 20, 20), torch.inf), "NaN or infinite"),
        (torch.full((3, 20, 20), 200.0), r"from 200 to 200; expected \[0, 1\]: divide by 255"),
        (torch.linspace(0, 255, 1200).view(3, 20, 20), "divide by 255"),
        (torch.linspace(-2.1, 2.6, 1200).view(3, 20, 20), "undo its normalisation"),
        (torch.linspace(0, 1.5, 1200).view(3, 20, 20), "expected"),
        (torch.rand(20, 20, 3), r"\(20, 20, 3\); expected \(3, H, W\).*permute\(2, 0, 1\)"),
        (torch.rand(2, 20, 20, 3), r"permute"),
        (torch.rand(20), r"\(20,\); expected \(3, H, W\)"),
        (torch.rand(2, 20, 20), r"\(2, 20, 20\); expected"),
        (torch.rand(4, 20, 20), r"\(4, 20, 20\); expected"),
        (torch.rand(1, 1, 3, 20, 20), "expected"),
        (torch.rand(3, 0, 20), r"\(3, 0, 20\); expected"),
        (torch.rand(0, 3, 20, 20), "expected"),
        (torch.tensor(0.5), "expected"),
        (np.random.default_rng(0).random((20, 20, 3)), r"\(20, 20, 3\); expected .*permute\(2, 0, 1\)"),
        (np.zeros((0, 0, 3), np.uint8), "expected"),
        (np.zeros((2, 20, 20, 3), np.uint8), "expected"),
    ],
)
def test_numbers_that_are_no_picture_are_refused(show, values, message):
    with pytest.raises(ValueError, match=message):
        show(values)


@pytest.mark.parametrize(
    "values",
    [torch.zeros(3, 20, 20, dtype=torch.int64), torch.zeros(3, 20, 20, dtype=torch.bool),
     torch.zeros(3, 20, 20, dtype=torch.complex64), np.zeros((3, 20, 20), np.int32)],
)  # fmt: skip
def test_numbers_of_other_kinds_are_refused(show, values):
    with pytest.raises(TypeError, match="expected floats in"):
        show(values)


@pytest.mark.parametrize("source", [None, 3, b"bytes", {"param": 1}, object(), np.array(["a"]), np.zeros(3, object)])
def test_what_is_no_picture_at_all_is_refused(show, source):
    with pytest.raises(TypeError, match="an image is a path"):
        show(source)


def test_uint8_tensors_and_arrays_are_handled(show):
    show(torch.randint(0, 256, (3, 20, 20), dtype=torch.uint8))
    show(np.zeros((20, 20, 3), np.uint8))


@pytest.mark.parametrize("show", ["load_batch", "classify", "activations", "dream"], indirect=True)
@pytest.mark.parametrize("nothing", [[], ()])
def test_an_empty_list_is_refused(show, nothing):
    with pytest.raises(ValueError, match="the list is empty"):
        show(nothing)


@pytest.mark.parametrize("form", ["png", "jpg", "gif", "webp", "tiff", "bmp"])
def test_a_truncated_file_is_refused_by_name(show, form, tmp_path):
    path = tmp_path / f"half.{form}"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=rf"half\.{form}' is (damaged or truncated|no image)"):
        show(path)


@pytest.mark.parametrize(
    ("content", "name"), [(b"", "empty.png"), (b"hello, world", "text.jpg"), (b"\x89PNG\r\n\x1a\n", "head.png")]
)
def test_a_file_that_is_no_image_is_refused_by_name(show, content, name, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}' is (no image|damaged)"):
        show(tmp_path / name)


def test_a_picture_with_damaged_exif_is_shown_or_refused(show, tmp_path):
    path = tmp_path / "odd.jpg"
    for exif in (
        b"garbage",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\0\0\0\xff\xff\xff\xff",
    ):
        Image.new("RGB", (20, 20)).save(path, exif=b"Exif\0\0" + exif)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow says so
            show(path)


def test_a_missing_file_and_a_folder_are_refused_by_name(show, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere\.png"):
        show(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="is a folder"):
        show(tmp_path)
    with pytest.raises(ValueError, match="is a folder"):
        show("")


@pytest.mark.parametrize("limit", [60, 100, 10**9])
def test_a_decompression_bomb_is_refused(show, limit, tmp_path, monkeypatch):
    """Pillow warns over its limit and raises over twice of it; both are refused, and so is what is over our own."""
    path = tmp_path / "bomb.png"
    Image.new("RGB", (13, 12)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    monkeypatch.setattr("optvis.data.images.MAX_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in most people's programs
        with pytest.raises(ValueError, match=r"bomb\.png' would unpack to more than 100 pixels"):
            show(path)


def test_a_strip_that_would_be_enlarged_to_gigabytes_is_refused(show):
    with pytest.raises(ValueError, match="too long and narrow"):
        show(np.zeros((1, 60, 3), np.uint8))
    with pytest.raises(ValueError, match="too long and narrow"):
        show(torch.zeros(3, 600, 2))


def test_a_layer_that_is_not_there_is_refused_before_the_first_step(small):
    with pytest.raises(KeyError, match=r"no layer 'conv3'; nearest: .*'conv2'"):
        quick(small, channel("conv3", 0))
    with pytest.raises(KeyError, match=r"no layer 'conv3'; nearest: .*'conv2'"):
        dream(small, torch.rand(3, 20, 20), channel("conv3", 0), progress=False)


@pytest.mark.parametrize(
    "question",
    [channel("conv2", 12), channel("conv2", -1), channel("conv2", [3, 12]), neuron("conv2", 0, 18, 0),
     neuron("conv2", 0, 0, -1), logit(5), neuron("conv2", 12)],
)  # fmt: skip
def test_an_index_out_of_range_is_refused_before_the_first_step(small, question):
    image = pixel_image(20, seeds=range(question.batch))
    before = image().detach().clone()
    with pytest.raises(IndexError, match=r"(index|position) (12|18|-1|5) is outside 0\.\.(11|17|4)"):
        quick(small, question, image)
    assert torch.equal(image(), before)


def test_a_direction_of_another_length_is_refused(small):
    with pytest.raises(ValueError, match="a direction of 7 numbers in a layer of 12 channels"):
        quick(small, direction("conv2", torch.ones(7)))


def test_a_gram_matrix_of_another_size_is_refused(small):
    image = pixel_image(20)
    before = image().detach().clone()
    with pytest.raises((ValueError, RuntimeError), match="7"):
        quick(small, gram_distance("conv2", torch.ones(7, 7)), image)
    assert torch.equal(image(), before)


@pytest.mark.parametrize(
    ("question", "options"),
    [
        (channel("conv2", [1, 2, 3]), {"param": pixel_image(20, seeds=(0, 1))}),
        (channel("conv2", [1, 2, 3]), {"seed": (0, 1)}),
        (channel("conv2", 1), {"param": pixel_image(20), "seed": (0, 1)}),
        (channel("conv2", [1, 2]), {"param": pixel_image(20)}),
        (channel("conv2", 1) * torch.ones(4), {"seed": (0, 1, 2)}),
        (channel("conv2", 1), {"seed": ()}),
    ],
)
def test_numbers_of_images_that_differ_are_refused(small, question, options):
    with pytest.raises(ValueError, match=r"numbers of images differ: seeds \d, the objective \d"):
        quick(small, question, **options)


def test_one_image_for_several_targets_says_how_to_build_as_many(small):
    with pytest.raises(ValueError, match=r"fft_image\(size, seeds=\[0\] \* 2\)"):
        quick(small, channel("conv2", [1, 2]), param=pixel_image(20))
    made = quick(small, channel("conv2", [1, 2]), param=pixel_image(20, seeds=[0] * 2))
    assert torch.equal(made.images, quick(small, channel("conv2", [1, 2]), param=pixel_image(20, seeds=(0, 0))).images)


def test_targets_for_other_numbers_of_images_cannot_be_added():
    with pytest.raises(ValueError, match="mixes targets or weights for 2 and for 3 images"):
        channel("conv2", [1, 2]) + channel("conv2", [1, 2, 3])


def test_a_dream_of_more_questions_than_photographs_is_refused(small):
    with pytest.raises(ValueError, match="images"):
        dream(small, torch.rand(2, 3, 20, 20), channel("conv2", [1, 2, 3]), progress=False)
    one_each = dream(small, torch.rand(2, 3, 20, 20), channel("conv2", [1, 2]), steps=1, octaves=1, progress=False)
    assert len(one_each) == 2


@pytest.mark.parametrize(("label", "error", "message"), [
    ("Container Ship", None, ""),
    ("box ship", None, ""),
    ("ship", KeyError, "no label 'ship'; nearest: 'container ship"),
    ("zebra", KeyError, "no label 'zebra'"),
])  # fmt: skip
def test_a_label_is_found_or_the_nearest_named(small, label, error, message):
    if error is None:
        assert quick(small, logit(label)).images.equal(quick(small, logit(2)).images)
    else:
        with pytest.raises(error, match=message):
            quick(small, logit(label))


def test_a_label_that_names_two_classes_is_refused(network):
    cranes = Classifier(network, IMAGENET, 20, labels=("crane", "b", "crane", "d", "e"))
    with pytest.raises(KeyError, match="label 'crane' matches classes 0 and 2; give the index"):
        quick(cranes, logit("crane"))


def test_a_label_asked_of_a_network_without_labels_is_refused(network):
    with pytest.raises(ValueError, match="without labels; give the class's index"):
        quick(Classifier(network, IMAGENET, 20), logit("cat"))


def test_an_objective_that_is_none_is_refused(small):
    for wrong in (lambda a: a, None, 3):
        with pytest.raises(TypeError, match="objective must be Objective or str"):
            quick(small, wrong)
    with pytest.raises(ValueError, match="objective is 'conv1'; expected 'layer:channel'"):
        quick(small, "conv1")


@pytest.mark.parametrize(
    "function", [lambda a: a, lambda a: a.mean(), lambda a: a.flatten(1).mean(1, keepdim=True), lambda a: 1.0]
)
def test_a_function_that_gives_no_score_per_image_is_refused(small, function):
    with pytest.raises(ValueError, match=r"expected \(1,\): one score per image"):
        quick(small, on("conv1", function))


def test_variation_of_what_has_no_rows_is_refused(small):
    with pytest.raises(ValueError, match="needs rows and columns"):
        quick(small, total_variation("fc"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps is -1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"size": 0}, "size is 0"),
        ({"size": (3,)}, "size must be int"),
        ({"views": 0}, "views is 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(small, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        render(small, channel("conv1", 0), progress=False, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, "steps is -1"),
        ({"octaves": 0}, "octaves is 0"),
        ({"size": 0}, "size is 0"),
    ],
)
def test_numbers_of_a_dream_that_make_no_sense_are_refused(small, options, message):
    with pytest.raises(ValueError, match=message):
        dream(small, torch.rand(3, 20, 20), channel("conv1", 0), progress=False, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "octaves is 0"),
        ({"passes": 0}, "passes is 0"),
        ({"scale": 1.0}, "octave scale is 1.0"),
        ({"tile_size": 0}, "tile_size is 0"),
        ({"tile_size": -8}, "tile_size is -8"),
    ],
)
def test_numbers_of_octaves_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Octaves(**options)


def test_a_canvas_too_small_for_the_network_is_refused():
    network = Classifier(nn.Sequential(nn.Conv2d(3, 2, 9), nn.MaxPool2d(4)), None, 20)
    with pytest.raises((ValueError, RuntimeError), match="size"):
        quick(network, channel("", 0), size=4)


def test_a_file_where_a_folder_should_be_is_refused(tmp_path):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    for path in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(OSError, match="cannot make the folder"):
            ensure_dir(path)
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OSError, match="cannot write in the folder"):
        ensure_dir(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_the_system_protects_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="cannot write in the folder"):
        ensure_dir(tmp_path)


@pytest.mark.parametrize("seeds", [range(10**12), itertools.count()], ids=["range", "count"])
def test_endless_seeds_are_refused_at_once(small, seeds):
    with pytest.raises((ValueError, TypeError), match=r"more than 1,048,576 seeds|seed must be int"):
        render(small, channel("conv1", 0), seed=seeds, steps=1, progress=False)
    with pytest.raises((ValueError, TypeError), match=r"more than 1,048,576 seeds|seed must be int"):
        next(iter(ascend(small, channel("conv1", 0), fft_image(16), seed=seeds)))
