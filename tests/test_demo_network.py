"""The embedded classifier: small, quick to load, right about its world; its training works and is repeatable."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import optvis.models.embedded
from optvis import activations, classify, load
from optvis.models.embedded.network import WEIGHTS, demo_network
from optvis.world import LABELS, dataset, scene
from optvis.world.training import measure, train
from optvis.world.training.augment import augmented
from optvis.world.training.judge import judge_network
from optvis.world.training.train import DEMO, folded, trained

STAGES = {"conv1": (32, 48), "conv2": (48, 24), "mixed3": (80, 24), "mixed4": (128, 12), "mixed5": (192, 12)}
TINY = replace(DEMO, scenes=32, epochs=2, batch=16)


@pytest.fixture(scope="module")
def demo():
    return load("demo")


def test_the_file_is_small_and_holds_half_floats():
    from safetensors.torch import load_file

    assert WEIGHTS.stat().st_size <= 1.5e6
    assert {weight.dtype for weight in load_file(WEIGHTS).values()} == {torch.float16}


def test_it_computes_in_float32_and_is_the_default(demo):
    assert demo.dtype == torch.float32
    assert demo.labels == LABELS
    assert demo.size == (96, 96)
    assert not demo.network.training
    default = load()
    assert default.name == demo.name == "demo"
    assert_close(default.network.state_dict(), demo.network.state_dict(), rtol=0, atol=0)


def test_each_load_is_its_own():
    one, other = load(), load()
    with torch.no_grad():
        one.network.head.weight.zero_()
    assert other.network.head.weight.abs().sum() > 0


@pytest.mark.parametrize("stage", STAGES)
def test_stages_end_in_a_relu(demo, stage):
    channels, side = STAGES[stage]
    found = activations(demo, torch.rand(2, 3, 96, 96), [stage])[stage]
    assert found.shape == (2, channels, side, side)
    assert found.min() == 0 < found.max()


def test_the_tail_is_linear(demo):
    images = dataset(4, seed=9)[0]
    found = activations(demo, images, ["mixed5", ""])
    by_hand = found["mixed5"].double().mean((2, 3)) @ demo.network.head.weight.double().T
    assert_close(found[""].double(), by_hand + demo.network.head.bias, rtol=1e-4, atol=1e-4)


def test_it_is_right_about_fresh_scenes(demo):
    counts = measure.confusion(demo, 640, seed=77)
    assert counts.sum() == 640
    assert counts.diag().sum() >= 0.98 * 640
    assert (counts.diag() / counts.sum(1)).min() >= 0.9


def test_classify_names_a_scene(demo, tmp_path):
    from optvis.viz.sheet import to_picture

    shown = scene("lighthouse", seed=12)
    assert classify(demo, shown.image, top=1).labels[0][0] == "lighthouse"
    to_picture(shown.image).save(tmp_path / "scene.png")
    assert classify(demo, tmp_path / "scene.png", top=1).labels[0][0] == "lighthouse"


def test_it_loads_in_a_tenth_of_a_second_and_imports_nothing_else():
    code = (
        "import sys, time; import optvis, safetensors.torch\n"
        "def tops(): return {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "before = tops()\n"
        "start = time.perf_counter(); optvis.load(); spent = time.perf_counter() - start\n"
        "print(spent, sorted(tops() - before))"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True).stdout
        for _ in range(3)
    ]
    assert min(float(run.split()[0]) for run in runs) < 0.1
    assert runs[0].split(maxsplit=1)[1].strip() == "[]"


def test_random_weights_are_the_same_each_time():
    one, other = load("demo", weights=None), load("demo", weights=None)
    assert_close(one.network.state_dict(), other.network.state_dict(), rtol=0, atol=0)
    assert not torch.equal(one.network.head.weight, load().network.head.weight)


def test_other_weights_and_labels():
    with pytest.raises(KeyError, match="no weights 'IMAGENET1K_V1' of demo"):
        load("demo", weights="IMAGENET1K_V1")
    assert load("demo", labels=["x"] * 16).labels == ("x",) * 16


def test_a_file_of_its_weights_loads_as_any_other(tmp_path):
    net = load()
    torch.save(net.network.state_dict(), tmp_path / "copy.pth")
    again = load(tmp_path / "copy.pth", architecture="demo")
    assert_close(again.network.state_dict(), net.network.state_dict(), rtol=0, atol=0)
    few = demo_network(3)
    torch.save(few.state_dict(), tmp_path / "few.pth")
    assert load(tmp_path / "few.pth", architecture="demo", labels=["a", "b", "c"]).labels == ("a", "b", "c")


def test_folding_changes_no_answer():
    torch.manual_seed(0)
    network = demo_network(trainable=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    images = torch.rand(3, 3, 96, 96, dtype=torch.float64)
    network = network.double().eval()
    assert_close(folded(network).double()(images), network(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("build", [judge_network, lambda: demo_network(trainable=True)], ids=["judge", "demo"])
def test_training_is_repeatable_and_changes_the_weights(build, capsys):
    states = []
    for _ in range(2):
        torch.manual_seed(0)
        network = build()
        start = network[-1].weight.detach().clone()
        states.append(trained(network, TINY, seed=0).state_dict())
        assert not torch.equal(start, network[-1].weight)
    assert_close(*states, rtol=0, atol=0)
    assert "training" in capsys.readouterr().err


def test_augmentation_stays_in_range_and_follows_its_draws():
    images = dataset(8)[0]
    made = [augmented(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert made[0].shape == images.shape
    assert 0 <= made[0].min() <= made[0].max() <= 1


def test_the_card_lies_beside_the_weights():
    text = (Path(optvis.models.embedded.__file__).parent / "card.md").read_text(encoding="utf-8")
    for heading in ("Data and training", "Accuracy", "Confusion", "each part is worth", "shortcuts", "Limits"):
        assert heading in text
    assert all(label in text for label in LABELS)


@pytest.mark.parametrize("arguments", [[], ["--judge"]])
def test_a_folder_is_made_before_hours_are_spent(arguments, tmp_path, monkeypatch):
    place = tmp_path / "new" / "weights.safetensors"

    def instead(network, recipe, seed):
        assert place.parent.is_dir()
        return network.eval()

    monkeypatch.setattr(train, "trained", instead)
    train.main([*arguments, "--out", str(place)])
    assert place.stat().st_size > 1e5


def test_labels_are_one_text_a_class():
    with pytest.raises(ValueError, match="2 labels for demo, which has 16 classes"):
        load(labels=["a", "b"])
    with pytest.raises(TypeError, match="a text per class"):
        load(labels="owl")
