"""Surveys equal naive loops, ties included; they resume to the same bytes; stores know what is damaged."""

from __future__ import annotations

import math
import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from optvis import IMAGENET, Classifier, activations
from optvis.cli import main as cli
from optvis.microscope import MicroscopeOptions, estimate_cost
from optvis.models import layers as list_layers
from optvis.survey import Store, Survey, list_stores, survey_channels
from tests.conftest import LABELS as LABELS_OF_SMALL
from tests.conftest import small_network

LABELS = [0, 3, 1, 1, 0, 3, 0, 1, 3, 3, 0, 1, 1]
OPTIONS = {"top": 3, "sample_size": 5, "shard_size": 4, "batch_size": 2, "progress": False}


def rows():
    images = (torch.rand(13, 3, 20, 20, generator=torch.Generator().manual_seed(5)) * 3).round() / 3
    images[7], images[9], images[12] = images[2], images[2], 0  # ties
    return list(zip(images, LABELS, strict=True))


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def peaks_of(net, layer):
    """(images, channels) of largest activations and of their first places, one image at a time."""
    values, places = [], []
    for start in range(0, 13, 2):
        for image in activations(net, [image for image, _ in rows()[start : start + 2]], layer)[layer]:
            flat = image.reshape(len(image), -1).float().numpy()
            values.append([row.max() for row in flat])
            places.append([int(np.argmax(row)) for row in flat])
    return np.array(values), np.array(places)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("layer", ["conv1", "relu1", "conv2", "relu2", "pool", "flat", "fc"])
def test_a_survey_equals_naive_loops(small, tmp_path, layer, memory_format):
    small.network.to(memory_format=memory_format)
    survey = survey_channels(small, rows(), tmp_path, **OPTIONS)
    values, places = peaks_of(small, layer)
    top, width = survey.top(layer), survey.manifest.layers[layer][2]
    for channel in range(values.shape[1]):
        order = sorted(range(13), key=lambda n: (-values[n, channel], n))[:3]
        assert top.indices[channel].tolist() == order
        assert top.values[channel].tolist() == values[order, channel].tolist()
        assert (top.positions[channel] @ torch.tensor([width, 1])).tolist() == places[order, channel].tolist()
        sample = [n * 13 // 5 for n in range(5)]
        own = values[sample, channel].astype(np.float64)
        levels = [own.min() + step * (own.max() - own.min()) for step in np.linspace(0, 1, 4)]
        chosen = [sample[int(np.argmin(np.abs(own - level)))] for level in levels]
        found = survey.sample(layer, 4)
        assert found.indices[channel].tolist() == chosen
        assert (found.positions[channel] @ torch.tensor([width, 1])).tolist() == places[chosen, channel].tolist()
    ordered = np.sort(values.astype(np.float64), 0)
    for level, found in zip((0, 0.3, 1), survey.quantiles(layer, [0, 0.3, 1]).T, strict=True):
        low, share = divmod(level * 12, 1)
        between = ordered[int(low)] + share * (ordered[min(12, math.ceil(level * 12))] - ordered[int(low)])
        assert np.allclose(found.numpy(), between, rtol=1e-15, atol=0)
    means, counts = survey.class_means(layer)
    assert counts.tolist() == [LABELS.count(label) for label in range(4)]
    for label in range(4):
        total = np.zeros(values.shape[1])
        for row in np.flatnonzero(np.array(LABELS) == label):
            total += values[row].astype(np.float64)
        if label == 2:
            assert means[label].isnan().all()
        else:
            assert (means[label].numpy() == total / LABELS.count(label)).all()


def test_all_layers_are_those_with_real_numbers(small, tmp_path, untouched):
    with untouched(small.network):
        survey = survey_channels(small, rows(), tmp_path, **OPTIONS)
    assert survey.layers == tuple(row.name for row in list_layers(small) if row.is_tensor)
    assert survey.complete


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_stopped_survey_resumes_to_the_same_files(small, tmp_path, at):
    survey_channels(small, rows(), tmp_path / "whole", ["relu2", "fc"], **OPTIONS)
    small.network.fuse.arm(KeyboardInterrupt(), 2 + at)
    with pytest.raises(KeyboardInterrupt):
        survey_channels(small, rows(), tmp_path / "stopped", ["relu2", "fc"], **OPTIONS)
    small.network.fuse.error = None
    with (tmp_path / "stopped" / "shards.jsonl").open("a") as file:
        file.write('{"file": "sha')
    survey_channels(small, rows(), tmp_path / "stopped", ["relu2", "fc"], **OPTIONS)
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


def test_the_shards_of_another_size_say_the_same(small, tmp_path):
    found = [
        survey_channels(small, rows(), tmp_path / str(size), "relu1", **{**OPTIONS, "shard_size": size})
        for size in (2, 6, 20)
    ]
    for other in found[1:]:
        for name in ("values", "indices", "positions"):
            assert torch.equal(getattr(found[0].top("relu1"), name), getattr(other.top("relu1"), name))
            assert torch.equal(getattr(found[0].sample("relu1"), name), getattr(other.sample("relu1"), name))
        assert torch.equal(found[0].class_means("relu1")[0].nan_to_num(), other.class_means("relu1")[0].nan_to_num())


def test_broken_images_are_counted_once_and_left_out(small, tmp_path):
    broken = rows()
    broken[4] = (torch.full((3, 20, 20), 7.0), 0)
    for _ in range(2):
        with pytest.warns(UserWarning, match="1 of 13 images are left out") if _ == 0 else _nothing():
            survey = survey_channels(small, broken, tmp_path, "relu2", **OPTIONS)
    assert survey.complete
    assert survey.class_means("relu2")[1].tolist() == [3, 5, 0, 4]


class _nothing:  # noqa: N801
    def __enter__(self): ...

    def __exit__(self, *error): ...


def test_a_store_says_what_is_damaged_and_drops_what_is_not_listed(small, tmp_path):
    survey_channels(small, rows(), tmp_path / "a" / "b", "relu2", **OPTIONS)
    (store,) = list_stores(tmp_path)
    assert store.check() == []
    (store.folder / "shard-000000999.safetensors").write_bytes(b"half")
    (store.folder / "mine.txt").write_text("mine")
    assert store.collect_garbage() == ["shard-000000999.safetensors"]
    assert (store.folder / "mine.txt").exists()
    shard = store.folder / store.shards()[1].file
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    assert store.check() == [f"{shard.name} is damaged: its SHA-256 is another one"]
    shard.unlink()
    assert any("is missing" in text for text in store.check())
    assert not Survey(store).complete


@pytest.mark.parametrize(("option", "value", "words"), [("top", 4, "top is 3"), ("layers", "fc", "layers")])
def test_another_recipe_is_refused(small, tmp_path, option, value, words):
    survey_channels(small, rows(), tmp_path, "relu2", **OPTIONS)
    before = files(tmp_path)
    with pytest.raises(FileExistsError, match=words):
        survey_channels(small, rows(), tmp_path, **{"layers": "relu2", **OPTIONS, option: value})
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"layers": "relu22"}, KeyError, "nearest: 'relu2'"),
        ({"layers": []}, ValueError, "no layers"),
        ({"top": 0}, ValueError, "top is 0"),
        ({"shard_size": 3}, ValueError, "multiple of batch_size"),
    ],
)
def test_invalid_arguments_are_refused_before_a_file_is_written(small, tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        survey_channels(small, rows(), tmp_path / "new", **{**OPTIONS, **options})
    assert not (tmp_path / "new").exists()


def test_questions_that_have_no_answer(small, tmp_path):
    survey = survey_channels(small, [image for image, _ in rows()], tmp_path / "a", "relu2", **OPTIONS)
    with pytest.raises(ValueError, match="no labels"):
        survey.class_means("relu2")
    with pytest.raises(KeyError, match="no layer 'relu1' in the survey"):
        survey.top("relu1")
    with pytest.raises(ValueError, match="expected numbers in"):
        survey.quantiles("relu2", [2])
    with pytest.raises(FileNotFoundError, match="no store"):
        Store(tmp_path)


class Tokens(nn.Module):
    """(B, C, H, W) -> (B, T, C)"""

    def forward(self, a):
        return a.flatten(2).mT


def test_tokens_are_positions_in_a_row(tmp_path):
    torch.manual_seed(0)
    net = Classifier(nn.Sequential(nn.Conv2d(3, 6, 4, 4), Tokens(), nn.GELU()), None, 20)
    survey = survey_channels(net, rows(), tmp_path, "2", **OPTIONS)
    a = activations(net, [image for image, _ in rows()], "2")["2"]
    top = survey.top("2")
    assert torch.allclose(top.values, a.amax(1).T.sort(1, descending=True).values[:, :3])
    for channel in range(6):
        for image, (_, token) in zip(top.indices[channel], top.positions[channel], strict=True):
            assert a[image, :, channel].argmax() == token


def test_the_commands_survey_and_keep_a_store(tmp_path, capsys):
    words = ["survey", "demo", "--layers", "mixed5", "--scenes", "4", "--top", "2", "--out", str(tmp_path / "s")]
    assert cli.main(words) == 0
    for action, answer in {"ls": "192 channels, 4 of 4 images", "check": "s: whole", "gc": "0 files removed"}.items():
        assert cli.main(["store", action, str(tmp_path)]) == 0
        assert answer in capsys.readouterr().out
    (tmp_path / "s" / "shard-000000000.safetensors").write_bytes(b"")
    assert cli.main(["store", "check", str(tmp_path)]) == 3
    assert cli.main(["store", "ls", str(tmp_path / "none")]) == 1


def test_costs_are_those_of_all_groups_and_images(small):
    cost = estimate_cost(small, ["relu2", "fc"], images=100, size=16, steps=1, options=MicroscopeOptions(4, 3, 4))
    assert (cost.layers, cost.channels, cost.groups, cost.images) == (2, 17, 5, 100)
    assert cost.seconds(2) == (3 * cost.seconds_per_group, 50 * cost.seconds_per_image)
    assert "17 channels of 2 layers in 5 groups, 100 images" in cost.table([1])
    with pytest.raises(ValueError, match="images is 0"):
        estimate_cost(small, "fc", images=0)


HALF = "a\ud800b"  # half of a surrogate pair
NO_UTF8 = os.fsdecode(b"caf\xe9")


def with_texts(layer="relu2", name="small", labels=LABELS_OF_SMALL):
    parts = {layer if key == "relu2" else key: part for key, part in small_network().double().named_children()}
    return Classifier(nn.Sequential(OrderedDict(parts)), IMAGENET, 20, labels=labels, name=name)


@pytest.mark.parametrize(
    "texts", [{"layer": HALF}, {"layer": NO_UTF8}, {"name": HALF}, {"labels": [HALF, "b", "c", "d", "e"]}], ids=ascii
)
def test_a_store_holds_any_text(tmp_path, texts, capsys):
    layer = texts.get("layer", "relu2")
    for folder in ("a", "b", "b"):  # twice: the second call compares the recipes
        survey = survey_channels(with_texts(**texts), rows(), tmp_path / folder, layer, **OPTIONS)
    again = Survey(tmp_path / "b")
    assert again.layers == (layer,)
    assert torch.equal(again.top(layer).values, survey.top(layer).values)
    assert again.store.check() == []
    assert cli.main(["store", "ls", str(tmp_path)]) == 0
    assert "12 channels, 13 of 13 images" in capsys.readouterr().out
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_store_and_its_images_lie_in_folders_of_any_name(tmp_path):
    (tmp_path / NO_UTF8).mkdir()
    for name in (NO_UTF8, "b"):
        Image.new("RGB", (20, 20), (90, 40, 200)).save(os.fsencode(tmp_path / NO_UTF8 / f"{name}.png"))
    for _ in range(2):
        survey = survey_channels(with_texts(), tmp_path / NO_UTF8, tmp_path / NO_UTF8 / "store", "relu2", **OPTIONS)
        assert survey.top("relu2").indices.tolist() == [[0, 1]] * 12
        assert survey.store.check() == []
