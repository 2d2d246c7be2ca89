"""Training of the demo classifier: repeatable, and described by its model card."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import optvis.models.embedded
from optvis import load
from optvis.models.embedded.network import demo_network
from optvis.world import LABELS, dataset

from .training import card, train
from .training.augment import augment
from .training.judge import judge_network
from .training.train import DEMO_CONFIG, fold_batch_norm, leave_out_classes, train_network

TINY = replace(DEMO_CONFIG, scenes=32, epochs=2, batch_size=16)


def test_folding_batch_norm_keeps_the_outputs():
    torch.manual_seed(0)
    network = demo_network(batch_norm=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    images = torch.rand(3, 3, 96, 96, dtype=torch.float64)
    network = network.double().eval()
    assert_close(fold_batch_norm(network).double()(images), network(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("build", [judge_network, lambda: demo_network(batch_norm=True)], ids=["judge", "demo"])
def test_training_is_repeatable_and_changes_the_weights(build, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)  # bars are hidden where it is a file
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        network = build()
        start = network[-1].weight.detach().clone()
        states.append(train_network(network, TINY, seed=0).state_dict())
        assert not torch.equal(start, network[-1].weight)
    assert_close(*states, rtol=0, atol=0)
    assert "training" in capsys.readouterr().err


def test_classes_are_left_out_of_training():
    images, labels = dataset(32)
    shown, kept = leave_out_classes(images, labels, ["white shark", "wok"])
    left = [LABELS.index("white shark"), LABELS.index("wok")]
    assert sorted(set(kept.tolist())) == [index for index in range(16) if index not in left]
    assert torch.equal(shown, images[[int(label) not in left for label in labels]])
    assert torch.equal(leave_out_classes(images, labels, [])[0], images)
    with pytest.raises(ValueError, match="no class 'white shar'; nearest: 'white shark'"):
        leave_out_classes(images, labels, ["white shar"])


def test_augmentation_stays_in_range_and_depends_on_its_seed():
    images = dataset(8)[0]
    augmented = [augment(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(augmented[0], augmented[1])
    assert not torch.equal(augmented[0], augmented[2])
    assert augmented[0].shape == images.shape
    assert 0 <= augmented[0].min() <= augmented[0].max() <= 1


@pytest.mark.parametrize("arguments", [[], ["--judge"], ["--judge", "separable"], ["--judge", "plain"]])
def test_output_folder_exists_before_training_begins(arguments, tmp_path, monkeypatch):
    file = tmp_path / "new" / "weights.safetensors"

    def check_folder(network, config, seed):
        assert file.parent.is_dir()
        return network.eval()

    monkeypatch.setattr(train, "train_network", check_folder)
    train.main([*arguments, "--out", str(file)])
    assert file.stat().st_size > 1e5


@pytest.fixture(scope="module")
def card_text():
    return (Path(optvis.models.embedded.__file__).parent / "card.md").read_text(encoding="utf-8")


def test_card_has_all_sections_and_classes(card_text):
    for heading in ("Data and training", "Accuracy", "Errors", "Effect of each part", "shortcuts", "Limits"):
        assert heading in card_text
    assert all(label in card_text for label in LABELS)


def test_card_has_the_texts_of_the_code_that_writes_it(card_text):
    figures = {
        "confusion": torch.eye(16, dtype=torch.long) * 250,
        "drops": {"owl": {"face": 0.476}},
        "shortcuts": [],
        "judged": torch.arange(16).expand(5, -1),
        "judge_accuracy": 99.75,
    }
    lines = card.format_card(load(), **figures).splitlines()
    assert set(lines) <= set(card_text.splitlines())
