"""The embedded classifier: small, quick to load, and right about its world."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close

from optvis import activations, classify, load
from optvis.models.embedded.network import WEIGHTS, demo_network
from optvis.world import LABELS, dataset, scene

from .training import measure

STAGES = {"conv1": (32, 48), "conv2": (48, 24), "mixed3": (80, 24), "mixed4": (128, 12), "mixed5": (192, 12)}


def test_weights_file_is_small_and_float16():
    from safetensors.torch import load_file

    assert WEIGHTS.stat().st_size <= 1.5e6
    assert {weight.dtype for weight in load_file(WEIGHTS).values()} == {torch.float16}


def test_float32_in_use_and_loaded_by_default(demo):
    assert demo.dtype == torch.float32
    assert demo.labels == LABELS
    assert demo.size == (96, 96)
    assert not demo.network.training
    default = load()
    assert default.name == demo.name == "demo"
    assert_close(default.network.state_dict(), demo.network.state_dict(), rtol=0, atol=0)


def test_each_load_returns_its_own_network():
    one, other = load(), load()
    with torch.no_grad():
        one.network.head.weight.zero_()
    assert other.network.head.weight.abs().sum() > 0


@pytest.mark.parametrize("stage", STAGES)
def test_stages_end_in_a_relu(demo, stage):
    channels, side = STAGES[stage]
    output = activations(demo, torch.rand(2, 3, 96, 96), [stage])[stage]
    assert output.shape == (2, channels, side, side)
    assert output.min() == 0 < output.max()


def test_network_is_linear_after_the_last_stage(demo):
    images = dataset(4, seed=9)[0]
    output = activations(demo, images, ["mixed5", ""])
    logits = output["mixed5"].double().mean((2, 3)) @ demo.network.head.weight.double().T
    assert_close(output[""].double(), logits + demo.network.head.bias, rtol=1e-4, atol=1e-4)


def test_accuracy_on_test_scenes(demo):
    counts = measure.confusion_matrix(demo, 640, seed=77)
    assert counts.sum() == 640
    assert counts.diag().sum() >= 0.98 * 640
    assert (counts.diag() / counts.sum(1)).min() >= 0.9


def test_classify_scene_and_file(demo, tmp_path):
    from optvis.viz.sheet import to_pil_image

    lighthouse = scene("lighthouse", seed=12)
    assert classify(demo, lighthouse.image, top=1).labels[0][0] == "lighthouse"
    to_pil_image(lighthouse.image).save(tmp_path / "scene.png")
    assert classify(demo, tmp_path / "scene.png", top=1).labels[0][0] == "lighthouse"


def test_load_takes_under_100_ms_and_imports_no_package():
    code = (
        "import sys, time; import optvis, safetensors.torch\n"
        "def tops(): return {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "def spend(): start = time.perf_counter(); optvis.load(); return time.perf_counter() - start\n"
        "before = tops()\n"
        "print(min(spend() for _ in range(5)), sorted(tops() - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    spent, imported = run.stdout.split(maxsplit=1)
    assert float(spent) < 0.1
    assert imported.strip() == "[]"


def test_random_weights_are_always_the_same():
    one, other = load("demo", weights=None), load("demo", weights=None)
    assert_close(one.network.state_dict(), other.network.state_dict(), rtol=0, atol=0)
    assert not torch.equal(one.network.head.weight, load().network.head.weight)


def test_unknown_weights_and_own_labels():
    with pytest.raises(KeyError, match="no weights 'IMAGENET1K_V1' of demo"):
        load("demo", weights="IMAGENET1K_V1")
    assert load("demo", labels=["x"] * 16).labels == ("x",) * 16


def test_load_from_a_file_of_weights(tmp_path):
    net = load()
    torch.save(net.network.state_dict(), tmp_path / "copy.pth")
    again = load(tmp_path / "copy.pth", architecture="demo", size=net.size, normalize=net.normalize)
    assert_close(again.network.state_dict(), net.network.state_dict(), rtol=0, atol=0)
    few = demo_network(3)
    torch.save(few.state_dict(), tmp_path / "few.pth")
    labels = ["a", "b", "c"]
    again = load(tmp_path / "few.pth", architecture="demo", labels=labels, size=net.size, normalize=net.normalize)
    assert again.labels == ("a", "b", "c")


def test_labels_must_be_one_text_per_class():
    with pytest.raises(ValueError, match="2 labels for demo, which has 16 classes"):
        load(labels=["a", "b"])
    with pytest.raises(TypeError, match="labels must be "):
        load(labels=17)
    with pytest.raises(
        FileNotFoundError, match="no file 'owl' with labels; give a text file with one label on each line"
    ):
        load(labels="owl")
