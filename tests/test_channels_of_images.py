"""Networks of one, two, three, four or more input channels: all that makes or reads images has as many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from optvis import (
    IMAGENET,
    Channels,
    Classifier,
    Normalize,
    accentuate,
    activation_atlas,
    activation_grid,
    activations,
    as_classifier,
    ascend,
    attribute,
    build_microscope,
    classify,
    compare_renderings,
    dream,
    evaluate,
    layers,
    load_image,
    maco,
    receptive_fields,
    render,
    semantic_dictionary,
)
from optvis.atlas import AtlasOptions
from optvis.circuits import expanded_weights, hinton_of_expanded_weights
from optvis.errors import NetworkError
from optvis.microscope import MicroscopeOptions
from optvis.objectives import channel, layer_norm, logit
from optvis.params import mean_spectrum, phase_image
from optvis.rendering import black_start, noise_start

SIZE = 16
COUNTS = [1, 2, 3, 4, 13]
DRAWN = {"steps": 2, "progress": False}
ATLAS = AtlasOptions(layout="tsne", size=12, steps=1)
SMALL = MicroscopeOptions(group_size=2, top_images=2, sample_size=4)


def build(count: int) -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = nn.Conv2d(count, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        network = nn.Sequential(*parts, nn.Flatten(), nn.Linear(6, 3)).eval()
    return Classifier(network, Normalize((0.5,) * count, (0.5,) * count), SIZE, labels=("cat", "dog", "owl"))


def images(count: int, batch: int = 12) -> Tensor:
    return torch.rand(batch, count, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=COUNTS, ids=lambda count: f"{count} channels")
def net(request: pytest.FixtureRequest) -> Classifier:
    return build(request.param)


@pytest.mark.parametrize("transform", ["default", None])
def test_renderings_have_as_many_channels(net: Classifier, transform, tmp_path: Path) -> None:
    shape = (1, net.channels, SIZE, SIZE)
    options = {} if transform == "default" else {"transform": None}
    made = render(net, channel("2", 1), **DRAWN, **options)
    assert made.images.shape == shape
    assert next(ascend(net, channel("2", 1), **options)).images.shape == shape
    assert accentuate(net, images(net.channels)[0], channel("2", 1), "0", **DRAWN).images.shape == shape
    assert maco(net, channel("2", 1), views=2, **DRAWN).images.shape == (1, net.channels, 2 * SIZE, 2 * SIZE)
    with Image.open(made.save(tmp_path / "made.png")) as saved:
        assert saved.size[1] == SIZE
    again = type(made).load(tmp_path / "made.png")
    assert torch.equal(again.images, made.images)


def test_a_dream_starts_from_an_image_of_as_many_channels(net: Classifier) -> None:
    starts = noise_start(20, channels=net.channels), black_start(20, net.channels), images(net.channels)[0]
    for start in starts:
        made = dream(net, start, layer_norm("2"), octaves=1, **DRAWN)
        assert made.images.shape[1] == net.channels


def test_a_network_is_read_with_images_of_as_many_channels(net: Classifier) -> None:
    batch = images(net.channels)
    assert activations(net, batch, ["2"])["2"].shape[0] == 12
    assert classify(net, batch).confidences.shape == (12, 3)
    assert len(layers(net)) == 8
    assert receptive_fields(net, "2").box(0, 0) == (0, 7, 0, 7)
    assert expanded_weights(net, "0", "2", [1]).shape[:2] == (1, 8)
    found = attribute(net, batch[:2], "2", logit("dog"), progress=False)
    assert found.overlay(0).size == (SIZE, SIZE)
    assert found.image().mode == "RGB"
    report = evaluate(net, Channels("2", [1]), {"all": (batch, [0, 1, 2] * 4)}, random_sets=2, progress=False)
    assert report.thumbnails is not None
    assert report.thumbnails.shape[1] == 3
    compare_renderings(net, Channels("2", [1]), logit("dog"), size=SIZE, **DRAWN)


def test_pages_show_images_of_any_number_of_channels(net: Classifier, tmp_path: Path) -> None:
    batch = images(net.channels)
    grid = activation_grid(net, batch[0], "3", groups=2, size=12, **DRAWN)
    grid.save(tmp_path / "grid.png")
    dictionary = semantic_dictionary(net, batch[0], "3", top=1, size=12, **DRAWN)
    dictionary.save(tmp_path / "dictionary.png")
    assert grid.image().mode == dictionary.image().mode == "RGB"
    activation_atlas(net, batch, "3", levels=[2], options=ATLAS, progress=False).save(tmp_path / "atlas")
    page = build_microscope(net, batch, "3", tmp_path / "site", channels=[1], size=12, options=SMALL, **DRAWN)
    assert page.is_file()
    hinton_of_expanded_weights(net, "0", "2", [0], top=2, icons=12, **DRAWN).save(tmp_path / "hinton.png")


def stem(count: int, *rest: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(count, 4, 3), nn.ReLU(), *rest)


class LateStem(nn.Module):
    """Registers its head before its stem."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.stem = nn.Conv2d(64, 2, 1), nn.Conv2d(3, 64, 3)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.head(self.stem(x))
        return output


COUNTED = {
    "the normalisation": (stem(3), IMAGENET, 3),
    "a normalisation of one channel": (stem(1), Normalize((0.5,), (0.5,)), 1),
    "the first convolution": (stem(1), None, 1),
    "many bands": (stem(13), None, 13),
    "a grouped convolution": (nn.Conv2d(4, 8, 3, groups=4), None, 4),
    "a layer over all pixels": (nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 2)), None, 1),
    "a layer over all pixels in colour": (nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 2)), None, 3),
    "an adapter before a colour network": (nn.Sequential(nn.Conv2d(1, 3, 1), stem(3)), None, 1),
    "a stem that is registered late": (LateStem(), None, 3),
    "no layer": (nn.ReLU(), None, 3),
    "a function of every channel": (stem(1), lambda x: 2 * x - 1, 1),
    "a function that makes gray": (stem(1), lambda x: x.mean(1, keepdim=True), 3),
    "a function that takes colour only": (stem(1), lambda x: x[:, 1:2] - x[:, 2:3], 3),
    "a function that makes clips": (nn.Conv3d(3, 4, 3), lambda x: x.unsqueeze(2).expand(-1, -1, 3, -1, -1), 3),
}


@pytest.mark.parametrize(("network", "normalize", "count"), COUNTED.values(), ids=COUNTED)
def test_the_number_of_channels_is_read_from(network: nn.Module, normalize, count: int) -> None:
    assert Classifier(network, normalize, SIZE).channels == count
    assert Classifier(network, normalize, SIZE, channels=5).channels == 5


def test_another_normalisation_brings_its_own_number_of_channels() -> None:
    gray = build(1)
    assert as_classifier(gray, None).channels == 1
    assert as_classifier(gray, lambda x: x.mean(1, keepdim=True)).channels == 1
    assert as_classifier(gray, IMAGENET).channels == 3


@pytest.mark.parametrize("count", [1, 4])
def test_timm_and_torchvision_networks_of_other_channels_carry_a_normalisation_that_fits(count: int) -> None:
    timm = pytest.importorskip("timm")
    import torchvision

    expected = Normalize(((0.485 + 0.456 + 0.406) / 3,) * count, ((0.229 + 0.224 + 0.225) / 3,) * count)
    carried = as_classifier(timm.create_model("resnet10t", in_chans=count))
    assert (carried.channels, carried.normalize) == (count, expected)
    network = torchvision.models.squeezenet1_1()
    network.features[0] = nn.Conv2d(count, 64, 3, 2)
    with pytest.warns(UserWarning, match="is fed as torchvision's published weights are"):
        assert as_classifier(network).normalize == expected


def test_gray_images_of_every_form_are_the_same_image(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE), np.uint8)
    gray = torch.from_numpy(levels).float() / 255
    Image.fromarray(levels).save(tmp_path / "gray.png")
    forms = {
        "path": tmp_path / "gray.png",
        "Pillow image": Image.fromarray(levels),
        "bytes": levels,
        "bytes with an axis": levels[:, :, None],
        "RGB bytes": np.repeat(levels[:, :, None], 3, 2),
        "floats": gray.numpy(),
        "big-endian floats": gray.numpy().astype(">f8"),
        "a tensor": gray,
        "a tensor with an axis": gray[None],
        "a batch": gray[None, None],
        "RGB": gray[None].expand(3, -1, -1),
    }
    mono, colour = build(1), build(3)
    for form, source in forms.items():
        torch.testing.assert_close(load_image(source, channels=1), gray[None, None], atol=1e-3, rtol=0, msg=form)
        torch.testing.assert_close(mono.load_batch(source), gray[None, None], atol=1e-3, rtol=0, msg=form)
        expected = gray.expand(1, 3, -1, -1)
        torch.testing.assert_close(load_image(source), expected, atol=1e-3, rtol=0, msg=form)
        torch.testing.assert_close(colour.load_batch(source), expected, atol=1e-3, rtol=0, msg=form)


@pytest.mark.parametrize("count", COUNTS)
def test_maco_takes_the_spectrum_of_the_networks_own_images_and_shows_its_transparency(count: int) -> None:
    spectrum = mean_spectrum(images(count))
    param = phase_image(SIZE, spectrum=spectrum, channels=count)
    start = images(count)[:1]
    torch.testing.assert_close(param.fill_(start)(), start, atol=4e-3, rtol=0)
    assert mean_spectrum(start).shape == spectrum.shape
    torch.testing.assert_close(param.canvas.magnitude[0].double(), mean_spectrum(start), atol=1e-3, rtol=1e-3)
    made = maco(build(count), channel("2", 0), spectrum=spectrum, views=2, **DRAWN)
    shown = made.with_transparency()
    assert made.images.shape[1] == count
    assert shown.shape == (1, 4, 2 * SIZE, 2 * SIZE)
    if count == 4:
        assert (shown[:, 3] <= made.images[:, 3]).all()


def test_a_wrong_number_of_channels_is_refused_in_words() -> None:
    photo = Image.new("RGB", (SIZE, SIZE))
    with pytest.raises(
        ValueError, match=r"^a picture has 3 channels, and the network takes 4; give tensors \(4, H, W\)"
    ):
        classify(build(4), photo)
    for wrong in (images(2), images(3)):
        with pytest.raises(ValueError, match=r"expected \(4, H, W\) or \(B, 4, H, W\)"):
            activations(build(4), wrong, ["2"])
    with pytest.raises(ValueError, match=r"expected \(1, H, W\) or \(B, 1, H, W\)"):
        activations(build(1), images(4), ["2"])
    mistaken = Classifier(stem(2), None, SIZE, channels=5)
    with pytest.raises(NetworkError, match=r"5 channels.*; its first layer takes images of 2 channels: "):
        activations(mistaken, images(5), ["0"])


def test_bytes_of_many_bands_are_read() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 13), np.uint8)
    expected = torch.from_numpy(levels).permute(2, 0, 1).unsqueeze(0) / 255
    assert torch.equal(build(13).load_batch(levels), expected)
