"""The embedded transformer: small, right about its world, and known in its parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

import optvis.models.embedded
from optvis import Channels, activations, attribute, blinded, find_units, load
from optvis.ablation import Subspace
from optvis.atlas import AtlasOptions, class_atlas, compare_classes, sample_activations
from optvis.models.embedded.vit import VIT_WEIGHTS, DemoViT
from optvis.objectives import logit
from optvis.world import LABELS, Scenes, dataset
from optvis.world.scene_classes import SCENE_CLASSES

from .bench.attribution import FIRST_SEED, part_mask, scenes, spearman
from .training import card, measure
from .training.distill import build_lesson, lesson_loss
from .training.train import VIT_CONFIG, train_vit


@pytest.fixture(scope="module")
def net():
    return load("demo-vit")


def test_weights_are_few_and_float16(net):
    from safetensors.torch import load_file

    assert VIT_WEIGHTS.stat().st_size <= 2e6
    assert {weight.dtype for weight in load_file(VIT_WEIGHTS).values()} == {torch.float16}
    assert (net.dtype, net.labels, net.size, net.name) == (torch.float32, LABELS, (96, 96), "demo-vit")


def test_random_weights_are_always_the_same():
    one, other = load("demo-vit", weights=None), load("demo-vit", weights=None)
    assert_close(one.network.state_dict(), other.network.state_dict(), rtol=0, atol=0)
    with pytest.raises(KeyError, match="no weights 'IMAGENET1K_V1' of demo-vit"):
        load("demo-vit", weights="IMAGENET1K_V1")


def test_accuracy_on_fresh_scenes(net):
    counts = measure.confusion_matrix(net, 640, seed=77)
    assert counts.diag().sum() >= 0.97 * 640
    assert (counts.diag() / counts.sum(1)).min() >= 0.92


def test_class_token_registers_and_patches(net):
    images = dataset(2, seed=9)[0]
    found = {
        one: activations(net, images, "blocks.3", tokens=one)["blocks.3"] for one in ("patches", "class", "registers")
    }
    assert [tuple(a.shape) for a in found.values()] == [(2, 128, 12, 12), (2, 128), (2, 2, 128)]


def test_logits_are_a_mean_of_the_class_token_and_of_the_patches(net):
    images = dataset(4, seed=9)[0]
    found = activations(net, images, ["norm", "norm@class", ""])
    pooled = (found["norm@class"] + found["norm"].mean((2, 3))) / 2
    assert_close(found[""], net.network.head(pooled), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", ["blocks.5", "blocks.3"])
def test_positions_lie_on_the_parts_of_the_class(net, layer):
    """Positive attribution inside the parts' masks, which are enlarged by one patch, beside their share of the area."""
    shares, areas = [], []
    for kind in SCENE_CLASSES:
        found = attribute(net, scenes(kind.label, 1), layer, logit(kind.label), progress=False).positions.clamp(min=0)
        mask = part_mask(kind.label, FIRST_SEED, kind.parts, found.shape[1:])
        shares.append(float((found * mask).sum() / found.sum()))
        areas.append(float(mask.mean()))
    assert sum(shares) / len(shares) >= 0.8
    assert sum(shares) / len(shares) >= sum(areas) / len(areas) + 0.15


@pytest.mark.parametrize(("layer", "least"), [("blocks.5", 0.95), ("blocks.2", 0.9)])
def test_the_default_attribution_agrees_with_exact_ablation(net, layer, least):
    for label in LABELS[::5]:
        image = scenes(label, 1)
        exact = attribute(net, image, layer, logit(label), method="ablation", progress=False).channels[0]
        assert spearman(attribute(net, image, layer, logit(label), progress=False).channels[0], exact) >= least


def test_a_class_is_blinded_by_three_directions(net):
    images, labels = dataset(320, 41)
    keep = torch.cat([images[labels == index][:4] for index in range(len(LABELS)) if index != 3])
    units = find_units(
        net, images[labels == 3], 3, keep=keep, layers="blocks.5", tokens="all", method=Subspace(3), progress=False
    )
    fresh, truth = dataset(320, 42)
    before = net.logits(fresh).argmax(1) == truth
    with blinded(net, *units):
        after = net.logits(fresh).argmax(1) == truth
    assert after[truth == 3].float().mean() <= 0.05
    assert (before[truth != 3].float() - after[truth != 3].float()).mean() <= 0.01


def test_the_tail_of_a_transformer_is_exact(net):
    """Attribution by ablation of a channel is what a blinding changes."""
    image = scenes("owl", 1)
    exact = attribute(net, image, "blocks.4", logit("owl"), method="ablation", progress=False).channels[0]
    plain = net.logits(image)[0, LABELS.index("owl")]
    for channel in (0, 77):
        with blinded(net, Channels("blocks.4", channel)):
            assert_close(plain - net.logits(image)[0, LABELS.index("owl")], exact[channel], atol=1e-4, rtol=1e-3)


def test_training_is_repeatable_and_changes_the_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        network = DemoViT()
        start = network.head.weight.detach().clone()
        states.append(train_vit(network, replace(VIT_CONFIG, scenes=16, epochs=1, batch_size=8), 0).state_dict())
        assert not torch.equal(start, network.head.weight)
    assert_close(*states, rtol=0, atol=0)


def test_what_the_teacher_says_of_positions_are_its_logits():
    teacher, (images, labels) = load("demo"), dataset(4, seed=9)
    lesson = build_lesson(teacher.network, images, labels)
    assert lesson.maps.shape == (4, 144, 16)
    assert_close(lesson.maps.mean(1), teacher.logits(images), atol=1e-3, rtol=1e-3)
    trained, untrained = (load("demo-vit", weights=weights).network for weights in ("DEFAULT", None))
    assert lesson_loss(trained, images, lesson, 0.05) < lesson_loss(untrained, images, lesson, 0.05)


@pytest.fixture(scope="module")
def card_text():
    return (Path(optvis.models.embedded.__file__).parent / "card_vit.md").read_text(encoding="utf-8")


def test_the_card_has_all_sections_and_classes(card_text):
    for heading in ("Data and training", "Accuracy", "Errors", "Effect of each part", "shortcuts", "Limits"):
        assert heading in card_text
    assert all(label in card_text for label in LABELS)


def test_the_card_has_the_texts_of_the_code_that_writes_it(card_text, net):
    confusion = torch.eye(16, dtype=torch.long) * 250
    pan, wok = LABELS.index("frying pan"), LABELS.index("wok")
    confusion[pan, pan], confusion[pan, wok] = 249, 1
    figures = {
        "confusion": confusion,
        "drops": {},
        "shortcuts": [],
        "origin": card.JudgeOrigin("separable", 12),
        "pairs": 50,
    }
    judged = torch.arange(16).expand(2, -1).clone()
    judged[:, :2] = -1  # 14 of 16
    lines = card.format_card(net, **figures, judged=judged, judge_accuracy=95.88).splitlines()
    assert set(lines) <= set(card_text.splitlines())


def test_atlases_of_classes_are_those_of_the_tokens_that_are_meant(net):
    options = AtlasOptions(layout="tsne", size=16, steps=1)
    arguments = net, Scenes(48), "blocks.4@class"
    settings = {"levels": [2], "options": options, "progress": False}
    samples = sample_activations(net, Scenes(48), "blocks.4", tokens="class", progress=False)
    made = class_atlas(*arguments, "owl", **settings)
    assert made.layer == "blocks.4@class"
    assert torch.equal(made.points, class_atlas(*arguments, "owl", samples=samples, **settings).points)
    assert compare_classes(*arguments, "owl", "wok", **settings).atlas.layer == "blocks.4@class"


@pytest.mark.parametrize("tokens", ["class", "patches"])
def test_attribution_that_is_rounding_is_said_to_be_so(net, tokens):
    with pytest.warns(UserWarning, match=r"do not change with the norm.*name the layer behind the norm"):
        found = sample_activations(net, Scenes(8), "blocks.5", tokens=tokens, progress=False)
    behind = sample_activations(net, Scenes(8), "norm", tokens=tokens, progress=False)
    assert found.attribution.norm() < 1e-4 * behind.attribution.norm()
