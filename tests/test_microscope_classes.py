"""The microscope's classes, exemplars by attribution, links between layers, and numbers beside pages, against loops."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Classifier
from optvis.data.sources import as_dataset
from optvis.microscope import MicroscopeOptions, build_microscope, records
from optvis.microscope.inputs import find_sources, measure_inputs
from optvis.microscope.top_activations import CLASSES, ExemplarChoice, find_exemplars
from optvis.viz.pages.microscope import page as content

IMAGES = torch.rand(7, 3, 20, 20, generator=torch.Generator().manual_seed(5))
OPTIONS = MicroscopeOptions(2, 3, 4, class_images=2, class_channels=4)
SMALL = {"size": 16, "steps": 1, "options": OPTIONS, "progress": False}


def halves(small, layer="relu1"):
    """The network up to a layer and from there on; `relu1` is the third module."""
    network = copy.deepcopy(small.network).eval()
    at = list(dict(network.named_children())).index(layer) + 1
    return network[:at], network[at:]


def attribute(small, images, k):
    """Gradient times activation of a class's logit at relu1, and the logits without each channel, by loops."""
    first, rest = halves(small)
    a = first(small.normalize(images.double())).detach().requires_grad_()
    logits = rest(a)
    (gradient,) = torch.autograd.grad(logits[:, k].sum(), a)
    without = []
    for channel in range(a.shape[1]):
        off = a.detach().clone()
        off[:, channel] = 0
        without.append(rest(off).detach())
    return (gradient * a).detach(), logits.detach(), torch.stack(without)


def read(path):
    return json.loads(path.read_bytes())


def test_the_numbers_of_classes_equal_loops(small, tmp_path, untouched):
    with untouched(small.network):
        build_microscope(small, IMAGES, "relu1", tmp_path, **SMALL)
    logits = small.logits(IMAGES.double())
    pages = sorted(int(path.stem) for path in (tmp_path / "classes").glob("?.json"))
    assert pages == sorted(set(logits.argmax(1).tolist()))
    for k in pages:
        page = read(tmp_path / "classes" / f"{k}.json")
        margins = logits[:, k] - logits.index_fill(1, torch.tensor(k), -torch.inf).amax(1)
        best = [index for index in margins.argsort(descending=True, stable=True).tolist() if margins[index] > 0][:2]
        assert [image["file"] for image in page["images"]] == [f"{index:06d}.webp" for index in best]
        assert_close([image["margin"] for image in page["images"]], margins[best].tolist(), atol=1e-5, rtol=1e-4)
        shares, before, without = attribute(small, IMAGES[best], k)
        means = shares.sum((2, 3)).mean(0)
        (layer,) = page["layers"]
        chosen = [row["channel"] for row in layer["channels"]]
        strongest = means.abs().argsort(descending=True)[:4].tolist()
        strongest = [channel for channel in strongest if abs(means[channel]) > 0.01 * means.abs().max()]
        assert chosen == sorted(strongest, key=lambda channel: -float(means[channel]))
        for row in layer["channels"]:
            after = without[row["channel"]]
            found = [row["attribution"], row["logit_drop"], row["probability_drop"], row["prediction_changes"]]
            probability_drop = (before.softmax(1) - after.softmax(1))[:, k].mean()
            drop, changes = (before - after)[:, k].mean(), (before.argmax(1) != after.argmax(1)).sum()
            expected = [means[row["channel"]], drop, probability_drop, changes]
            assert_close(list(map(float, found)), list(map(float, expected)), atol=1e-6, rtol=1e-4)


def test_exemplars_by_attribution_equal_a_loop(small):
    choice = ExemplarChoice(3, class_images=2, attributed_class=4)
    found = find_exemplars(small, as_dataset(IMAGES), ["relu1"], choice)
    shares, logits, _ = attribute(small, IMAGES, 4)
    totals, places = shares.sum((2, 3)), shares.flatten(2).argmax(2)
    for channel in range(shares.shape[1]):
        order = totals[:, channel].argsort(descending=True, stable=True)[:3]
        rows = found["relu1"].rows(channel)
        assert [index for index, *_ in rows] == order.tolist()
        assert_close([value for _, value, *_ in rows], totals[order, channel].tolist(), atol=1e-6, rtol=1e-4)
        assert [20 * y + x for *_, y, x in rows] == places[order, channel].tolist()
    margins = logits[:, 4] - logits[:, :4].amax(1)
    assert [index for index, *_ in found[CLASSES].rows(4)] == margins.argsort(descending=True)[:2].tolist()


@pytest.mark.parametrize(("label", "index"), [(4, 4), ("eta", 4)])
def test_pages_of_exemplars_by_attribution_say_so(small, tmp_path, label, index):
    network = Classifier(small.network, small.normalize, 20, ("alpha", "beta", "gamma", "delta", "eta"))
    options = SMALL | {"options": MicroscopeOptions(2, 3, 4, 1, 1, label)}
    build_microscope(network, IMAGES, ["relu1", "fc"], tmp_path, channels=[0, 1, 2], **options)
    assert read(tmp_path / "recipe.json")["exemplar_class"] == index
    shown = 0
    for channel in range(3):
        text = (tmp_path / "layer-relu1" / f"{channel}.html").read_text()
        page = read(tmp_path / "layer-relu1" / f"{channel}.json")
        assert f"Top attributions to <bdi>{network.labels[index]}</bdi>" in text
        assert all(image["attribution"] > 0 for image in page["record"]["images"])
        shown += len(page["record"]["images"])
    assert shown


@pytest.mark.parametrize(
    ("label", "error", "words"),
    [("gama", KeyError, "nearest: 'gamma'"), (7, IndexError, "exemplar_class is 7; expected a label, or 0 to 4")],
)
def test_a_class_that_does_not_exist_is_refused_before_a_file_is_written(small, tmp_path, label, error, words):
    network = Classifier(small.network, small.normalize, 20, ("alpha", "beta", "gamma", "delta", "eta"))
    options = SMALL | {"options": MicroscopeOptions(exemplar_class=label)}
    with pytest.raises(error, match=words):
        build_microscope(network, IMAGES, "relu1", tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


def test_networks_without_classes_and_pages_without_classes(small, tmp_path):
    embedding = Classifier(small.network, small.normalize, 20, head="embedding")
    build_microscope(embedding, IMAGES, "relu1", tmp_path / "a", channels=[0], **SMALL)
    with pytest.raises(ValueError, match="exemplar_class: the network's output is an embedding"):
        build_microscope(
            embedding, IMAGES, "relu1", tmp_path / "b", **SMALL | {"options": MicroscopeOptions(exemplar_class=1)}
        )
    none = SMALL | {"options": MicroscopeOptions(2, 3, 4, class_images=0)}
    build_microscope(small, IMAGES, "relu1", tmp_path / "c", channels=[0], **none)
    assert not (tmp_path / "a" / "classes").exists()
    assert not (tmp_path / "c" / "classes").exists()
    with pytest.raises(ValueError, match="class_images is -1; expected 0 or more"):
        MicroscopeOptions(class_images=-1)


@pytest.mark.parametrize("text", ['{"classes": [', '{"classes": []}', '{"classes": [{"index": "x"}]}'])
def test_a_damaged_group_of_classes_is_built_again(small, tmp_path, text):
    def build():
        build_microscope(small, IMAGES, "relu1", tmp_path, channels=[0, 1], **SMALL)
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    before = build()
    (file,) = list((tmp_path / "layer-relu1").glob("classes-*.json"))[:1]
    file.write_text(text)
    assert build() == before


# What channels are made of


class Branches(nn.Module):
    """Two branches from one stem, and a head on their sum."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.left, self.right = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
        self.relu, self.head = nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x).relu()
        left, right = self.left(x), self.right(x)
        return self.head(self.relu(left + right).mean((2, 3)))


def test_a_layer_is_made_of_the_last_one_that_it_depends_on():
    net = Classifier(Branches(), None, 12)
    found = find_sources(net, ["head", "right", "relu", "stem", "left"])
    assert found == {"stem": None, "left": "stem", "right": "stem", "relu": "right", "head": "relu"}
    assert find_sources(net, ["relu"]) == {"relu": None}


def test_contributions_equal_a_loop(small, untouched):
    images, places = IMAGES[:2].double(), [(3, 4), (0, 17)]
    with untouched(small.network):
        found = measure_inputs(small, images, ("relu1", "conv2"), 5, places)
    first, rest = halves(small)
    a = first(small.normalize(images)).detach().requires_grad_()
    end = rest[: list(dict(rest.named_children())).index("conv2") + 1](a)
    total = sum(end[row, 5, y, x] for row, (y, x) in enumerate(places))
    (gradient,) = torch.autograd.grad(total, a)
    assert_close(found, (gradient * a).sum((2, 3)).mean(0).float(), atol=1e-6, rtol=1e-4)


def test_contributions_of_a_linear_layer_add_up_to_the_activation_less_its_bias():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))
    found = measure_inputs(Classifier(net, None, 12), IMAGES[:, :, :12, :12], ("1", "4"), 2, [(0, 0)] * 7)
    assert_close(found.sum(), (net(IMAGES[:, :, :12, :12])[:, 2] - net[4].bias[2]).mean(), atol=1e-5, rtol=1e-4)


def test_pages_link_both_ways_between_layers(small, tmp_path):
    build_microscope(small, IMAGES, ["relu2", "relu1"], tmp_path, channels=range(3), **SMALL)
    for number in range(3):
        for one in read(tmp_path / "layer-relu2" / f"{number}.json")["inputs"]:
            assert one["layer"] == "relu1"
            assert (one["address"] is None) == (one["channel"] > 2)
            if one["address"] is not None:
                assert (tmp_path / "layer-relu2" / one["address"]).is_file()
                back = read(tmp_path / "layer-relu1" / f"{one['channel']}.json")["outputs"]
                assert (number, one["contribution"]) in {(each["channel"], each["contribution"]) for each in back}
    assert read(tmp_path / "layer-relu1" / "0.json")["inputs"] == []


# Numbers beside pages


def test_each_page_has_its_numbers_beside_it(small, tmp_path):
    build_microscope(small, IMAGES, ["relu1", "relu2"], tmp_path, channels=range(3), **SMALL)
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) == 1 + 2 * (1 + 3) + 1 + len(set(small.logits(IMAGES.double()).argmax(1).tolist()))
    for page in pages:
        assert read(page.with_suffix(".json"))["kind"] == "microscope numbers"
        assert f'href="{page.stem}.json"' in page.read_text()
    sheet = read(tmp_path / "layer-relu1" / "index.json")
    assert [tile["number"] for tile in sheet["tiles"]] == [0, 1, 2]
    channel = read(tmp_path / "layer-relu1" / "1.json")["record"]
    values = sheet["tiles"][1]["values"]
    assert values["score"] == channel["score"]
    assert values["activation"] == max(image["activation"] for image in channel["images"])
    assert values["prediction_changes"] == channel["ablation"]["prediction_changes"]


def test_the_command_chooses_exemplars_and_classes(tmp_path, monkeypatch, capsys):
    from optvis.cli import main as cli

    monkeypatch.chdir(tmp_path)
    few = ["--channels", "0", "--size", "16", "--steps", "0", "--sample-size", "2", "--scenes", "4"]
    own = ["--class-images", "0", "--exemplar-class", "owl"]
    assert cli.main(["microscope", "demo", "--layers", "mixed5", *few, *own]) == 0
    capsys.readouterr()
    assert "Top attributions to <bdi>owl</bdi>" in (tmp_path / "microscope/layer-mixed5/0.html").read_text()
    assert not (tmp_path / "microscope" / "classes").exists()


def test_the_fields_of_the_numbers_are_documented():
    text = (Path(__file__).parents[1] / "docs" / "microscope_fields.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(\w+)`", text))
    shown = (
        content.ChannelPage,
        content.SheetPage,
        content.IndexPage,
        content.ClassesPage,
        content.ClassPage,
        content.LayerLink,
    )
    parts = (
        content.Tile,
        content.Thumbnail,
        content.ChannelLink,
        content.ClassImage,
        content.RankedChannel,
        content.ClassLayer,
    )
    stored = (records.ChannelRecord, records.ImageRecord, records.ClassRecord, records.AblationRecord)
    stored += (records.SurveyRecord, records.ClassMeanRecord)
    names = {each.name for cls in (*shown, *parts, *stored, records.AblatedClass) for each in fields(cls)}
    assert names | {*content.CHANNEL_COLUMNS, *content.CLASS_COLUMNS, "kind", "page"} <= documented
    assert {cls.__name__ for cls in shown[:5]} <= documented
