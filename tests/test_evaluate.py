"""Units that are judged: every number of a report against passes one by one, and against other implementations."""

from __future__ import annotations

import contextlib
import json
import math
import re
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from optvis import Classifier, classify, load
from optvis.ablation import Gaussian, Mean, Resampled, blinded, compare_predictions
from optvis.ablation.evaluation.evaluate import evaluate
from optvis.ablation.evaluation.metrics import mean_drop, predict, recall, seeded_generator
from optvis.ablation.evaluation.random_units import random_channels
from optvis.ablation.evaluation.variants import complement, growing_variants
from optvis.ablation.image_sets import LabeledImages, digest_each
from optvis.features.units import Channels, Directions
from optvis.world import LABELS, dataset, scene

from .template_network import CLASSES, logit_drop, responses, template_classifier, templates

SMALL = Channels("relu2", [1, 4, 7])


def random_tensor(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def sets():
    return {"target": (random_tensor(6, 3, 20, 20), [0, 1, 2, 0, 1, 2]), "others": random_tensor(5, 3, 20, 20, seed=1)}


def run_evaluation(net, units, sets, **options):
    return evaluate(net, units, sets, **{"random_sets": 5, "progress": False} | options)


def one_by_one(net, images, off, fill=0.0):
    """Softmax of each image with units off, one image and one pass at a time, (B, classes)."""
    said = []
    with blinded(net, *off, fill=fill), torch.no_grad():
        for image in images:
            net.network.eval()
            said.append(net.network(net.preprocess(image[None]))[0].double().softmax(0))
    return torch.stack(said)


@pytest.mark.parametrize(
    "units",
    [
        (SMALL,),
        (Channels("conv1", [0, 5]),),
        (Channels("relu1", [2, 3]), Channels("relu2", [1, 4, 7])),
        (Directions("relu2", random_tensor(2, 12, seed=5)),),
        (Directions("relu1", random_tensor(8, seed=6)), Channels("flat", [0, 11])),
        (Channels("relu2", [1, 4], within=(0.2, 9.0)),),
    ],
    ids=str,
)
@pytest.mark.parametrize("fill", [0.0, 0.5])
def test_before_after_and_curve_are_those_of_passes_one_by_one(small, sets, units, fill, untouched):
    with untouched(small.network):
        report = run_evaluation(small, units, sets, fill=fill)
    images = torch.cat([sets["target"][0], sets["others"]])
    before, after = one_by_one(small, images, ()), one_by_one(small, images, units, fill)
    truth = torch.cat([torch.tensor([0, 1, 2, 0, 1, 2]), before[6:].argmax(1)])
    for row, answer in enumerate(report.predictions):
        assert answer.truth == small.labels[truth[row]]
        assert answer.before == small.labels[before[row].argmax()]
        assert answer.after == small.labels[after[row].argmax()]
        assert answer.confidence_before == pytest.approx(float(before[row].max()), abs=1e-9)
        assert answer.confidence_after == pytest.approx(float(after[row].max()), abs=1e-9)
    rows = {"target": range(6), "others": range(6, 11)}
    for step, (removed, channels) in enumerate(zip(growing_variants(units), report.curve.counts, strict=True)):
        assert channels == sum(map(len, removed))
        known = {"conv1": 8, "relu1": 8, "relu2": 12, "flat": 12}
        for lines, sure, off in (
            (report.curve.removed, report.curve.removed_confidence, removed),
            (report.curve.kept, report.curve.kept_confidence, complement(removed, known)),
        ):
            said = one_by_one(small, images, off, fill)
            for name, own in rows.items():
                right = np.mean([int(said[row].argmax() == truth[row]) for row in own])
                assert lines[name][step].value == pytest.approx(right, abs=1e-12)
                share = np.mean([float(said[row, truth[row]]) for row in own])
                assert sure[name][step].value == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize("fill", [None, Mean(random_tensor(4, 3, 20, 20, seed=3))], ids=["zero", "mean"])
def test_workers_evaluate_as_one_process(small, sets, monkeypatch, fill):
    def run_elsewhere(function, tasks, engine, *, on_gpu):
        assert (engine, on_gpu, [list(task) for task in tasks][-1]) == ("ray", False, [8, 9, 10])
        yield from reversed([(index, function(task)) for index, task in enumerate(tasks)])

    alone = run_evaluation(small, SMALL, sets, fill=fill)
    monkeypatch.setattr(sys.modules["optvis.ablation.evaluation.evaluate"], "run_tasks", run_elsewhere)
    assert run_evaluation(small, SMALL, sets, fill=fill, engine="ray").json() == alone.json()


@pytest.mark.parametrize("fill", [Gaussian(1.0), Resampled(random_tensor(4, 3, 20, 20, seed=3))], ids=["normal", "own"])
def test_a_fill_that_draws_needs_one_process(small, sets, fill):
    with pytest.raises(ValueError, match="engine must be 'process', not 'ray'"):
        run_evaluation(small, SMALL, sets, fill=fill, engine="ray")


def test_tallies_count_what_the_answers_say(small, sets):
    report = run_evaluation(small, SMALL, sets)
    for tally, key in [(one, "set") for one in report.sets] + [(one, "truth") for one in report.classes]:
        own = [one for one in report.predictions if vars(one)[key] == tally.name]
        assert tally.images == len(own)
        assert tally.before.value == pytest.approx(np.mean([one.before == one.truth for one in own]))
        assert tally.after.value == pytest.approx(np.mean([one.after == one.truth for one in own]))
        assert tally.drop.value == pytest.approx(tally.before.value - tally.after.value)
    assert sum(one.images for one in report.classes) == 11
    assert {one.name for one in report.classes} == {one.truth for one in report.predictions}
    assert report.sets[1].before.value == 1.0  # without labels, what it said before is the truth


def test_collateral_is_what_the_target_does_not_show_the_worst_first(small):
    images = random_tensor(30, 3, 20, 20)
    report = run_evaluation(
        small, SMALL, {"cats": (images[:6], "cat"), "all": (images[6:], [n % 5 for n in range(24)])}
    )
    assert report.target_labels == ("cat",)
    assert {one.name for one in report.collateral} == set(small.labels) - {"cat"}
    assert all(one.drop.value >= two.drop.value for one, two in pairwise(report.collateral))
    assert report.worst == report.collateral[0]
    assert run_evaluation(small, SMALL, {"cats": (images[:6], "cat")}).worst is None


def test_the_states_of_an_answer():
    net = template_classifier()
    own = templates()
    # Template 4k is class k for weight 1; without it, other filters speak.
    report = run_evaluation(net, Channels("relu", [0]), {"own": (own[[0, 4]], [0, 1]), "wrong": (own[[0, 4]], [3, 3])})
    states = [one.state for one in report.predictions]
    assert states[1] == "kept"
    assert states[2:] == ["wrong", "wrong"]
    gained = run_evaluation(net, Channels("relu", [0]), {"after": (own[:1], _after(net, own[:1], [0]))})
    assert gained.predictions[0].state == ("gained" if states[0] == "lost" else "kept")


def _after(net, images, off):
    with torch.no_grad():
        return (net.network(images) - logit_drop(images, off)).argmax(1)


def test_the_template_network_falls_as_its_weights_say():
    """logit_drop knows what each filter adds, so every log-odds of every random set can be computed without a hook."""
    net = template_classifier()
    net.network.double()
    images = templates().double()[::4].lerp(random_tensor(16, 3, 32, 32), 0.2)
    truth = torch.arange(CLASSES)
    report = run_evaluation(net, Channels("relu", [0, 4, 8]), {"all": (images, truth)}, random_sets=20)
    with torch.no_grad():
        before = net.network(images)
    after = before - logit_drop(images, [0, 4, 8])

    def odds(logits):
        share = logits.softmax(1).gather(1, truth[:, None])[:, 0]
        return (share / (1 - share)).log().mean()

    assert report.sets[0].log_odds_drop.value == pytest.approx(float(odds(before) - odds(after)), abs=1e-6)
    norms = responses(images).relu().mean(0)
    units = Channels("relu", [0, 4, 8])
    sets = random_channels(units, norms, 20, seeded_generator(0, f"random units for {units!r}"))
    expected = [float(odds(before) - odds(before - logit_drop(images, one.indices))) for one in sets]
    assert report.baseline.log_odds_drops == pytest.approx(expected, abs=1e-6)
    larger = [fall > float(odds(before) - odds(after)) + 1e-5 for fall in expected]
    ties = [set(one.indices) == {0, 4, 8} for one in sets]
    assert (1 + sum(larger)) / 21 <= report.baseline.p_log_odds <= (1 + sum(larger) + sum(ties)) / 21


def test_random_sets_are_judged_as_passes_one_by_one(small, sets):
    report = run_evaluation(small, SMALL, sets, random_sets=12, seed=3)
    images, truth = sets["target"][0], torch.tensor(sets["target"][1])
    every = torch.cat([images, sets["others"]])
    with torch.no_grad():
        a = nn.Sequential(*list(small.network.eval().children())[: _place(small, "relu2")])(small.preprocess(every))
    norms = torch.tensor([[float(c.norm()) for c in one] for one in a]).mean(0)
    random = random_channels(SMALL, norms, 12, seeded_generator(3, f"random units for {SMALL!r}"))
    before = one_by_one(small, images, ()).argmax(1) == truth
    for fall, units in zip(report.baseline.drops, random, strict=True):
        after = one_by_one(small, images, (units,)).argmax(1) == truth
        assert fall == pytest.approx(float(before.double().mean() - after.double().mean()))
    assert report.baseline.distinct == len({frozenset(units.indices) for units in random})
    ratio = np.mean([[float(norms[c]) for c in units.indices] for units in random]) / norms[[1, 4, 7]].mean()
    assert report.baseline.strength["relu2"] == pytest.approx(float(ratio), rel=1e-5)


def _place(small, layer):
    return [name for name, _ in small.network.named_children()].index(layer) + 1


def test_a_bare_network_takes_a_normalisation():
    net = load("demo")
    images, labels = dataset(16, seed=3)
    sets = {"world": (torch.nn.functional.interpolate(images, 224), labels)}
    with pytest.raises(ValueError, match="does not say how its input is normalised"):
        run_evaluation(net.network, Channels("mixed5", [1]), sets)
    report = run_evaluation(net.network, Channels("mixed5", [1]), sets, normalize=net.normalize, random_sets=2)
    known = Classifier(net.network, net.normalize, 224)
    again = run_evaluation(known, Channels("mixed5", [1]), sets, random_sets=2)
    assert report.recipe["normalize"] == repr(net.normalize)
    assert report.baseline == again.baseline
    assert report.sets == again.sets


# Random units


def test_several_layers_get_random_units_of_their_own(small, sets):
    report = run_evaluation(small, (Channels("relu1", [0, 1]), Channels("relu2", [2])), sets, random_sets=30)
    assert set(report.baseline.strength) == {"relu1", "relu2"}
    assert report.curve.counts == (0, 2, 3)
    assert report.baseline.distinct > 10


# Statistics


def test_verdicts_against_a_loop():
    logits, truth = random_tensor(4, 6, 5) * 8, torch.tensor([0, 1, 2, 3, 4, 0])
    said = predict(logits, truth)
    for k in range(4):
        for b in range(6):
            shares = np.exp(logits[k, b].numpy()) / np.exp(logits[k, b].numpy()).sum()
            own = shares[truth[b]]
            assert int(said.classes[k, b]) == shares.argmax()
            assert float(said.top_confidence[k, b]) == pytest.approx(shares.max())
            assert float(said.confidence[k, b]) == pytest.approx(own)
            assert float(said.log_odds[k, b]) == pytest.approx(math.log(own / (1 - own)))
            assert bool(said.is_right[k, b]) == (shares.argmax() == truth[b])
    assert recall(said.is_right).tolist() == said.is_right.numpy().mean(1).tolist()
    torch.testing.assert_close(
        mean_drop(said.log_odds[0], said.log_odds), said.log_odds[0].mean() - said.log_odds.mean(1)
    )


def test_log_odds_do_not_saturate():
    said = predict(torch.tensor([[100.0, 0.0], [200.0, 0.0]]), torch.tensor([0, 0]))
    assert said.log_odds.tolist() == [100, 200]


# Steps


def test_steps_take_units_in_their_order_and_layers_together():
    units = Channels("a", [9, 3, 5, 1]), Channels("b", [7, 2])
    found = growing_variants(units)
    assert [tuple(one.indices for one in step) for step in found] == [
        ((), ()),
        ((9,), (7,)),
        ((9, 3), (7,)),
        ((9, 3, 5), (7, 2)),
        ((9, 3, 5, 1), (7, 2)),
    ]
    many = growing_variants((Channels("a", range(500)),))
    assert len(many) == 33
    assert [len(many[0][0]), len(many[-1][0])] == [0, 500]


def test_what_is_kept_alone_is_the_complement():
    a = random_tensor(3, 12, 4, 4)
    for units in (SMALL, Directions("relu2", random_tensor(3, 12, seed=7))):
        (rest,) = complement((units,), {"relu2": 12})
        torch.testing.assert_close(rest.replace(a) + units.replace(a), a)
        (nothing,) = complement((rest,), {"relu2": 12})
        torch.testing.assert_close(nothing.replace(a), units.replace(a))
    (every,) = complement((Channels("relu2", []),), {"relu2": 12})
    assert not every.replace(a).any()
    (none,) = complement((Directions("relu2", torch.eye(12)),), {"relu2": 12})
    assert torch.equal(none.replace(a), a)


# Images that found the units


def test_images_that_found_the_units_and_judge_them_are_told(small, sets, tmp_path):
    images = sets["target"][0]
    assert run_evaluation(small, SMALL, sets).recipe["overlap"] is None
    fresh = run_evaluation(small, SMALL, sets, found_on=random_tensor(4, 3, 20, 20, seed=9))
    assert fresh.recipe["overlap"] == {"target": 0, "others": 0}
    assert not any("selected on" in warning for warning in fresh.warnings)
    expected = "the units were selected on 2 of 6 images of 'target'"
    # As a tensor, in a mapping, with labels; also after rounding to 8 bits, as a PNG does.
    rounded = (images[1:3] * 255).round() / 255
    for given in (images[1:3], {"a": images[1:2], "b": (images[2:3], [0])}, LabeledImages(rounded, 0), [*images[1:3]]):
        report = run_evaluation(small, SMALL, sets, found_on=given)
        assert report.recipe["overlap"] == {"target": 2, "others": 0}
        assert expected in report.warnings
        for text in (str(report), report.html(), report.json()):
            assert "2 of 6 images of" in text


def test_what_was_found_tells_its_images_by_its_recipe(small, sets):
    found = WithRecipe([SMALL])
    found.recipe = {"digests": digest_each(sets["others"][:3])}
    assert run_evaluation(small, found, sets).recipe["overlap"] == {"target": 0, "others": 3}
    assert run_evaluation(small, SMALL, sets, found_on=found).recipe["overlap"] == {"target": 0, "others": 3}
    found.recipe = {}
    assert run_evaluation(small, found, sets).recipe["overlap"] is None


class WithRecipe(list):
    """Units with a recipe, as a search gives them."""

    recipe: dict


# Sets


def test_sets_are_folders_lists_and_tensors(small, tmp_path):
    for place, name in enumerate(("b.png", "a.jpg", ".hidden.png", "notes.txt")):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no image", encoding="utf-8")
        else:
            Image.new("RGB", (20, 20), (60 * place, 90, 200)).save(tmp_path / name)
    files = [tmp_path / "b.png", tmp_path / "a.jpg"]
    report = run_evaluation(
        small,
        SMALL,
        {
            "folder": tmp_path,
            "text": (str(tmp_path), ["cat", "tench"]),
            "list": LabeledImages(files, torch.tensor([1, 0])),
            "file": files[0],
            "pictures": [Image.open(files[0]), random_tensor(3, 20, 20)],
            "none": [],
        },
    )
    names = [one.image for one in report.predictions if one.set in ("folder", "list", "file")]
    assert names == [f"{tmp_path.name}/{name}" for name in ("a.jpg", "b.png", "b.png", "a.jpg", "b.png")]
    assert [one.truth for one in report.predictions if one.set == "text"] == [small.labels[0], small.labels[4]]
    assert [one.truth for one in report.predictions if one.set == "list"] == [small.labels[1], small.labels[0]]
    assert [one.image for one in report.predictions if one.set == "pictures"] == ["image 0", "image 1"]
    assert [one.images for one in report.sets] == [2, 2, 2, 1, 2, 0]
    assert report.sets[-1].after.value is None
    assert "the set 'none' is empty" in report.warnings
    few = "2 images of 'list', 1 image of 'file' and 2 images of 'pictures': too few for an interval of confidence and "
    assert any(f"{few}log-odds; give 10 or more of each" in warning for warning in report.warnings)
    assert report.sets[0].log_odds_drop.low is None
    assert report.sets[0].after.low < report.sets[0].after.high


BAD = [
    ({}, "image_sets is empty"),
    ([torch.rand(1, 3, 20, 20)], "image_sets is a list"),
    ({3: torch.rand(1, 3, 20, 20)}, "a set has the name 3"),
    ({"a": 7}, "an image is a path"),
    ({"a": (torch.rand(2, 3, 20, 20),) * 3}, "a tuple of 3; expected (images, labels)"),
    ({"a": (torch.rand(2, 3, 20, 20), [1, 2, 3])}, "labels of set 'a': 3 classes for 2 images"),
    ({"a": (torch.rand(2, 3, 20, 20), "dgo")}, "no label 'dgo'; nearest: 'dog'"),
    ({"a": (torch.rand(2, 3, 20, 20), 5)}, "set 'a' has label 5; the network has classes 0..4"),
    ({"a": (torch.rand(2, 3, 20, 20), 0.5)}, "labels of set 'a'"),
    ({"a": []}, "the target set 'a' is empty"),
    ({"a": torch.full((1, 3, 20, 20), 7.0)}, "expected [0, 1]"),
]


@pytest.mark.parametrize(("sets", "message"), BAD)
def test_sets_that_do_not_fit_are_refused(small, sets, message, untouched):
    with (
        untouched(small.network),
        pytest.raises((ValueError, TypeError, KeyError, IndexError), match=re.escape(message)),
    ):
        run_evaluation(small, SMALL, sets)


def test_a_folder_without_images_is_refused(small, tmp_path):
    with pytest.raises(ValueError, match="no images in the folder"):
        run_evaluation(small, SMALL, {"a": tmp_path})
    with pytest.raises(FileNotFoundError):
        run_evaluation(small, SMALL, {"a": Path("nowhere.jpg")})


OTHERS = [
    ({"random_sets": 0}, "random_sets is 0; expected 1"),
    ({"target": "targte"}, "no set 'targte'; nearest: 'target'"),
    ({"units": Channels("relu3", 1)}, "no layer 'relu3'; nearest: "),
    ({"units": Channels("relu2", 12)}, "channel 12 of 'relu2', which has 0..11"),
    ({"units": Directions("relu2", torch.ones(3))}, "directions of 3 numbers"),
    ({"units": [SMALL, Channels("relu2", 0)]}, "2 units for layer 'relu2'; join them"),
    ({"units": []}, "no units"),
    ({"units": Channels("relu2", [])}, "no units"),
    ({"units": "relu2"}, "expected Channels"),
    ({"fill": math.nan}, "fill is nan"),
]


@pytest.mark.parametrize(("options", "message"), OTHERS)
def test_other_bad_input_is_refused(small, sets, options, message, untouched):
    given = {"units": SMALL} | options
    with (
        untouched(small.network),
        pytest.raises((ValueError, TypeError, KeyError, IndexError), match=re.escape(message)),
    ):
        run_evaluation(small, given.pop("units"), sets, **given)


def test_networks_without_a_score_per_class_are_refused():
    net = Classifier(nn.Conv2d(3, 4, 3), None, 8)
    with pytest.raises(ValueError, match="expected a score for each class"):
        run_evaluation(net, Channels("", 1), {"a": torch.rand(2, 3, 8, 8)})


class Shared(nn.Module):
    """One ReLU in a block and after it: from cached activations its calls cannot be told apart."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), self.relu)
        self.last = nn.Conv2d(4, 4, 3)

    def forward(self, x):
        return self.relu(self.last(self.block(x))).mean((2, 3))


def test_answers_are_those_of_the_whole_network_or_none():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Classifier(Shared(), None, 8)
    images, off = torch.rand(6, 3, 8, 8), Channels("relu#1", [0, 2])
    with blinded(net, off):
        shares = classify(net, images, top=1).confidences[:, 0].double()
    with contextlib.suppress(ValueError):
        report = run_evaluation(net, off, {"a": images})
        assert report.curve.removed["a"][-1] == report.target_metrics.after
        assert [one.confidence_after for one in report.predictions] == pytest.approx(shares.tolist(), abs=1e-6)


class Fickle(nn.Module):
    """Answers otherwise each time."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3)) + torch.rand(1)


def test_a_network_that_answers_otherwise_each_time_is_refused():
    says = pytest.raises(ValueError, match="from cached activations of 'conv' the network gives other scores")
    with says, pytest.warns(UserWarning, match="Fickle draws random numbers in eval mode"):
        run_evaluation(Classifier(Fickle(), None, 8), Channels("conv", 1), {"a": torch.rand(2, 3, 8, 8)})


# Chance, memory, interruption


def test_the_same_seed_gives_the_same_report(small, sets):
    first = run_evaluation(small, SMALL, sets, seed=4)
    torch.rand(7)
    assert run_evaluation(small, SMALL, sets, seed=4).json() == first.json()
    assert run_evaluation(small, SMALL, sets, seed=5).baseline.log_odds_drops != first.baseline.log_odds_drops


def test_a_set_is_judged_the_same_beside_others(small, sets):
    images = sets["target"]
    alone, beside = run_evaluation(small, SMALL, {"target": images}), run_evaluation(small, SMALL, sets)
    assert alone.sets[0] == beside.sets[0]


@pytest.mark.parametrize("fill", [0.3, torch.linspace(0, 1, 12), {"relu2": 0.2}], ids=str)
def test_fills_stand_for_random_units_as_well(small, sets, fill):
    report = run_evaluation(small, SMALL, sets, fill=fill)
    with blinded(small, SMALL, fill=fill):
        shares = classify(small, sets["others"], top=1).confidences[:, 0]
    own = [one.confidence_after for one in report.predictions if one.set == "others"]
    assert own == pytest.approx(shares.tolist(), abs=1e-6)
    assert report.curve.removed["target"][-1] == report.target_metrics.after


def test_measured_fills_are_measured_once(small, sets):
    mean = Mean(sets["others"])
    report = run_evaluation(small, SMALL, sets, fill=mean)
    (step,) = [report.curve.removed["target"][-1]]
    assert step == report.target_metrics.after
    noisy = run_evaluation(small, SMALL, sets, fill=Gaussian(0.5, seed=2))
    assert noisy.json() == run_evaluation(small, SMALL, sets, fill=Gaussian(0.5, seed=2)).json()


@pytest.mark.parametrize("at", [1, 3, 10, 20])  # the 8th is an attempt to run the tail alone, which may fail
def test_an_interrupt_or_an_error_goes_through_and_leaves_nothing(small, sets, at, untouched, monkeypatch):
    monkeypatch.setattr("optvis.models.tail.ACTIVATIONS_PER_PASS", 12 * 25)
    for error in (KeyboardInterrupt(), RuntimeError("blown")):
        small.network.fuse.arm(error, at=at)
        with untouched(small.network), pytest.raises(type(error)):
            run_evaluation(small, Channels("relu1", [0, 3]), sets, random_sets=30)


def test_few_numbers_go_through_the_tail_at_once(small, sets, monkeypatch):
    whole = run_evaluation(small, SMALL, sets, random_sets=20).json()
    monkeypatch.setattr("optvis.models.tail.ACTIVATIONS_PER_PASS", 12 * 25)
    told = run_evaluation(small, SMALL, sets, random_sets=20).json()
    assert _near(told, whole)


def _near(one, two):
    def flat(value):
        if isinstance(value, dict):
            return [leaf for inner in value.values() for leaf in flat(inner)]
        return [leaf for inner in value for leaf in flat(inner)] if isinstance(value, list) else [value]

    pairs = zip(flat(json.loads(one)), flat(json.loads(two)), strict=True)
    return all(a == (pytest.approx(b, abs=1e-9) if isinstance(b, float) else b) for a, b in pairs)


# The embedded network


def test_the_head_of_the_embedded_network_is_exact():
    """mixed5, mean, linear: without all that feeds a class, only its bias speaks; random sets do not do that."""
    net = load("demo")
    ships = torch.stack([scene("container ship", seed=seed).image for seed in range(300, 306)])
    images, labels = dataset(32, seed=9)
    weights = net.network.head.weight.detach()[0]
    units = Channels("mixed5", weights.argsort(descending=True)[:24])
    report = run_evaluation(net, units, {"ships": (ships, "container ship"), "world": (images, labels)}, random_sets=40)
    assert report.target_labels == (LABELS[0],)
    assert report.target_metrics.before.value == 1
    assert report.target_metrics.after.value == 0
    assert report.baseline.p_drop == (1 + sum(drop == 1 for drop in report.baseline.drops)) / 41
    assert report.baseline.p_log_odds == 1 / 41
    assert len(report.collateral) == 15
    others = [one for one in report.predictions if one.truth != LABELS[0]]
    assert np.mean([one.state == "kept" for one in others]) > 0.8
    assert report.curve.kept["ships"][0].value in (0, 1)  # nothing but biases: one class for all
    assert report.curve.kept["ships"][-1].value == 1


def test_a_target_set_without_labels_that_is_called_by_several_says_so():
    torch.manual_seed(0)
    images = random_tensor(12, 3, 8, 8)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).to(images.dtype)
    with torch.no_grad():
        network[-1].bias -= network(images).mean(0)
    small, units = Classifier(network, None, 8, labels=("cat", "dog")), Channels("0", [1])
    called = small.logits(images).argmax(1)
    one, other = called.unique().tolist()
    mixed = torch.cat([images[called == one][:2], images[called == other][:1]])
    report = run_evaluation(small, units, {"ships": mixed})
    label = small.label(one)
    assert any(
        f"{label!r} for 2 of 3; to count one class, give (images, {label!r})" in text for text in report.warnings
    )
    for sets in ({"ships": (mixed, [one, one, other])}, {"ships": images[called == one]}):
        assert not any("have no labels" in text for text in run_evaluation(small, units, sets).warnings)


def test_units_whose_ablation_changes_nothing_are_named_as_such(small, sets):
    said = "switching these units off changes no score of any image"
    activations_are_below = Channels("relu2", [1, 4], within=(1e6, 2e6))
    silent = run_evaluation(small, activations_are_below, sets)
    assert any(said in warning for warning in silent.warnings)
    assert not any(said in warning for warning in run_evaluation(small, SMALL, sets).warnings)


def test_classes_of_one_label_are_told_apart():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
    with torch.no_grad():
        network[2].weight.copy_(torch.tensor([[1.0, 9, 0], [2, 0, 0], [0, 0, 9]]))
    net = Classifier(nn.Sequential(nn.Identity(), network), None, 8, labels=["crane", "crane", "dog"])
    red, blue = (torch.tensor(color).view(1, 3, 1, 1).expand(4, 3, 8, 8) for color in ([1.0, 0.2, 0], [0.0, 0, 1]))
    report = evaluate(net, Channels("0", [1]), {"cranes": (red, 0), "dogs": (blue, 2)}, random_sets=3, progress=False)
    assert "The right label is lost by 4 of 8 images" in str(report)
    rows = compare_predictions(net, [Channels("0", [1])], red, 0, keep=blue)
    assert [row.state for row in rows] == ["lost"] * 4 + ["kept"] * 4
    assert rows[0].after == "crane (class 1)"
