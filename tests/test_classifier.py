"""A classifier: what a network's publisher says of it, and nothing guessed."""

from __future__ import annotations

import warnings
from dataclasses import replace
from threading import Thread

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models, transforms
from torchvision.transforms import v2
from torchvision.transforms._presets import ImageClassification, SemanticSegmentation

from optvis import IMAGENET, Classifier, Normalize, activations
from optvis.data.crop import ResizeCrop
from optvis.models.infer import as_classifier


def test_normalize_is_mean_taken_away_and_divided_by_the_deviation():
    images = torch.rand(2, 3, 4, 5, dtype=torch.float64)
    mean, std = (torch.tensor(numbers, dtype=torch.float64).view(3, 1, 1) for numbers in (IMAGENET.mean, IMAGENET.std))
    by_hand = (images - mean) / std
    torch.testing.assert_close(IMAGENET(images), by_hand, atol=1e-12, rtol=0)
    assert IMAGENET(images).dtype == torch.float64


@pytest.mark.parametrize(("mean", "std"), [((0, 0), (1,)), ((0,), (0,)), ((0,), (-1,)), ((0,), (float("nan"),))])
def test_normalize_refuses_numbers_that_do_not_fit(mean, std):
    with pytest.raises(ValueError, match="expected one of each per channel, std positive"):
        Normalize(mean, std)


def test_whole_numbers_are_as_good_as_any():
    assert Normalize((0, 0, 0), (1, 1, 1))(torch.ones(1, 3, 1, 1)).tolist() == [[[[1.0]], [[1.0]], [[1.0]]]]


def test_normalizations_with_equal_numbers_are_equal():
    assert Normalize([0.5], [2]) == Normalize((0.5,), (2.0,))
    assert eval(repr(IMAGENET)) == IMAGENET


def test_the_size_is_the_one_that_the_network_was_built_for():
    network = nn.Flatten()
    assert Classifier(network, None, channels=3).size == (224, 224)
    network.image_size = 64
    assert Classifier(network, None, channels=3).size == (64, 64)


@pytest.mark.parametrize("size", [8, (8, 8)])
def test_a_side_is_a_square(size):
    classifier = Classifier(nn.Flatten(), None, size)
    assert classifier.size == (8, 8)
    assert classifier.crop == ResizeCrop(8, (8, 8))


@pytest.mark.parametrize("crop", [None, ResizeCrop(10, (8, 8), "bicubic")])
@pytest.mark.parametrize("size", [12, (6, 10)])
def test_a_replaced_size_is_the_size_of_all_images(crop, size):
    replaced = replace(Classifier(nn.Flatten(), None, 8, crop=crop), size=size)
    picture, tensor = Image.new("RGB", (30, 20)), torch.rand(3, 20, 30)
    for image in (picture, tensor):
        assert tuple(replaced.load_batch(image).shape[2:]) == replaced.size
    assert replaced.crop == Classifier(nn.Flatten(), None, size).crop


def test_a_crop_to_the_networks_size_is_kept():
    crop = ResizeCrop(10, (8, 8), "bicubic")
    assert Classifier(nn.Flatten(), None, 8, crop=crop).crop == crop


@pytest.mark.parametrize("size", [0, -1, (8,), (8, 0), (8.0, 8.0), (1, 2, 3)])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises((ValueError, TypeError), match="size"):
        Classifier(nn.Flatten(), None, size)


def test_what_is_no_network_or_normalisation_is_refused():
    with pytest.raises(TypeError, match="network must be Module, got function"):
        Classifier(lambda x: x, None, 8)
    with pytest.raises(TypeError, match="normalize must be a function or None, got str 'imagenet'"):
        Classifier(nn.Flatten(), "imagenet", 8)
    with pytest.raises(TypeError, match=r"model is a str; expected an nn\.Module or a Classifier"):
        as_classifier("squeezenet1_0")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_images_take_the_networks_dtype_at_its_door_and_are_at_least_float32_before(dtype):
    classifier = Classifier(nn.Conv2d(3, 2, 1).to(dtype), IMAGENET, 8)
    assert classifier.dtype == dtype
    assert classifier.image_dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert classifier.preprocess(torch.rand(1, 3, 8, 8)).dtype == dtype


def test_a_network_without_parameters_is_on_the_cpu_in_float32():
    classifier = Classifier(nn.AvgPool2d(2), None, 8)
    assert (classifier.device, classifier.dtype) == (torch.device("cpu"), torch.float32)


def test_integer_parameters_do_not_decide_the_dtype():
    network = nn.Module()
    network.count = nn.Parameter(torch.zeros(1, dtype=torch.int64), requires_grad=False)
    network.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    assert Classifier(network, None, 8).dtype == torch.float64


def test_prepared_is_the_normalisation_and_no_alias_of_the_images():
    images = torch.rand(2, 3, 8, 8)
    told = Classifier(nn.Conv2d(3, 2, 1), lambda x: x * 2, 8)
    assert torch.equal(told.preprocess(images), images * 2)
    as_it_is = Classifier(nn.Conv2d(3, 2, 1), None, 8)
    for given in (images, images.to(memory_format=torch.channels_last)):
        ready = as_it_is.preprocess(given)
        assert torch.equal(ready, images)
        ready.zero_()
        assert given.abs().sum() > 0


def test_a_torchvision_network_carries_imagenets_normalisation():
    with pytest.warns(UserWarning, match="SqueezeNet is fed as torchvision's published weights"):
        carried = as_classifier(models.squeezenet1_0())
    assert carried.normalize == IMAGENET
    assert (carried.size, carried.fixed_size) == ((224, 224), False)


def test_a_timm_network_carries_its_own():
    timm = pytest.importorskip("timm")
    network = timm.create_model("vit_tiny_patch16_224")
    carried = as_classifier(network)
    assert carried.normalize == Normalize(network.pretrained_cfg["mean"], network.pretrained_cfg["std"])
    assert carried.normalize != IMAGENET
    assert (carried.size, carried.fixed_size) == ((224, 224), True)
    assert len(carried.labels) == 1000 or carried.labels == ()


def test_a_network_that_carries_nothing_is_refused_with_the_choices(network):
    with pytest.raises(ValueError, match=r"normalize=IMAGENET, normalize=Normalize\(mean, std\), a function, or None"):
        as_classifier(network)


def test_outputs_are_read_anew_where_the_last_layer_was_replaced():
    network, images = nn.Sequential(nn.Flatten(), nn.Linear(48, 4)), torch.rand(2, 3, 4, 4)
    bare, labelled = Classifier(network, None, 4), Classifier(network, None, 4, labels=tuple("abcd"))
    assert bare.logits(images).shape == labelled.logits(images).shape == (2, 4)
    network[1] = nn.Sequential(nn.Linear(48, 2), nn.Sigmoid())
    with torch.no_grad():
        expected = network(images).logit()
    torch.testing.assert_close(bare.logits(images), expected)
    with pytest.raises(ValueError, match="4 labels for a network with 2 outputs"):
        labelled.logits(images)


def test_a_network_that_draws_random_numbers_is_said_to_do_so():
    class Noisy(nn.Module):
        def forward(self, x):
            return torch.nn.functional.dropout(x.flatten(1), 0.5)

    net, images = Classifier(Noisy(), None, 4), torch.rand(2, 3, 4, 4)
    activations(net, images, "")  # one run may be another thread's
    with pytest.warns(UserWarning, match="Noisy draws random numbers in eval mode"):
        activations(net, images, "")
    activations(net, images, "")  # once


def test_random_numbers_of_another_thread_are_not_said_to_be_the_networks():
    class Quiet(nn.Module):
        def forward(self, x):
            other = Thread(target=torch.rand, args=(3,))
            other.start()
            other.join()
            return x.flatten(1)

    net, images = Classifier(Quiet(), None, 4), torch.rand(2, 3, 4, 4)
    for _ in range(4):
        activations(net, images, "")


def test_a_network_whose_images_influence_each_other_is_said_to_do_so():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten())
    with pytest.warns(UserWarning, match="'1' keeps no running statistics.* alone and in a batch differ"):
        activations(Classifier(network, None, 4), torch.rand(2, 3, 4, 4), "0")


def test_another_number_of_prefix_tokens_for_one_network_is_said_to_hold_for_both():
    network = nn.Conv2d(3, 4, 1)
    Classifier(network, None, 4, prefix_tokens=1)
    Classifier(network, None, 4, prefix_tokens=1)
    with pytest.warns(UserWarning, match=r"prefix_tokens=0 replaces the 1 .* of this Conv2d has declared"):
        Classifier(network, None, 4, prefix_tokens=0)


def test_what_is_told_wins_over_what_is_carried():
    twice = lambda x: 2 * x  # noqa: E731
    assert as_classifier(models.squeezenet1_0(), twice).normalize is twice
    assert as_classifier(models.squeezenet1_0(), None).normalize is None
    known = Classifier(nn.Flatten(), IMAGENET, 8, labels=("a",), name="known")
    changed = as_classifier(known, None)
    assert (changed.normalize, changed.labels, changed.name, known.normalize) == (None, ("a",), "known", IMAGENET)
    assert as_classifier(known) is known


def test_a_normalisation_that_is_a_wrong_word_is_refused(network):
    with pytest.raises(ValueError, match="normalize is 'imagenet'; expected Normalize"):
        as_classifier(network, "imagenet")


def test_it_says_what_it_is(small):
    assert repr(small).startswith("Classifier('small', 20 × 20 px, 5 labels, normalize=Normalize(")
    assert "torch.float64 on cpu" in repr(small)
    assert Classifier(nn.Flatten(), None, 8).name == "Flatten"


NUMBERS = (0.25, 0.5, 0.75), (0.5, 0.25, 0.125)
CHAINS = {
    "a Normalize": lambda: transforms.Normalize(*NUMBERS),
    "a chain": lambda: transforms.Compose([transforms.ToTensor(), transforms.Normalize(*NUMBERS)]),
    "a chain that resizes": lambda: transforms.Compose(
        [transforms.Resize(9), transforms.CenterCrop(8), transforms.ToTensor(), transforms.Normalize(*NUMBERS)]
    ),
    "a chain of v2": lambda: v2.Compose(
        [v2.Resize(9), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(*NUMBERS)]
    ),
    "a chain of modules": lambda: nn.Sequential(transforms.Resize(9), transforms.Normalize(*NUMBERS)),
    "a chain of one": lambda: transforms.Compose([transforms.Normalize(*NUMBERS)]),
    "a preset of weights": lambda: ImageClassification(crop_size=8, resize_size=9, mean=NUMBERS[0], std=NUMBERS[1]),
    "a preset of segmentation": lambda: SemanticSegmentation(resize_size=9, mean=NUMBERS[0], std=NUMBERS[1]),
    "timm's": lambda: pytest.importorskip("timm").data.create_transform((3, 8, 8), mean=NUMBERS[0], std=NUMBERS[1]),
    "a processor of Hugging Face": lambda: pytest.importorskip("transformers").ConvNextImageProcessor(
        image_mean=NUMBERS[0], image_std=NUMBERS[1]
    ),
}


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("chain", CHAINS)
def test_the_numbers_are_taken_out_of_what_prepares_files(chain, size):
    images = torch.rand(2, 3, size, size)
    expected = Normalize(*NUMBERS)(images)
    for net in (
        Classifier(nn.Flatten(), CHAINS[chain](), size),
        as_classifier(nn.Flatten(), CHAINS[chain]()),
        as_classifier(Classifier(nn.Flatten(), None, size), CHAINS[chain]()),
    ):
        torch.testing.assert_close(net.preprocess(images), expected)


@pytest.mark.parametrize(
    "chain",
    [
        transforms.ToTensor(),
        transforms.CenterCrop(8),
        transforms.Compose([transforms.Resize(8), transforms.ToTensor()]),
        transforms.Compose([transforms.Grayscale(3), transforms.ToTensor(), transforms.Normalize(*NUMBERS)]),
        transforms.Compose([transforms.ToTensor(), transforms.Normalize(*NUMBERS), transforms.Normalize(*NUMBERS)]),
    ],
    ids=lambda chain: type(chain).__name__,
)
def test_a_chain_that_does_more_than_normalise_is_one_sentence(chain):
    with pytest.raises(
        ValueError, match=r"normalize is (Resize|ToTensor|CenterCrop|Grayscale).*loads, resizes"
    ) as caught:
        Classifier(nn.Flatten(), chain, 16)
    assert "\n" not in str(caught.value)


def test_a_function_of_files_is_refused_where_it_gets_a_tensor():
    to_tensor = transforms.ToTensor()
    net = Classifier(nn.Flatten(), lambda image: to_tensor(image), 8)
    with pytest.raises(TypeError, match=r"normalize fails on images \(1, 3, 8, 8\): .*expected a function of tensors"):
        net.preprocess(torch.rand(1, 3, 8, 8))


def detector(**options):
    build = models.detection.ssdlite320_mobilenet_v3_large
    return build(weights=None, weights_backbone=None, **options)


INSIDE = {
    "a detector": detector,
    "one that begins with a Normalize": lambda: nn.Sequential(transforms.Normalize(*NUMBERS), nn.Flatten()),
    "one whose part begins so": lambda: nn.Sequential(nn.Sequential(v2.Normalize(*NUMBERS)), nn.Flatten()),
}


@pytest.mark.parametrize("inside", INSIDE)
def test_a_network_that_normalises_itself_is_warned_of_once(inside):
    network = INSIDE[inside]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Classifier(network, None, 32)
        Classifier(nn.Sequential(nn.Flatten(), transforms.Normalize(*NUMBERS)), IMAGENET, 32)
    with pytest.warns(UserWarning, match="normalises images itself, and normalize=Normalize") as caught:
        Classifier(network, IMAGENET, 32)
    assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Classifier(network, IMAGENET, 32)
        Classifier(detector(image_mean=[0.0] * 3, image_std=[1.0] * 3), IMAGENET, 32)


def test_calling_it_gives_the_logits_of_images_and_refuses_what_is_normalised(small):
    images = torch.rand(2, 3, *small.size)
    assert torch.equal(small(images), small.logits(images))
    with pytest.raises(ValueError, match=r"runs from .* expected \[0, 1\]: undo its normalisation"):
        small(IMAGENET(images))
