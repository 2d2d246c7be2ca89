"""Surveys equal naive loops, ties included; they resume to the same bytes; stores know what is damaged."""

from __future__ import annotations

import json
import math
import os
import pickle
import sys
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
from optvis.models.borrow import borrow
from optvis.survey import Store, Survey, list_stores, survey_channels
from tests.conftest import LABELS as LABELS_OF_SMALL
from tests.conftest import small_network

SURVEY_CHANNELS = sys.modules["optvis.survey.survey_channels"]  # the package has a function of this name
LABELS = [0, 3, 1, 1, 0, 3, 0, 1, 3, 3, 0, 1, 1]
OPTIONS = {"top": 3, "sample_size": 5, "batch_size": 2, "progress": False}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(SURVEY_CHANNELS, "SHARD_SIZE", 4)


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


def check_strongest(top, values, places, width, channel):
    """The three largest of 13 images, of equal ones the first, and where each is."""
    order = sorted(range(13), key=lambda n: (-values[n], n))[:3]
    assert top.indices[channel].tolist() == order
    assert top.values[channel].tolist() == values[order].tolist()
    assert (top.positions[channel] @ torch.tensor([width, 1])).tolist() == places[order].tolist()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("layer", ["conv1", "relu1", "conv2", "relu2", "pool", "flat", "fc"])
def test_a_survey_equals_naive_loops(small, tmp_path, layer, memory_format):
    small.network.to(memory_format=memory_format)
    survey = survey_channels(small, rows(), None, tmp_path, **OPTIONS)
    values, places = peaks_of(small, layer)
    top, width = survey.top(layer), survey.manifest.layers[layer][2]
    for channel in range(values.shape[1]):
        check_strongest(top, values[:, channel], places[:, channel], width, channel)
        sample = [n * 13 // 5 for n in range(5)]
        own = values[sample, channel].astype(np.float64)
        levels = [own.min() + step * (own.max() - own.min()) for step in np.linspace(0, 1, 4)]
        chosen = [sample[int(np.argmin(np.abs(own - level)))] for level in levels]
        found = survey.sample(layer, 4)
        assert found.indices[channel].tolist() == chosen
        assert (found.positions[channel] @ torch.tensor([width, 1])).tolist() == places[chosen, channel].tolist()
    with pytest.raises(ValueError, match="strata is 0; expected 1 or more"):
        survey.sample(layer, 0)
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


def attributions_of(net, layer, target):
    """(images, channels) of attributions and of the first places of the largest, by a clone that takes a layer's place.

    Batches are those of the survey, so that convolutions round alike.
    """
    values, places = [], []
    for start in range(0, 13, 2):
        images = net.load_batch([image for image, _ in rows()[start : start + 2]])
        kept = []

        def keep(_module, _inputs, output, kept=kept):
            kept.append(output.detach().clone().requires_grad_())
            return kept[0].clone()

        with borrow(net.network):
            hook = net.network.get_submodule(layer).register_forward_hook(keep)
            net.network(net.preprocess(images))[:, target].sum().backward()
            hook.remove()
        for product in (kept[0].detach() * kept[0].grad).flatten(2 if kept[0].dim() > 2 else 1):
            flat = product.reshape(len(product), -1).double().numpy()
            values.append([np.float32(math.fsum(row)) for row in flat])
            places.append([int(np.argmax(row.astype(np.float32))) for row in flat])
    return np.array(values), np.array(places)


@pytest.mark.parametrize("layer", ["conv1", "bn1", "relu1", "conv2", "relu2", "pool", "flat", "fc"])
@pytest.mark.parametrize("target", [1, "ocean liner"])
def test_a_survey_by_attribution_equals_a_naive_loop(small, tmp_path, untouched, layer, target):
    with untouched(small.network):
        survey = survey_channels(small, rows(), None, tmp_path, target=target, **OPTIONS)  # all layers in one pass
    values, places = attributions_of(small, layer, 1 if target == 1 else 3)
    top, width = survey.top(layer), survey.manifest.layers[layer][2]
    for channel in range(values.shape[1]):
        check_strongest(top, values[:, channel], places[:, channel], width, channel)
    sample = survey.sample(layer, 13)
    for channel in range(values.shape[1]):
        for index, value in zip(sample.indices[channel].tolist(), sample.values[channel].tolist(), strict=True):
            assert value == values[index, channel]
    assert torch.equal(
        survey.quantiles(layer, [0, 1]), torch.from_numpy(np.stack([values.min(0), values.max(0)], 1)).double()
    )
    means, _ = survey.class_means(layer)
    for label in (0, 1, 3):
        total = np.zeros(values.shape[1])
        for row in np.flatnonzero(np.array(LABELS) == label):
            total += values[row].astype(np.float64)
        assert (means[label].numpy() == total / LABELS.count(label)).all()
    assert values[2].tolist() == values[7].tolist() == values[9].tolist()  # there are ties


class Branches(nn.Module):
    """A skip connection around a module that returns what it takes, one in place, and a part that no score sees."""

    def __init__(self):
        super().__init__()
        self.conv, self.same, self.relu = nn.Conv2d(3, 4, 3), nn.Identity(), nn.ReLU(inplace=True)
        self.aside, self.fc = nn.Conv2d(4, 2, 1), nn.Linear(4, 3)

    def forward(self, x):
        a = self.conv(x)
        b = 2 * self.same(a) + a
        self.aside(b)
        return self.fc(self.relu(b).mean((2, 3)))


def test_attribution_to_a_layer_is_through_this_layer_alone(tmp_path):
    torch.manual_seed(0)
    net = Classifier(Branches().double(), None, 20)
    survey = survey_channels(net, rows(), None, tmp_path, target=2, **OPTIONS)
    for layer in ("conv", "same", "relu"):
        values, _ = attributions_of(net, layer, 2)
        assert torch.equal(survey.top(layer).values, torch.from_numpy(np.sort(values, 0)[::-1][:3].T.copy()))
    aside = survey.top("aside")
    assert not aside.values.any()
    assert not aside.positions.any()
    assert aside.indices.tolist() == [[0, 1, 2]] * 2


@pytest.mark.parametrize("target", [None, 1])
@pytest.mark.parametrize("stop", [False, True])
def test_workers_write_the_files_of_one_process(small, tmp_path, monkeypatch, target, stop):
    def run_elsewhere(function, tasks, engine, *, on_gpu):
        assert (engine, on_gpu) == ("ray", False)
        done = [(index, pickle.loads(pickle.dumps(function))(task)) for index, task in enumerate(tasks)]
        if stop:
            yield from done[1::-1]
            raise KeyboardInterrupt
        yield from reversed(done)

    broken = rows()
    broken[3] = (torch.full((3, 20, 20), 7.0), 0)
    for n in (8, 9, 10, 11):
        broken[n] = broken[3]  # all of a shard
    with pytest.warns(UserWarning, match="5 of 13 images are left out"):
        survey_channels(small, broken, None, tmp_path / "whole", target=target, **OPTIONS)
    monkeypatch.setattr(SURVEY_CHANNELS, "run_tasks", run_elsewhere)
    if stop:
        with pytest.raises(KeyboardInterrupt):
            survey_channels(small, broken, None, tmp_path / "other", target=target, engine="ray", **OPTIONS)
        assert len(Store(tmp_path / "other").shards()) == 2
        monkeypatch.undo()
        monkeypatch.setattr(SURVEY_CHANNELS, "SHARD_SIZE", 4)
    how = {} if stop else {"engine": "ray"}
    with pytest.warns(UserWarning, match="5 of 13 images are left out"):
        survey = survey_channels(small, broken, None, tmp_path / "other", target=target, **how, **OPTIONS)
    assert files(tmp_path / "other") == files(tmp_path / "whole")
    assert survey.top("relu2").indices.shape == (12, 3)
    assert survey.sample("relu2").values.isfinite().all()
    assert survey.class_means("relu2")[1].sum() == 8


def test_areas_under_curves_count_all_pairs(small, tmp_path):
    unlabeled = [(image, label) if n != 4 else (image, None) for n, (image, label) in enumerate(rows())]
    survey = survey_channels(small, unlabeled, None, tmp_path, **OPTIONS)
    labels = np.array([-1 if label is None else label for _, label in unlabeled])
    for layer in ("relu2", "fc"):
        values, _ = peaks_of(small, layer)
        found = survey.class_auc(layer)
        for label in range(4):
            own, others = values[labels == label], values[(labels != label) & (labels >= 0)]
            if not len(own):
                assert found[label].isnan().all()
                continue
            pairs = [(a > b) + 0.5 * (a == b) for a in own for b in others]
            assert found[label].tolist() == (sum(pairs) / len(pairs)).tolist()


def test_all_layers_are_those_with_real_numbers(small, tmp_path, untouched):
    with untouched(small.network):
        survey = survey_channels(small, rows(), None, tmp_path, **OPTIONS)
    assert survey.layers == tuple(row.name for row in list_layers(small) if row.is_tensor)
    assert survey.complete


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_stopped_survey_resumes_to_the_same_files(small, tmp_path, at):
    survey_channels(small, rows(), ["relu2", "fc"], tmp_path / "whole", **OPTIONS)
    small.network.fuse.arm(KeyboardInterrupt(), 2 + at)
    with pytest.raises(KeyboardInterrupt):
        survey_channels(small, rows(), ["relu2", "fc"], tmp_path / "stopped", **OPTIONS)
    small.network.fuse.error = None
    with (tmp_path / "stopped" / "shards.jsonl").open("a") as file:
        file.write('{"file": "sha')
    survey_channels(small, rows(), ["relu2", "fc"], tmp_path / "stopped", **OPTIONS)
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


def test_the_shards_of_another_size_say_the_same(small, tmp_path, monkeypatch):
    found = []
    for size in (1, 6, 20):
        monkeypatch.setattr(SURVEY_CHANNELS, "SHARD_SIZE", size)
        found.append(survey_channels(small, rows(), "relu1", tmp_path / str(size), **OPTIONS))
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
            survey = survey_channels(small, broken, "relu2", tmp_path, **OPTIONS)
    assert survey.complete
    assert survey.class_means("relu2")[1].tolist() == [3, 5, 0, 4]


class _nothing:  # noqa: N801
    def __enter__(self): ...

    def __exit__(self, *error): ...


def test_a_store_says_what_is_damaged_and_drops_what_is_not_listed(small, tmp_path):
    survey_channels(small, rows(), "relu2", tmp_path / "a" / "b", **OPTIONS)
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
    assert store.check() == [f"{shard.name} is damaged: its SHA-256 is another one; the same call records it again"]
    shard.unlink()
    assert any("is missing" in text for text in store.check())
    assert store.collect_garbage() == []  # the shards after it are good
    shard.write_bytes(bytes([*data[:-1], data[-1] ^ 1]))
    assert store.check() == []
    shard.unlink()
    assert not Survey(store).complete
    assert store.collect_garbage() == []  # the shards after the missing one, which may come back
    data[-1] ^= 1
    shard.write_bytes(data)
    assert store.check() == []
    assert Survey(store).complete
    (store.folder / "manifest.json").write_text(json.dumps({"kind": "survey manifest"}))
    with pytest.warns(UserWarning, match="is damaged"):
        assert list_stores(tmp_path) == []


def test_a_damaged_line_of_the_list_loses_no_shard_before_it(small, tmp_path):
    survey_channels(small, rows(), "relu2", tmp_path, **OPTIONS)
    whole = files(tmp_path)
    listed = (tmp_path / "shards.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "shards.jsonl").write_bytes(b"".join([*listed[:2], b"\xff" + listed[2], *listed[3:]]))
    store = Store(tmp_path)
    assert len(store.shards()) == 2
    assert store.check() == ["8 of 13 images are done; the same call continues"]
    survey_channels(small, rows(), "relu2", tmp_path, **OPTIONS)
    assert files(tmp_path) == whole


def test_workers_end_where_a_shard_cannot_be_written(small, tmp_path, monkeypatch):
    ended = []

    def run(worker, spans, *_, **__):
        try:
            for index, span in enumerate(spans):
                yield index, worker(span)
        finally:
            ended.append(True)

    def refuse(*_):
        raise OSError("no space left on the device")

    monkeypatch.setattr(SURVEY_CHANNELS, "run_tasks", run)
    monkeypatch.setattr(Store, "add", refuse)
    with pytest.raises(OSError, match="no space left") as caught:
        survey_channels(small, rows(), "relu2", tmp_path, engine="ray", **OPTIONS)
    assert ended, f"while the traceback of {caught.value!r} is kept, as a notebook keeps it"


@pytest.mark.parametrize("name", ["shards.jsonl", "shard-000000000.safetensors"])
def test_files_of_others_are_not_overwritten(small, tmp_path, name):
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=f"{name}' exists and was not written by a survey"):
        survey_channels(small, rows(), "relu2", tmp_path, **OPTIONS)
    assert (tmp_path / name).read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("place", [3, 400, -1], ids=["header", "tensors", "end"])
def test_a_damaged_shard_is_recorded_again(small, tmp_path, place):
    survey = survey_channels(small, rows(), "relu2", tmp_path, **OPTIONS)
    before, shard = files(tmp_path), tmp_path / survey.shards[1].file
    data = bytearray(shard.read_bytes())
    data[place] ^= 0x55
    shard.write_bytes(data)
    if place == 3:
        with pytest.raises(ValueError, match=r"safetensors in .* is damaged: .*records it again"):
            survey.top("relu2")
    with pytest.warns(UserWarning, match=rf"{shard.name} in .* was damaged: it is recorded again"):
        survey_channels(small, rows(), "relu2", tmp_path, **OPTIONS)
    assert files(tmp_path) == before
    assert survey.store.check() == []


def test_a_manifest_of_another_store_is_refused(small, tmp_path):
    for name, seed in (("a", 1), ("b", 2)):
        with torch.no_grad():
            small.network.fc.bias += seed
        survey = survey_channels(small, rows(), "relu2", tmp_path / name, **OPTIONS)
    (tmp_path / "b" / "manifest.json").write_bytes((tmp_path / "a" / "manifest.json").read_bytes())
    found = Survey(tmp_path / "b")
    assert len(found.store.check()) == len(survey.shards)
    assert all("is of another recipe" in text for text in found.store.check())
    with pytest.raises(ValueError, match=r"is of another recipe than the manifest\.json there"):
        found.quantiles("relu2", [0.5])


@pytest.mark.parametrize(
    ("old", "new"),
    [('"stop":6', '"stop":-6'), ('"stop":6', '"stop":99'), ('"file":"', '"file":"../a/'), ("{", "\xff")],
)
def test_a_line_that_cannot_be_ends_the_list(small, tmp_path, old, new, monkeypatch):
    monkeypatch.setattr(SURVEY_CHANNELS, "SHARD_SIZE", 6)
    survey = survey_channels(small, rows(), "relu2", tmp_path / "a", **OPTIONS)
    before, listed = files(tmp_path / "a"), tmp_path / "a" / "shards.jsonl"
    text = listed.read_text()
    assert old in text
    listed.write_bytes(text.replace(old, new, 1).encode("latin-1"))
    assert Survey(survey.store).images == 0
    assert survey.store.check()[-1].startswith("0 of 13 images are done")
    survey_channels(small, rows(), "relu2", tmp_path / "a", **OPTIONS)
    assert files(tmp_path / "a") == before


class Windows(nn.Module):
    """Four windows of each image, on the first axis."""

    def forward(self, x):
        return x.unflatten(2, (2, -1)).unflatten(4, (2, -1)).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def test_layers_that_cut_the_image_into_windows_are_left_out(tmp_path):
    class Cut(nn.Sequential):
        def forward(self, x):
            return super().forward(x).unflatten(0, (len(x), -1)).mean((1, 3, 4))

    net = Classifier(Cut(nn.Conv2d(3, 4, 1), Windows()).eval(), None, 8)
    survey = survey_channels(net, rows(), None, tmp_path, **OPTIONS)
    assert survey.layers == ("0", "")


@pytest.mark.parametrize(("option", "value", "words"), [("top", 4, "top is 3"), ("layers", "fc", "layers")])
def test_another_recipe_is_refused(small, tmp_path, option, value, words):
    survey_channels(small, rows(), "relu2", tmp_path, **OPTIONS)
    before = files(tmp_path)
    with pytest.raises(FileExistsError, match=words):
        survey_channels(small, rows(), output_dir=tmp_path, **{"layers": "relu2", **OPTIONS, option: value})
    assert files(tmp_path) == before


def test_of_two_recipes_that_begin_at_once_one_is_refused(small, tmp_path, monkeypatch):
    first = survey_channels(small, rows(), "relu2", tmp_path / "first", **OPTIONS)
    manifest = tmp_path / "second" / "manifest.json"

    def begin_meanwhile(_):
        manifest.write_bytes((first.store.folder / "manifest.json").read_bytes())

    looks = iter([False])  # the first time, the file is not there yet
    monkeypatch.setattr("optvis.survey.store.check_own_files", begin_meanwhile)
    monkeypatch.setattr("optvis.survey.store.is_file", lambda path: next(looks, path.is_file()))
    with pytest.raises(FileExistsError, match="another recipe: top is 3 there and 2 here"):
        survey_channels(small, rows(), "relu2", tmp_path / "second", **{**OPTIONS, "top": 2})
    assert list(files(tmp_path / "second")) == ["manifest.json"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"layers": "relu22"}, KeyError, "nearest: 'relu2'"),
        ({"layers": []}, ValueError, "no layers"),
        ({"top": 0}, ValueError, "top is 0"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"target": "dgo"}, KeyError, "dog"),
        ({"target": 5}, IndexError, "expected a label, or 0 to 4"),
    ],
)
def test_invalid_arguments_are_refused_before_a_file_is_written(small, tmp_path, options, error, words):
    with pytest.raises(error, match=words):
        survey_channels(small, rows(), output_dir=tmp_path / "new", **{"layers": None, **OPTIONS, **options})
    assert not (tmp_path / "new").exists()


def test_questions_that_have_no_answer(small, tmp_path):
    survey = survey_channels(small, [image for image, _ in rows()], "relu2", tmp_path / "a", **OPTIONS)
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
    survey = survey_channels(net, rows(), "2", tmp_path, **OPTIONS)
    a = activations(net, [image for image, _ in rows()], "2")["2"]
    top = survey.top("2")
    assert torch.allclose(top.values, a.amax(1).T.sort(1, descending=True).values[:, :3])
    for channel in range(6):
        for image, (_, token) in zip(top.indices[channel], top.positions[channel], strict=True):
            assert a[image, :, channel].argmax() == token


def test_the_commands_survey_and_keep_a_store(tmp_path, capsys):
    words = ["survey", "demo", "--layers", "mixed5", "--scenes", "4", "--top-images", "2", "--out", str(tmp_path / "s")]
    assert cli.main(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "s")
    for action, answer in {"ls": "192 channels, 4 of 4 images", "check": "s: whole", "gc": "0 files removed"}.items():
        assert cli.main(["store", action, str(tmp_path)]) == 0
        assert answer in capsys.readouterr().out
    (tmp_path / "s" / "shard-000000000.safetensors").write_bytes(b"")
    assert cli.main(["store", "check", str(tmp_path)]) == 3
    assert cli.main(["store", "ls", str(tmp_path / "none")]) == 1
    capsys.readouterr()
    assert cli.main([*words[:-1], str(tmp_path / "t"), "--class", "no such class"]) == 1
    assert cli.main([*words[:-1], str(tmp_path / "t"), "--class", "3"]) == 0
    assert Survey(tmp_path / "t").manifest.recipe["target"] == 3
    capsys.readouterr()


@pytest.mark.parametrize("content", [b'{"kind": "survey manifest"}', b'{"kind": "survey mani', b"", None])
def test_the_check_counts_a_store_whose_manifest_is_damaged(small, tmp_path, capsys, content):
    for name in ("a", "b", "c"):
        survey_channels(small, rows(), "relu2", tmp_path / name, **OPTIONS)
    assert cli.main(["store", "check", str(tmp_path)]) == 0
    manifest = tmp_path / "b" / "manifest.json"
    manifest.unlink() if content is None else manifest.write_bytes(content)
    capsys.readouterr()
    for action in ("check", "ls", "gc"):
        assert cli.main(["store", action, str(tmp_path)]) == 3
        a, b, c = capsys.readouterr().out.splitlines()
        assert (a.startswith(f"{tmp_path / 'a'}: "), c.startswith(f"{tmp_path / 'c'}: ")) == (True, True)
        assert str(tmp_path / "b") in b
        assert ("damaged" if content is not None else "no manifest.json") in b


def test_costs_are_those_of_all_groups_and_images(small):
    cost = estimate_cost(small, ["relu2", "fc"], images=100, size=16, steps=1, options=MicroscopeOptions(4, 3, 4))
    assert (cost.layers, cost.channels, cost.groups, cost.images) == (2, 17, 5, 100)
    assert (cost.class_groups, cost.seconds_per_class_group > 0) == (2 * 2, True)  # five classes at two layers
    seconds = 3 * cost.seconds_per_group + 2 * cost.seconds_per_class_group
    assert cost.seconds(2) == (seconds, 50 * cost.seconds_per_image)
    assert "17 channels of 2 layers in 5 groups, 4 groups of classes, 100 images" in cost.table([1])
    with pytest.raises(ValueError, match="workers is 0; expected 1 or more"):
        cost.table([1, 0])
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
        survey = survey_channels(with_texts(**texts), rows(), layer, tmp_path / folder, **OPTIONS)
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
        survey = survey_channels(with_texts(), tmp_path / NO_UTF8, "relu2", tmp_path / NO_UTF8 / "store", **OPTIONS)
        assert survey.top("relu2").indices.tolist() == [[0, 1]] * 12
        assert survey.store.check() == []


@pytest.mark.parametrize("change", ["a pixel", "a label"])
def test_other_images_and_labels_are_refused(small, tmp_path, change):
    survey_channels(small, rows(), "relu2", tmp_path, **OPTIONS)
    survey_channels(small, rows(), "relu2", tmp_path, **OPTIONS)
    others = rows()
    image, label = others[5]
    others[5] = (image.flip(1), label) if change == "a pixel" else (image, label + 1)
    with pytest.raises(FileExistsError, match="another recipe: dataset is"):
        survey_channels(small, others, "relu2", tmp_path, **OPTIONS)


def test_a_file_of_another_size_is_refused_and_files_of_the_survey_itself_are_left_out(small, tmp_path):
    images = torch.rand(70, 4, 4, 3).mul(255).byte().numpy()
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{index:02}.bmp")
    own = tmp_path / "survey"
    assert survey_channels(small, tmp_path, "relu2", own, **OPTIONS).images == 70
    Image.fromarray(images[0]).save(own / "one of its own.png")
    assert survey_channels(small, tmp_path, "relu2", own, **OPTIONS).images == 70
    Image.fromarray(images[0].repeat(2, axis=0)).save(tmp_path / "03.bmp")
    with pytest.raises(FileExistsError, match="another recipe: dataset is"):
        survey_channels(small, tmp_path, "relu2", own, **OPTIONS)
