"""The microscope: top activations, effects, six renderings; groups that a stopped run resumes with."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Classifier, activations, load, render
from optvis.data.sources import as_dataset
from optvis.microscope import MicroscopeOptions, build_microscope
from optvis.microscope.effects import AblationSample, measure_effects
from optvis.microscope.groups import GroupBuilder
from optvis.microscope.renderings import OPTIMIZER, VIEWS, ChannelRenderer
from optvis.microscope.top_activations import find_top_activations
from optvis.objectives import channel
from optvis.world import Scenes

IMAGES = torch.rand(7, 3, 20, 20, generator=torch.Generator().manual_seed(5))
OPTIONS = MicroscopeOptions(group_size=2, top_images=3, sample_size=4)
SMALL = {"size": 16, "steps": 2, "options": OPTIONS, "progress": False}


def test_top_activations_equal_a_loop(small, monkeypatch):
    monkeypatch.setattr("optvis.microscope.top_activations.BATCH_SIZE", 3)
    images = torch.cat([IMAGES, IMAGES[2:3]])  # the last is as strong as the third, and comes after it
    layers = ["relu1", "conv2", "fc"]
    found = find_top_activations(small, as_dataset(images), layers, 4)
    for layer in layers:
        a = activations(small, images, [layer])[layer].numpy()
        a = a.reshape(*a.shape[:2], -1)
        for channel_index in range(a.shape[1]):
            most = a[:, channel_index].max(1)
            order = sorted(range(len(images)), key=lambda image: (-np.float32(most[image]), image))[:4]
            expected = [(image, a[image, channel_index].argmax()) for image in order if most[image] > 0]
            across = {"relu1": 20, "conv2": 18, "fc": 1}[layer]
            top = found[layer].of_channel(channel_index)
            assert [(image, y * across + x) for image, _, y, x in top] == expected
            assert [value for _, value, *_ in top] == [np.float32(most[image]) for image, _ in expected]


def test_attribution_and_drop_equal_loops(small, untouched):
    with untouched(small.network):
        found = measure_effects(small, IMAGES.double(), "relu1", 3)
    network = copy.deepcopy(small.network).eval()
    rest, first = network[3:], network[:3]
    a = first(small.normalize(IMAGES.double())).detach()
    off = a.clone()
    off[:, 3] = 0
    assert_close(found.before, rest(a).float().detach())
    assert_close(found.after, rest(off).float().detach())
    for k in range(5):
        start = a.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(rest(start)[:, k].sum(), start)
        assert_close(found.attribution[:, k], (gradient * a)[:, 3].sum((1, 2)).float())


def test_behind_the_last_nonlinearity_attribution_is_the_drop():
    net = load()
    images = torch.stack([image for image, _ in Scenes(4)])
    found = measure_effects(net, images, "mixed5", 17)
    assert_close(found.attribution, found.drop, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("name", "layer"), [("vit_b_16", "encoder.layers.encoder_layer_10"), ("swin_t", "features.7")])
def test_transformers_have_effects(name, layer):
    net = load(name, weights=None)
    axis = -1 if name == "swin_t" else None
    nn.init.normal_(list(net.network.modules())[-1].weight)  # torchvision's ViT begins with a head of zeros
    found = measure_effects(net, torch.rand(1, 3, 224, 224), layer, 5, axis)
    assert found.attribution.abs().max() > 0
    assert found.drop.abs().max() > 0


@pytest.mark.parametrize("inplace", [True, False])
def test_hard_sigmoids_have_effects_of_all_classes(inplace):
    torch.manual_seed(2)
    first, gate = nn.Conv2d(3, 6, 3), nn.Sequential(nn.BatchNorm2d(6), nn.Hardsigmoid(inplace=inplace))
    rest = nn.Sequential(gate, nn.Flatten(), nn.Linear(6 * 36, 4))
    net = Classifier(nn.Sequential(first, rest).eval(), None, 8, labels=tuple("abcd"))
    with torch.no_grad():
        first.weight *= 20
    images = torch.rand(3, 3, 8, 8)
    found, start = measure_effects(net, images, "0", 2), first(images).detach().requires_grad_()
    assert (start.abs() > 3).any()
    for k in range(4):
        (gradient,) = torch.autograd.grad(rest(start.clone())[:, k].sum(), start)
        assert gradient[:, 2].abs().max() > 0
        assert_close(found.attribution[:, k], (gradient * start)[:, 2].sum((1, 2)).detach())


def test_a_large_sample_is_split_into_batches(small, monkeypatch):
    monkeypatch.setattr("optvis.microscope.effects.ACTIVATIONS_PER_PASS", 2 * 8 * 20 * 20)
    from optvis.models.borrow import borrow

    with borrow(small.network):
        sample = AblationSample(small, IMAGES.double(), "relu1")
        assert len(sample.batches) == 4
        assert_close(sample.logits_without(3), measure_effects(small, IMAGES.double(), "relu1", 3).after)


def test_renderings_of_a_channel_do_not_depend_on_the_group(small):
    renderer = ChannelRenderer(16, 9, 4)
    together = renderer.render(small, "relu2", [3, 5, 7])
    alone = renderer.render(small, "relu2", [5])
    assert_close(alone.views(0), together.views(1), atol=1e-9, rtol=0)
    assert together.views(1).shape == (6, 3, 16, 16)
    assert not torch.equal(together.diverse[1, 0], together.diverse[1, 1])


def test_a_negative_falls_below_what_stops_at_zero():
    net, channels = load(), [5, 50, 90, 120]
    negative = ChannelRenderer(64, 32).render(net, "mixed5", channels).negative
    settings = {"recipe": "fast", "transform": VIEWS, "optimizer": OPTIMIZER, "progress": False}
    stopped = render(net, -1 * channel("mixed5", channels), size=64, steps=32, **settings).images
    inner = "mixed5.0"  # what goes into the ReLU
    means = [activations(net, images, [inner])[inner].mean((2, 3)) for images in (negative, stopped)]
    lower, upper = (values[range(4), channels] for values in means)
    assert (lower < 0).all()
    assert lower.mean() < 1.15 * upper.mean()


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def site(small, tmp_path):
    """A microscope of five channels in groups of two."""
    build_microscope(small, IMAGES, "relu2", tmp_path / "site", channels=range(5), **SMALL)
    return tmp_path / "site"


def rebuild(small, folder, **options):
    return build_microscope(small, IMAGES, "relu2", folder, **{"channels": range(5), **SMALL, **options})


def test_all_files_exist_and_the_network_is_unchanged(small, tmp_path, untouched):
    with untouched(small.network):
        page = build_microscope(small, IMAGES, ["relu2", "fc"], tmp_path, channels=range(5), **SMALL)
    assert page == tmp_path / "index.html"
    names = set(files(tmp_path))
    for folder in ("layer-relu2", "layer-fc"):
        assert {f"{folder}/{n}.{kind}" for n in range(5) for kind in ("html", "webp")} <= names
        assert {f"{folder}/group-{ends}.json" for ends in ("0-1", "2-3", "4-4")} <= names
    assert not any(name.endswith(".part") for name in names)


def test_a_complete_microscope_is_not_built_again(small, site, monkeypatch):
    before = files(site)
    monkeypatch.setattr(GroupBuilder, "build", lambda *_: pytest.fail("built again"))
    rebuild(small, site)
    assert files(site) == before


def test_a_group_with_a_missing_file_is_built_again_alone(small, site, monkeypatch):
    before, done = files(site), []
    build = GroupBuilder.build
    monkeypatch.setattr(GroupBuilder, "build", lambda builder, group: done.append(group) or build(builder, group))
    (site / "layer-relu2" / "2.webp").unlink()
    (site / "layer-relu2" / "group-4-4.json").write_text('{"channels": [')
    rebuild(small, site)
    assert done == [[2, 3], [4]]
    assert files(site) == before


@pytest.mark.parametrize("name", ["layer-relu2/2.webp", "layer-relu2/group-0-1.webp", "images/000003.webp"])
@pytest.mark.parametrize("left", [None, 0, 40], ids=["missing", "empty", "cut off"])
def test_a_picture_that_is_not_whole_is_written_again(small, site, name, left):
    before = files(site)
    if left is None:
        (site / name).unlink()
    else:
        (site / name).write_bytes(before[name][:left])
    rebuild(small, site)
    assert files(site) == before


def test_a_stop_leaves_pages_of_complete_groups(small, tmp_path, monkeypatch, untouched):
    build = GroupBuilder.build

    def interrupted(builder, group):
        if group == [2, 3]:
            small.network.fuse.arm(KeyboardInterrupt(), 4)
        return build(builder, group)

    monkeypatch.setattr(GroupBuilder, "build", interrupted)
    with untouched(small.network), pytest.raises(KeyboardInterrupt):
        rebuild(small, tmp_path / "a")
    monkeypatch.undo()
    small.network.fuse.error = None
    stopped = files(tmp_path / "a")
    finished = [name for name in stopped if name.startswith("layer-relu2/group-") and name.endswith(".json")]
    assert finished == ["layer-relu2/group-0-1.json"]
    assert "2 of 5 channels" in stopped["layer-relu2/index.html"].decode()
    rebuild(small, tmp_path / "a")
    rebuild(small, tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"steps": 3}, "steps is 2 there and 3 here"), ({"size": 20}, "size is 16"), ({"seed": 1}, "seed is 0")],
)
def test_another_recipe_is_refused(small, site, options, words):
    before = files(site)
    with pytest.raises(FileExistsError, match=rf"another recipe: {words}.*choose another folder"):
        rebuild(small, site, **options)
    assert files(site) == before


def test_other_images_and_other_weights_are_another_recipe(small, site):
    with pytest.raises(FileExistsError, match="another recipe: dataset is"):
        build_microscope(small, 1 - IMAGES, "relu2", site, channels=range(5), **SMALL)
    small.network.fc.bias.data += 1
    with pytest.raises(FileExistsError, match="another recipe: weights is"):
        rebuild(small, site)


@pytest.mark.parametrize("name", ["index.html", "recipe.json", "layer-relu2/notes.txt"])
def test_files_of_others_stay(small, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match=r"exists and (is no|was not written by a) microscope"):
        rebuild(small, tmp_path)
    assert files(tmp_path) == {name: b"mine"}


def test_temporary_files_of_a_killed_run_are_removed_and_other_files_stay(small, site):
    before = files(site)
    for name in (".optvis-a1b2c3d4.part", "layer-relu2/.optvis-00000000.part"):
        (site / name).write_text("half")
    for name in (".part", "layer-relu2/.download.part", "notes.txt"):
        (site / name).write_text("mine")
    rebuild(small, site)
    assert files(site) == before | dict.fromkeys((".part", "layer-relu2/.download.part", "notes.txt"), b"mine")


KILLED = """
import os, signal, sys
from pathlib import Path
import torch, torch._dynamo  # which optimizers import
from torch import nn
from optvis import Classifier
from optvis.microscope import MicroscopeOptions, build_microscope

torch.manual_seed(0)
layers = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
network, images = Classifier(nn.Sequential(*layers), None, 16), torch.rand(8, 3, 16, 16)

def build_in_child(folder, writes):
    child = os.fork()
    if child == 0:
        replace, left = Path.replace, [writes]
        def replace_and_count(path, target):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)  # the temporary file is complete
            return replace(path, target)
        Path.replace = replace_and_count
        build_microscope(network, images, "1", folder, channels=range(6), size=16, steps=2,
                         options=MicroscopeOptions(2, 3, 8, 2, 2), progress=False)
        os._exit(0)
    return os.waitpid(child, 0)[1]

folder, *moments = sys.argv[1:]
status = [build_in_child(folder + "/whole", 0)]
status += [build_in_child(folder + "/killed", int(n)) for n in moments]
print(*status, build_in_child(folder + "/killed", 0))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks, so that torch is loaded once")
def test_killed_and_restarted_it_ends_with_the_same_bytes(tmp_path):
    moments = random.Random(7).choices(range(1, 20), k=4)  # of its writes
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), *map(str, moments)],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.split() == ["0", *["9"] * 4, "0"], done.stderr
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_hundreds_of_classes_and_labels_of_any_kind(tmp_path):
    labels = ["<script>alert(1)</script>", '" onclick="', *(f"class {n}" for n in range(298))]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 300))
    options = SMALL | {"options": MicroscopeOptions(100, 3, 4, 1, 1)}
    page = build_microscope(Classifier(net, None, 12, labels), IMAGES, "1", tmp_path, **options)
    numbers = json.loads((page.parent / "layer-1" / "group-0-5.json").read_text())
    assert all(len(one["classes"]) <= 12 for one in numbers["channels"])
    text = "".join(path.read_text() for path in tmp_path.rglob("*.html"))
    assert "<script>alert" not in text
    assert '" onclick="' not in text


def test_layers_without_positions_and_the_output_itself(small, tmp_path):
    build_microscope(small, IMAGES, ["fc", "", "flat"], tmp_path, channels=[0, 4], **SMALL)
    assert (tmp_path / "layer-output" / "4.html").exists()


class Tokens(nn.Module):
    """(B, C, H, W) -> (B, T, C)"""

    def forward(self, a):
        return a.flatten(2).mT


class Mean(nn.Module):
    """(B, T, C) -> (B, C)"""

    def forward(self, tokens):
        return tokens.mean(1)


def test_tokens_have_pages(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 4, 4), Tokens(), nn.GELU(), Mean(), nn.Linear(6, 3))
    build_microscope(Classifier(net, None, 12), IMAGES, "2", tmp_path, **SMALL)
    numbers = json.loads((tmp_path / "layer-2" / "group-0-1.json").read_text())["channels"]
    assert {tuple(image["box"]) for one in numbers for image in one["images"]} == {(0, 12, 0, 12)}


@pytest.mark.parametrize(
    ("layers", "options", "error", "words"),
    [
        ("relu22", {}, KeyError, "nearest: 'relu2'"),
        ([], {}, ValueError, "no layers"),
        ("relu2", {"channels": [99]}, IndexError, "channel 99 of 'relu2', which has 0..11"),
        ("relu2", {"channels": []}, ValueError, "no channels"),
        ("relu2", {"steps": -1}, ValueError, "steps is -1"),
        ("relu2", {"size": 0}, ValueError, "size is 0"),
    ],
)
def test_invalid_arguments_are_refused_before_a_file_is_written(small, tmp_path, layers, options, error, words):
    with pytest.raises(error, match=words):
        build_microscope(small, IMAGES, layers, tmp_path / "new", **{**SMALL, **options})
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["group_size", "top_images", "sample_size"])
def test_groups_and_samples_are_not_empty(name):
    with pytest.raises(ValueError, match=f"{name} is 0; expected 1 or more"):
        MicroscopeOptions(**{name: 0})


def test_a_network_without_classes_is_refused(tmp_path):
    net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), None, 12)
    with pytest.raises(ValueError, match="expected a score for each class"):
        build_microscope(net, IMAGES, "1", tmp_path, **SMALL)


def test_the_command_builds_a_microscope_of_the_embedded_network(tmp_path, monkeypatch, capsys):
    from optvis.cli import main as cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optvis.cli.commands.microscope.SCENES", 8)
    few = ["--channels", "0-2", "--size", "16", "--steps", "1", "--sample-size", "4"]
    assert cli.main(["microscope", "demo", "--layers", "mixed4", *few]) == 0
    assert Path(capsys.readouterr().out.strip()) == Path("microscope/index.html")
    assert (tmp_path / "microscope" / "layer-mixed4" / "2.html").exists()
    assert cli.main(["microscope", "squeezenet1_0", "--weights", "none", "--layers", "features.12"]) == 2
    assert "--images is missing: a folder of images" in capsys.readouterr().err


def test_the_command_says_how_to_resume(tmp_path, monkeypatch, capsys):
    from optvis.cli import main as cli

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("optvis.cli.commands.microscope.SCENES", 8)
    monkeypatch.setattr(GroupBuilder, "build", interrupted)
    assert cli.main(["microscope", "demo", "--layers", "mixed4", "--channels", "0", "--out", str(tmp_path)]) == 130
    assert "the same command continues with the first incomplete group" in capsys.readouterr().out


def test_a_damaged_image_is_left_out(small, tmp_path):
    from PIL import Image

    (tmp_path / "in").mkdir()
    for name, color in (("a.png", "red"), ("c.png", "blue"), ("d.png", "white")):
        Image.new("RGB", (20, 20), color).save(tmp_path / "in" / name)
    (tmp_path / "in" / "b.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:40])
    with pytest.warns(UserWarning, match="images are left out: image 'b.png'"):
        page = build_microscope(small, tmp_path / "in", "relu2", tmp_path / "out", channels=[0, 4], **SMALL)
    assert page.is_file()
