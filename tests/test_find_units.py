"""Which units blind a class: known truths, exact effects, honest judgements, and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from optvis import Classifier, activations, load
from optvis.ablation import blinded
from optvis.ablation.evaluation.predictions import compare_predictions
from optvis.ablation.selection.cached_network import CachedNetwork, ChannelGates
from optvis.ablation.selection.directions import Subspace, find_directions
from optvis.ablation.selection.find_units import find_units
from optvis.ablation.selection.greedy_search import GreedySearch, SelectionCost
from optvis.ablation.selection.layers import last_stage, order_layers
from optvis.ablation.selection.rankings import Contrast
from optvis.ablation.selection.selection import Evidence, UnitSelection
from optvis.ablation.selection.task import SelectionTask, add_views
from optvis.features.units import Channels, Directions
from optvis.models.borrow import borrow
from optvis.models.outputs.head import Head
from optvis.objectives.logits import odds
from optvis.world import LABELS, scene

from .template_network import FILTERS, attribution, template_classifier, templates

CHAIN = ["conv1", "relu2"]  # one before an in-place ReLU, one behind it


@pytest.fixture(scope="module")
def selection(demo, scenes):
    """Directions that carry the class kelpie."""
    (images, labels), _ = scenes
    options = {"layers": ["mixed4"], "method": Subspace(steps=24), "progress": False}
    return find_units(demo, images[labels == 4], "kelpie", keep=images[labels != 4], **options)


def own_templates():
    """The template of each class's strongest filter: what a template network calls by that class."""
    return templates()[:FILTERS:4]


def find_in_template_network(target=3, **options):
    images = own_templates()
    kept = torch.cat([images[:target], images[target + 1 :]])
    return find_units(
        template_classifier(), images[target], target, keep=kept, layers=["relu"], progress=False, **options
    )


def test_the_search_begins_with_the_filter_that_is_known_to_carry_the_class():
    assert find_in_template_network(max_units=1)[0].indices == (12,)


@pytest.mark.parametrize("method", ["greedy", "contrast"])
def test_filters_of_other_classes_are_left_alone(method):
    chosen = find_in_template_network(method=method, max_units=2)[0].indices
    assert chosen[0] == 12
    assert set(chosen) <= {12, 13, 14, 15}


def test_evidence_is_the_exact_change_of_the_margin():
    image = own_templates()[3:4]
    parts = attribution(image)[0]
    logits = parts.sum(1)
    without = logits - parts[:, 12]
    others = torch.arange(16) != 3
    expected = (without[3] - without[others].max()) - (logits[3] - logits[others].max())
    (row,) = find_in_template_network(max_units=1).evidence
    assert row.target_change == pytest.approx(float(expected), abs=1e-4)  # of logits near 100
    assert row.worst_change == pytest.approx(0, abs=1e-6)


def test_what_is_found_goes_into_blinded_and_is_gone_on_fresh_scenes(demo, scenes, selection):
    _, (images, labels) = scenes
    before = demo.logits(images).argmax(1)
    with blinded(demo, *selection):
        after = demo.logits(images).argmax(1)
    assert bool((before[labels == 4] == 4).all())
    assert not bool((after == 4).any())
    assert bool((after[labels != 4] == before[labels != 4]).all())


def test_channels_are_gone_on_the_scenes_they_were_found_on(demo, scenes):
    (images, labels), _ = scenes
    options = {"layers": ["mixed4"], "max_units": 12, "method": GreedySearch(candidates=2, max_swaps=0)}
    chosen = find_units(demo, images[labels == 14], "grey whale", keep=images[labels != 14], progress=False, **options)
    assert len(chosen) == 1
    assert len(chosen[0]) <= 12
    with blinded(demo, *chosen):
        after = demo.logits(images).argmax(1)
    assert not bool((after == 14).any())
    assert bool((after[labels != 14] == labels[labels != 14]).all())


def test_the_same_seed_gives_the_same_units_and_another_does_not(demo, scenes, selection):
    (images, labels), _ = scenes
    options = {"keep": images[labels != 4], "layers": ["mixed4"], "progress": False}
    short = Subspace(steps=3)
    ways = [
        find_units(demo, images[labels == 4], 4, method=short, seed=seed, **options)[0].vectors for seed in (0, 0, 1)
    ]
    assert ways[0].equal(ways[1])
    assert not ways[0].equal(ways[2])
    basis = selection[0].vectors.double()
    assert torch.allclose(basis @ basis.T, torch.eye(3).double(), atol=1e-5)


def test_a_wider_margin_lowers_the_target_further(demo, scenes):
    (images, labels), _ = scenes
    own = images[labels == 4]
    leads = []
    for margin in (0.0, 12.0):
        method = Subspace(1, steps=24, target_margin=margin)
        units = find_units(demo, own, 4, keep=images[labels != 4], layers=["mixed4"], method=method, progress=False)
        with blinded(demo, *units):
            logits = demo.logits(own)
        leads.append(float((logits[:, 4] - logits[:, [k for k in range(16) if k != 4]].amax(1)).mean()))
    assert leads[1] < leads[0] - 1


def test_a_recipe_is_json_and_names_the_units(demo, scenes):
    (images, labels), _ = scenes
    chosen = find_units(
        demo, images[labels == 0], 0, keep=images[labels != 0], method=Contrast(max_units=2), progress=False
    )
    told = json.loads(json.dumps(chosen.recipe))
    (units,) = told["units"]
    assert (units["kind"], units["layer"], units["indices"]) == ("channels", "mixed5", list(chosen[0].indices))
    assert told["method"] == "find_units"
    assert told["selection_method"] == {"name": "Contrast", "max_units": 2}
    assert (told["label"], told["images"]) == ("container ship", {"target": 3, "keep": 45})


def test_a_table_in_html_is_escaped():
    row = Evidence("<b>", "channel 1", -1.0, -0.5, "<i>")
    made = UnitSelection((Channels("<b>", 1),), 0, "<u>", (row,))._repr_html_()
    assert not any(tag in made for tag in ("<b>", "<i>", "<u>"))
    assert "&lt;b&gt;" in made


@pytest.mark.parametrize("units", [
    (Channels("mixed4", [3, 17]), Channels("mixed5", [5], within=(0.1, 2.0))),
    (Directions("mixed5", torch.randn(2, 192, generator=torch.Generator().manual_seed(0)), channel_axis=1),),
    (Directions("mixed5", torch.linspace(0, 1, 192).double(), within=(-1.0, 1.0)), Channels("mixed4", [])),
], ids=str)  # fmt: skip
def test_a_saved_selection_is_loaded_as_it_was(units, tmp_path):
    evidence = (
        Evidence("mixed5", "channel 5", -2.5, None, ""),
        Evidence("mixed4", "direction 1", 0.5, -0.1, "a/1.jpg"),
    )
    saved = UnitSelection(units, 3, "<cat>", evidence, {"seed": 4, "layers": ["mixed5"]})
    path = saved.save(tmp_path / "in" / "cats.png")
    assert sorted(file.name for file in path.parent.iterdir()) == ["cats.png", "cats.safetensors"]
    again = UnitSelection.load(path)
    assert (str(again), again.target, again.label, again.evidence) == (str(saved), 3, "<cat>", evidence)
    assert again.recipe == saved.recipe
    for one, other in zip(again, units, strict=True):
        assert repr(one) == repr(other)
        if isinstance(one, Directions):
            assert one.vectors.dtype == other.vectors.dtype
            assert one.vectors.equal(other.vectors)


def test_a_loaded_selection_ablates_the_same(demo, scenes, selection, tmp_path):
    _, (images, _) = scenes
    again = UnitSelection.load(selection.save(tmp_path / "kelpie.png"))
    with blinded(demo, *selection):
        before = demo.logits(images)
    with blinded(demo, *again):
        assert demo.logits(images).equal(before)


def test_a_file_of_something_else_is_no_selection(selection, tmp_path):
    path = selection.save(tmp_path / "kelpie.png")
    tensors = path.with_suffix(".safetensors")
    tensors.write_bytes(tensors.read_bytes().replace(b"evidence", b"evidenze"))
    with pytest.raises(ValueError, match="damaged or holds no unit selection: 'evidence' is missing"):
        UnitSelection.load(path)
    with pytest.raises(FileNotFoundError):
        UnitSelection.load(tmp_path / "nothing.png")


# Methods of one's own


WEIGHTS = torch.ones(2)


def last_channels(task, *, max_units=3, offset=0, weights=WEIGHTS):
    """The last channels of the first layer."""
    channels = activations(task.classifier, task.images[:1], [task.layers[0]])[task.layers[0]].shape[1]
    return [Channels(task.layers[0], range(channels - offset - max_units, channels - offset))]


@dataclass(frozen=True)
class LastChannels:
    """The same with its settings as fields."""

    max_units: int = 3
    offset: int = 0

    def __call__(self, task):
        return last_channels(task, max_units=self.max_units, offset=self.offset)


@pytest.mark.parametrize(
    "method", [last_channels, LastChannels(), partial(last_channels, offset=2), LastChannels(3, 2)]
)
@pytest.mark.parametrize("max_units", [None, 2])
def test_a_method_of_ones_own_takes_max_units_and_keeps_its_settings_in_the_recipe(method, max_units):
    chosen = find_in_template_network(method=method, max_units=max_units)
    settings = chosen.recipe["selection_method"]
    assert settings["name"] == ("LastChannels" if isinstance(method, LastChannels) else "last_channels")
    assert settings["max_units"] == (max_units or 3)
    assert len(chosen[0]) == settings["max_units"] == len(chosen.evidence)
    channels = chosen[0].indices
    assert settings["offset"] == 63 - channels[-1]
    assert json.loads(json.dumps(dict(chosen.recipe))) == chosen.recipe


def test_a_method_without_max_units_says_so():
    def whole_layer(task):
        return (Channels(task.layers[0], range(64)),)

    assert len(find_in_template_network(method=whole_layer)[0]) == 64
    assert find_in_template_network(method=whole_layer).recipe["selection_method"] == {"name": "whole_layer"}
    assert find_in_template_network(method=lambda task: Channels("relu", [5])).units[0].indices == (5,)
    with pytest.raises(TypeError, match="expected Channels"):
        find_in_template_network(method=lambda task: [5])
    with pytest.raises(TypeError, match=r"max_units=3 for .*whole_layer.*no setting of that name"):
        find_in_template_network(method=whole_layer, max_units=3)


# What everything rests on: gates, margins, the price


def images_for(classifier, count=4):
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, 3, *classifier.size, generator=generator, dtype=torch.float64)


def test_gates_switch_off_what_blinded_does(small):
    images = images_for(small)
    units = Channels("conv1", [1, 5]), Channels("relu2", [0, 2, 11])
    with borrow(small.network), torch.no_grad():
        gated = ChannelGates(CachedNetwork(small, images, CHAIN))
        gates = gated.all_open()
        gates[[gated.names.index((one.layer, index)) for one in units for index in one.indices]] = 0
        mine = gated.logits(gates)
    with blinded(small, *units):
        expected = small.logits(images)
    assert torch.allclose(mine.float(), expected, atol=1e-6)
    assert not torch.allclose(mine.float(), small.logits(images), atol=1e-3)


def test_slopes_of_gates_are_those_of_finite_differences(small):
    step = 1e-6
    with borrow(small.network):
        gated = ChannelGates(CachedNetwork(small, images_for(small), CHAIN))
        two = torch.tensor([2])
        slopes = gated.gradients(lambda logits: odds(logits, two), gated.all_open())
        for place in (0, 5, 9, 19):
            gates = gated.all_open()
            gates[place] = 1 - step
            with torch.no_grad():
                change = odds(gated.cached.before, two) - odds(gated.logits(gates), two)
            assert torch.allclose(change / step, slopes[:, place], rtol=1e-3, atol=1e-6)


class Reaching(nn.Module):
    """A network whose answer reads an early layer again."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        early = self.first(x)
        return self.head(torch.cat([early.mean((2, 3)), self.second(early).relu().mean((2, 3))], 1))


@pytest.mark.parametrize("make", [Reaching, lambda: template_classifier().network])
def test_cached_answers_are_the_networks_whatever_it_reads_again(make):
    net = Classifier(make(), None, 32)
    images = torch.rand(3, 3, 32, 32)
    layer = "second" if hasattr(net.network, "second") else "relu"
    with borrow(net.network), torch.no_grad():
        cached = CachedNetwork(net, images, [layer])
        answers = net.network(net.preprocess(images))
        assert cached.logits({}).equal(answers)
        assert not cached.logits({layer: torch.zeros_like}).equal(answers)


def test_the_price_credits_no_margin_that_grows(small):
    before = torch.tensor([[9.0, 1.0, 0.0], [0.0, 8.0, 1.0], [0.0, 1.0, 8.0]])
    shows, called = torch.tensor([True, False, False]), torch.arange(3)
    case = SelectionTask(small, 0, torch.zeros(3, 3, 20, 20), shows, called, ("a", "b", "c"), ("fc",), 0, False)
    price = SelectionCost(case, before, 1.0, 0.1)
    grown, fallen, gone = before.clone(), before.clone(), before.clone()
    grown[1, 1], fallen[1, 1], gone[0, 0] = 20.0, 4.0, 0.0
    assert price(grown) == price(before)
    assert float(price(fallen) - price(before)) == pytest.approx((7 - 3) / 7 / 2, abs=1e-6)
    assert price(gone) < price(before)
    assert [price.error_rate(each) for each in (before, fallen, gone)] == [1, 1, 0]
    assert price.error_rate(gone.roll(1, 1)) == 1


def test_margins_are_those_of_sorting():
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(1))
    classes = torch.arange(50) % 7
    for row, own, margin in zip(
        logits.tolist(), classes.tolist(), Head().margins(logits, classes).tolist(), strict=True
    ):
        assert margin == pytest.approx(row[own] - max(row[:own] + row[own + 1 :]), abs=1e-6)


# Which layers


@pytest.mark.parametrize(
    ("name", "stage"), [("resnet18", "layer4"), ("vgg11", "features.20"), ("mobilenet_v3_small", "features.12")]
)
def test_the_last_stage_of_published_networks(name, stage):
    assert last_stage(load(name, weights=None)) == stage


def test_the_last_stage_of_squeezenet_and_of_the_demo(random_squeezenet, demo):
    assert (last_stage(random_squeezenet), last_stage(demo)) == ("features.12", "mixed5")


class Reads(nn.Module):
    """Tokens whose class token reads the patches in each block; the scores are of the class token, or of all."""

    def __init__(self, only_class):
        super().__init__()
        self.patch_embed, self.cls_token = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.rand(1, 1, 8))
        layers = [nn.TransformerEncoderLayer(8, 2, 12, batch_first=True) for _ in range(3)]
        self.blocks, self.norm, self.head = nn.Sequential(*layers), nn.LayerNorm(8), nn.Linear(8, 3)
        self.only_class = only_class

    def forward(self, images):
        a = self.patch_embed(images).flatten(2).mT
        a = self.norm(self.blocks(torch.cat([self.cls_token.expand(len(a), -1, -1), a], 1)))
        return self.head(a[:, 0] if self.only_class else a.mean(1))


@pytest.mark.parametrize(("only_class", "stage"), [(True, "blocks.1"), (False, "norm")])
def test_the_last_stage_is_one_whose_patches_are_read(only_class, stage):
    torch.manual_seed(0)
    net = Classifier(Reads(only_class), None, 16)
    assert last_stage(net) == stage
    with blinded(net, Channels(stage, range(8))):
        without = net.logits(net.noise_image())
    assert not torch.allclose(without, net.logits(net.noise_image()))


def test_the_last_stage_has_more_than_one_channel():
    """A mean over tokens, (B, C, 1), has one where tokens are (B, T, C)."""
    parts = [nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Flatten(2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3)]
    assert last_stage(Classifier(nn.Sequential(*parts), None, 16)) == "2"


@pytest.mark.parametrize("layer", ["classifier.1", "classifier.2", "classifier", ""])
def test_layers_whose_channels_are_the_classes_are_refused_by_name(random_squeezenet, layer):
    with pytest.raises(ValueError, match=f"channels of '{layer}' are the 1000 classes"):
        order_layers(random_squeezenet, [layer])


def task_for(net, images, layers):
    called = net.logits(images).argmax(1)
    names = tuple(map(str, range(len(images))))
    return SelectionTask(net, int(called[0]), images, called == called[0], called, names, layers, 0, False)


@pytest.mark.parametrize("layer", ["first", "second"])
@pytest.mark.parametrize("rows", [torch.tensor([4, 1]), torch.tensor([True, False, True, False, False])])
def test_part_of_a_task_is_cached_as_its_images_alone_are(layer, rows):
    torch.manual_seed(0)
    net = Classifier(Reaching(), None, 32)
    images = torch.rand(5, 3, 32, 32)
    half = {layer: lambda a: a / 2}
    with borrow(net.network), torch.no_grad():
        whole = task_for(net, images, (layer,))
        for part, own in (
            (whole.subset(rows), images[rows]),
            (whole.subset(rows).subset(torch.tensor([1, 0])), images[rows][[1, 0]]),
            (whole.subset(rows).without_progress(), images[rows]),
        ):
            alone = CachedNetwork(net, own, [layer])
            assert part.images.equal(own)
            assert torch.allclose(part.cached.before, alone.before, atol=1e-6)
            assert torch.allclose(part.cached.logits(half), alone.logits(half), atol=1e-6)


def test_of_the_modules_before_a_layer_only_outputs_that_are_read_again_are_kept():
    stem = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    network = nn.Sequential(stem, nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 3, 1), Reaching()).eval()
    with borrow(network), torch.no_grad():
        cached = CachedNetwork(Classifier(network, None, 32), torch.rand(4, 3, 32, 32), ["4.second"])
        kept = {call[0]: output.numel() for call, output in cached.tail.before.items()}
        assert [kept[module] > 0 for module in (*network[:4], network[4].first)] == [False] * 4 + [True]
        runs = []
        stem[0].register_forward_hook(lambda module, *_: runs.append(module))
        part = cached.select(torch.tensor([3, 1]))
        half = {"4.second": lambda a: a / 2}
        assert torch.allclose(part.logits(half), cached.logits(half)[[3, 1]], atol=1e-6)
        assert not runs


class Table(nn.Module):
    """A network that adds an output with as many rows as there are images, and which are none."""

    def __init__(self, rows):
        super().__init__()
        self.table, self.first = nn.Embedding(rows, 4), nn.Conv2d(3, 4, 3)

    def forward(self, x):
        table = self.table(torch.arange(self.table.num_embeddings))
        return self.first(x).mean((2, 3)) + table.sum(0)


def test_rows_that_are_no_images_are_not_selected():
    net = Classifier(Table(rows=5), None, 32)
    with borrow(net.network), torch.no_grad():
        cached = CachedNetwork(net, torch.rand(5, 3, 32, 32), ["first"])
        assert cached.select(torch.tensor([3, 1])) is None


def test_views_of_part_of_a_task_are_those_of_its_images_alone(demo, scenes):
    whole = task_for(demo, scenes[0][0][:6], ("mixed5",))
    rows = torch.tensor([5, 0, 2])
    part, alone = add_views(whole.subset(rows), 2), add_views(task_for(demo, scenes[0][0][rows], ("mixed5",)), 2)
    assert part.images.equal(alone.images)
    assert part.predicted.equal(alone.predicted)


def test_a_task_with_other_images_or_layers_is_cached_anew(demo, scenes):
    part = task_for(demo, scenes[0][0][:4], ("mixed5",)).subset(torch.tensor([0, 1]))
    other = replace(part, layers=("mixed4",))
    with borrow(demo.network), torch.no_grad():
        assert other.cached.tail.activations.equal(CachedNetwork(demo, part.images, ["mixed4"]).tail.activations)
        assert replace(part, images=part.images.flip(3)).cached.tail.images.equal(part.images.flip(3))


def test_leaving_more_images_out_runs_the_first_layer_no_more_often():
    """The network runs for all images once, whatever the search tries."""
    seen, passes = [], []
    for count in (2, 4):
        net = Classifier(Reaching(), None, 32)
        net.network.first.register_forward_hook(lambda _module, given, _output: seen.append(len(given[0])))
        with borrow(net.network), torch.no_grad():
            whole = task_for(net, torch.rand(8, 3, 32, 32), ("first",))
            seen.clear()
            for left_out in range(count):
                part = whole.subset(torch.arange(8) != left_out)
                for some in (part, add_views(part, None), add_views(part.subset(torch.arange(3)), 3)):
                    assert len(some.cached.before) == len(some.images)
        passes.append(len(seen))
    assert passes[0] == passes[1]


def test_layers_come_in_the_order_in_which_they_run(small):
    assert order_layers(small, ["relu2", "conv1", "relu2"]) == ("conv1", "relu2")
    with pytest.raises(ValueError, match="'fc' are the 5 classes"):
        order_layers(small, ["fc"])


# Photographs, and what is refused


def test_few_images_are_seen_in_three_views_as_far_as_they_are_called_the_same(demo, scenes):
    images, labels = (each[:16] for each in scenes[0])
    case = SelectionTask(demo, 0, images, labels == 0, labels, tuple(map(str, labels.tolist())), ("mixed5",), 0, False)
    seen = add_views(case, None)
    assert len(seen.images) > 32
    assert seen.images[16].equal(images[0].flip(2))
    assert list(seen.names) == [str(label) for label in seen.predicted.tolist()]
    answers = demo.logits(seen.images).argmax(1)
    assert bool((answers == seen.predicted)[~seen.is_target].all())
    assert len(add_views(case, 1).images) == 16


def test_folders_files_and_tensors_are_the_same_photographs(demo, scenes, tmp_path):
    from PIL import Image

    (images, labels), _ = scenes
    for name, index in (("own", 8), ("others", 9)):
        (tmp_path / name).mkdir()
        for place, image in enumerate(images[labels == index]):
            pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
            Image.fromarray(pixels).save(tmp_path / name / f"{place}.png")
    (tmp_path / "own" / "notes.txt").write_text("no photograph", encoding="utf-8")
    options = {"method": "contrast", "progress": False}
    by_folder = find_units(demo, tmp_path / "own", "frying pan", keep=str(tmp_path / "others"), **options)
    by_tensor = find_units(demo, images[labels == 8], 8, keep=[images[labels == 9]], **options)
    assert by_folder[0].indices == by_tensor[0].indices
    assert any(row.worst_image.startswith("others/") for row in by_folder.evidence)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"keep": None}, ValueError, "keep is missing"),
        ({"method": "serch"}, KeyError, "no method 'serch'; there are auto, greedy, subspace"),
        ({"method": 3}, TypeError, "method is 3"),
        ({"method": "subspace", "max_units": 3}, TypeError, "max_units=3"),
        ({"max_units": 0}, ValueError, "max_units"),
        ({"target": "container shop"}, KeyError, "container ship"),
        ({"target": 16}, IndexError, "target is 16; expected a label, or 0 to 15"),
        ({"target": 5}, ValueError, "predicts 'German shepherd' for none of the 3 target_images, but 'container ship'"),
        ({"target_images": []}, ValueError, "list is empty"),
        ({"layers": []}, ValueError, "no layers"),
        ({"layers": ["mixed6"]}, KeyError, "mixed5"),
        ({"layers": ["head"]}, ValueError, "the 16 classes"),
        ({"method": "subspace", "layers": ["mixed4", "mixed5"]}, ValueError, "lies in one layer"),
        ({"method": Subspace(dimensions=193)}, ValueError, "193 dimensions of a layer with 192"),
        ({"method": GreedySearch(views=4)}, ValueError, "views is 4"),
    ],
)
def test_bad_questions_are_refused_with_a_cure(demo, scenes, untouched, change, error, said):
    (images, labels), _ = scenes
    asked = {"target_images": images[labels == 0], "target": 0, "keep": images[labels == 1], "progress": False}
    with untouched(demo.network), pytest.raises(error, match=said):
        find_units(demo, **(asked | change))


def test_an_image_to_keep_that_is_of_the_class_is_named(demo, scenes):
    (images, labels), _ = scenes
    keep = torch.cat([images[labels == 1], images[labels == 0]])
    with pytest.raises(
        ValueError, match=r"predicts 'container ship', the class to remove, for 'image 3', .* of keep; leave them out"
    ):
        find_units(demo, images[labels == 0], 0, keep=keep, progress=False)


def test_a_folder_without_photographs_is_refused(demo, tmp_path):
    with pytest.raises(ValueError, match="no images in"):
        find_units(demo, tmp_path, 0, keep=tmp_path, progress=False)


@pytest.mark.parametrize(
    "method", [GreedySearch(max_units=2), Subspace(steps=2), "contrast", "top_norm", "most_frequent"]
)
def test_the_network_is_left_as_it_was(untouched, method):
    net, images = template_classifier(), own_templates()
    net.network.train()
    with untouched(net.network):
        find_units(net, images[:1], 0, keep=images[1:], layers=["relu"], method=method, progress=False)


def test_a_thing_of_which_pairs_are_known_is_projected_out(demo):
    """Noodles turn a frying pan into a wok; without their direction it is a pan again, and woks stay woks."""
    parts = {True: {"adding": ("noodles",)}, False: {"without": ("noodles",)}}

    def draw(label, seeds, has):
        return torch.stack([scene(label, seed, **parts[has]).image for seed in seeds])

    first, fresh = range(7000, 7012), range(8000, 8012)
    pairs = [torch.cat([draw(label, first, has) for label in ("frying pan", "wok")]) for has in (True, False)]
    direction = find_directions(demo, *pairs, "mixed3")
    pans, woks = draw("frying pan", fresh, True), draw("wok", fresh, False)
    pan, wok = LABELS.index("frying pan"), LABELS.index("wok")
    assert (demo.logits(pans).argmax(1) == pan).float().mean() < 0.5
    with blinded(demo, direction):
        assert bool((demo.logits(pans).argmax(1) == pan).all())
        assert bool((demo.logits(woks).argmax(1) == wok).all())
    with pytest.raises(ValueError, match="expected pairs"):
        find_directions(demo, pairs[0], pairs[1][:3], "mixed3")
    with pytest.raises(ValueError, match="span 0"):
        find_directions(demo, pans, pans, "mixed3")


# A real network, and photographs that took no part


@pytest.fixture(scope="module")
def ships(photographs):
    folders: dict[str, list[Path]] = {}
    for path in photographs:
        folders.setdefault(path.parent.name, []).append(path)
    if not {"container_ship", "ocean_liner", "control"} <= folders.keys():
        pytest.skip("no photographs of container ships, ocean liners and controls")
    return folders


def test_container_ships_go_and_liners_and_controls_stay(squeezenet, ships):
    """The hardest photograph, recognised by the widest margin, took no part in the search; nor did drawn ships."""
    keep = [*ships["ocean_liner"], *ships["control"]]
    hardest = [path for path in ships["container_ship"] if path.stem == "3"]
    rest = [path for path in ships["container_ship"] if path not in hardest]
    chosen = find_units(squeezenet, rest, "container ship", keep=keep, method=GreedySearch(max_swaps=0), progress=False)
    assert [one.layer for one in chosen] == ["features.12"]
    assert len(chosen[0]) <= 10
    answers = compare_predictions(squeezenet, chosen, ships["container_ship"], "container ship", keep=keep)
    assert not answers.failures, f"\n{answers}"
    assert min(row.margin for row in answers if row.set == "keep") > 1
    drawn = torch.stack([scene("container ship", seed).image for seed in range(8)])
    assert bool((squeezenet.logits(squeezenet.load_batch(drawn)).argmax(1) == chosen.target).all())
    with blinded(squeezenet, *chosen):
        assert not bool((squeezenet.logits(squeezenet.load_batch(drawn)).argmax(1) == chosen.target).any())
