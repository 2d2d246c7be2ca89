"""The default selection: as many units as it takes on images left out, and in words where the goal is not reached."""

from __future__ import annotations

import json

import pytest
import torch
from scipy import stats
from torch import nn

from optvis import Channels, Classifier, blinded, evaluate, find_units
from optvis.ablation import Attempt, Automatic, GreedySearch, UnitSelection
from optvis.ablation.image_sets import digest_each
from optvis.ablation.selection.attempt import count_errors, describe_goal, predict_kept
from optvis.ablation.selection.automatic import _check_on_all, _Trial
from optvis.ablation.selection.held_out import predict_bound, split_task
from optvis.ablation.selection.task import build_task
from optvis.cli.main import main
from optvis.models.borrow import borrow
from optvis.world import dataset

WIDTH = 40
NAN, INF = float("nan"), float("inf")


class Spread(nn.Module):
    """Each class is carried by channels of its own, with equal weights; colours tell the classes."""

    def __init__(self, carriers: int) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(3, WIDTH, 1), nn.ReLU(), nn.Linear(WIDTH, 3)
        generator = torch.Generator().manual_seed(0)
        strength = 1 + 0.2 * torch.rand(WIDTH, generator=generator)
        self.conv.weight.data.zero_()
        self.conv.bias.data.zero_()
        self.head.weight.data.zero_()
        self.head.bias.data = torch.tensor([0.0, 0.1, 0.0])
        for channel in range(3 * carriers):
            self.conv.weight.data[channel, channel % 3] = strength[channel]
            self.head.weight.data[channel % 3, channel] = 1.0

    def forward(self, x):
        return self.head(self.relu(self.conv(x)).mean((2, 3)))


def colors(channel: int, count: int, seed: int) -> torch.Tensor:
    """Images in which one colour is the strongest."""
    images = 0.3 * torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    images[:, channel] += 0.5
    return images


def select(carriers: int, images: int = 4, **options) -> UnitSelection:
    net = Classifier(Spread(carriers), None, 6, labels=("red", "green", "blue"))
    keep = torch.cat([colors(1, 4, 1), colors(2, 4, 2)])
    return find_units(net, colors(0, images, 0), "red", keep=keep, layers=["relu"], progress=False, **options)


@pytest.mark.parametrize("carriers", [1, 3, 10])
def test_as_many_channels_are_taken_as_the_class_needs(carriers):
    found = select(carriers, max_units=0.5)
    assert found.reached
    assert found.attempts[-1].held_out
    assert set(found[0].indices) <= set(range(0, 3 * carriers, 3))
    net = Classifier(Spread(carriers), None, 6)
    with blinded(net, *found):
        assert not bool((net.logits(colors(0, 20, 9)).argmax(1) == 0).any())
        assert bool((net.logits(colors(1, 20, 9)).argmax(1) == 1).all())


def test_directions_are_taken_where_the_share_of_channels_does_not_suffice():
    found = select(10, max_units=2)
    assert found.recipe["units"][0]["kind"] == "directions"
    assert found.reached
    assert all("channel" in one.units and one.target_kept == 4 for one in found.attempts[:-1])
    assert "direction" in found.attempts[-1].units


def test_a_goal_that_is_not_reached_is_said_wherever_the_selection_is_read(tmp_path):
    found = select(10, method=Automatic(max_units=1, dimensions=()))
    assert not found.reached
    for text in (str(found), repr(found), found.table(), found._repr_html_()):
        assert "! goal not reached: without 1 channel, of images that took no part in choosing, " in text
        assert "4 of 4 keep the label" in text
    assert "tried before: without 1 channel" in str(found)
    recipe = json.loads(json.dumps(found.recipe))
    assert recipe["reached"] is False
    assert recipe["attempts"][-1]["target_kept"] == 4
    loaded = UnitSelection.load(found.save(tmp_path / "found.png"))
    assert (loaded.reached, loaded.attempts) == (False, found.attempts)
    net = Classifier(Spread(10), None, 6)
    report = evaluate(net, found, {"own": (colors(0, 3, 5), 0)}, random_sets=3, progress=False)
    assert report.warnings[0].startswith("the selection: goal not reached: without 1 channel")
    assert "goal not reached" in report.html()
    reached = evaluate(net, select(1), {"own": (colors(0, 3, 5), 0)}, random_sets=3, progress=False)
    assert not any("goal" in warning for warning in reached.warnings)


@pytest.mark.parametrize("method", ["auto", "greedy", "contrast", "top_norm", "most_frequent", "subspace"])
def test_every_method_says_whether_the_goal_was_reached(method):
    found = select(1, method=method)
    (*_, attempt) = found.attempts
    assert (attempt.target_images, attempt.other_images) == (4, 8)
    assert attempt.held_out == (method == "auto")
    net = Classifier(Spread(1), None, 6)
    with blinded(net, *found):
        kept = int((net.logits(colors(0, 4, 0)).argmax(1) == 0).sum())
    assert method == "auto" or attempt.target_kept == kept
    assert found.reached == attempt.reached


def test_labels_to_keep_are_a_constraint():
    """Without the shared channel the target is gone at once, but another class as well; the search goes round it."""
    net = Spread(4)
    net.conv.weight.data[30, 0], net.head.weight.data[0, 30] = 3.0, 2.0  # the target leans on it most
    net.conv.weight.data[30, 1], net.head.weight.data[1, 30] = 3.0, 3.0  # and green falls without it
    net.head.weight.data[1, 1:12:3] = 0.0
    classifier = Classifier(net, None, 6)
    own, keep = colors(0, 4, 0), colors(1, 4, 1)
    before = classifier.logits(torch.cat([own, keep])).argmax(1)
    kept = torch.cat([own, keep])[before == 1]
    found = find_units(
        classifier, torch.cat([own, keep])[before == 0], 0, keep=kept, layers=["relu"], method="greedy", progress=False
    )
    with blinded(classifier, *found):
        assert bool((classifier.logits(kept).argmax(1) == 1).all())
    assert found.attempts[-1].others_lost == 0


def test_each_image_is_left_out_once_and_classes_are_spread():
    net = Classifier(Spread(2), None, 6)
    task = build_task(net, colors(0, 7, 0), 0, torch.cat([colors(1, 3, 1), colors(2, 5, 2)]), ["relu"])
    splits = split_task(task)
    assert len(splits) == 3
    assert sum(len(one.left_out.images) for one in splits) == 15
    for one in splits:
        assert len(one.chosen_on.images) + len(one.left_out.images) == 15
        assert not set(digest_each(one.chosen_on.images)) & set(digest_each(one.left_out.images))
        assert set(one.left_out.predicted.tolist()) == {0, 1, 2}
    (single,) = split_task(task.subset(torch.tensor([0, 7, 8])))
    assert not single.is_held_out


def test_errors_are_counted_by_hand():
    net = Classifier(Spread(2), None, 6)
    task = build_task(net, colors(0, 3, 0), 0, colors(1, 2, 1), ["relu"])
    before = net.logits(task.images)
    after = torch.tensor([[2.0, 1, 0], [0.0, 0.5, 0], [0, 3, 0], [0, 1, 0], [1, 0, 0]])
    assert count_errors(task, before, after).tolist() == [1, 1]
    assert count_errors(task, before, after, slack=1.0).tolist() == [2, 1]
    assert count_errors(task, before, before).tolist() == [3, 0]


def test_the_goal_in_words():
    good, bad = Attempt("2 channels", True, 4, 0, 8, 0), Attempt("1 channel", True, 4, 3, 8, 1)
    assert describe_goal([]) == ""
    assert describe_goal([bad, good]).startswith("goal reached: without 2 channels")
    text = describe_goal([good, bad])
    assert "3 of 4 keep the label, 1 of 8 others lose theirs; tried before: without 2 channels" in text


@pytest.mark.parametrize("method", ["auto", "greedy", "contrast", "top_norm"])
@pytest.mark.parametrize("max_units", [2.5, NAN, INF])
def test_a_number_of_units_that_is_no_count_is_refused_by_every_method(method, max_units):
    with pytest.raises(ValueError, match="max_units is"):
        select(1, method=method, max_units=max_units)
    assert len(select(1, method="contrast", max_units=2.0)[0]) == 2


def test_units_that_fail_on_the_images_themselves_have_not_reached_the_goal():
    net = Classifier(Spread(2), None, 6)
    task = build_task(net, colors(0, 4, 0), 0, colors(1, 4, 1), ["relu"])
    good = Attempt("1 channel", True, 4, 0, 4, 0)
    with borrow(net.network):
        kept = _check_on_all(task, _Trial(good, lambda: (Channels("relu", [30]),)))
        assert (kept.attempt.reached, kept.attempt.held_out, kept.attempt.target_kept) == (False, False, 4)
        assert kept.select()[0].indices == (30,)
        assert _check_on_all(task, _Trial(good, lambda: (Channels("relu", [0, 3]),))).attempt is good


@pytest.mark.parametrize(
    "bad",
    [
        {"max_units": 0},
        {"max_units": 2.5},
        {"max_units": -1},
        {"max_units": NAN},
        {"max_units": INF},
        {"slack": -1},
        {"confidence": 1.0},
    ],
)
def test_settings_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="expected max_units"):
        Automatic(**bad)


def test_the_command_exits_with_3_where_the_goal_is_not_reached(tmp_path, capsys):
    from torchvision.transforms.functional import to_pil_image

    images, labels = dataset(16, seed=41)
    for name, index in (("ships", 0), ("others", 1)):
        (tmp_path / name).mkdir()
        for place, image in enumerate(images[labels == index]):
            to_pil_image(image).save(tmp_path / name / f"{place}.png")
    options = ["--images", str(tmp_path / "ships"), "--class", "0", "--keep", str(tmp_path / "others")]
    quick = [*options, "--random", "2", "--method", "greedy", "--out", str(tmp_path / "out")]
    assert main(["blind", "demo", *quick, "--max-units", "1"]) == 3
    assert "! goal not reached: without 1 channel of mixed5" in capsys.readouterr().out
    assert main(["blind", "demo", *quick, "--max-units", "20"]) == 0


def test_it_goes_where_a_fixed_number_of_channels_does_not():
    found = select(10, method=GreedySearch(max_units=4))
    assert not found.reached
    assert select(10, max_units=0.5).reached


def test_fewer_images_leave_more_to_spare():
    """Past the goal more channels are taken where images are few, as long as none of the others loses its label."""
    bare, spare = (
        len(select(10, 2, method=Automatic(max_units=0.5, confidence=one, dimensions=()))[0]) for one in (0.5, 0.95)
    )
    assert bare < spare
    net, found = Classifier(Spread(10), None, 6), select(10, 2, method=Automatic(max_units=0.5))
    assert found.reached
    with blinded(net, *found):
        assert bool((net.logits(colors(2, 20, 9)).argmax(1) == 2).all())


@pytest.mark.parametrize("images", [3, 6, 20])
def test_the_next_number_stays_below_the_bound_as_often_as_it_says(images):
    drawn = torch.randn(40_000, images + 1, generator=torch.Generator().manual_seed(1))
    known, following = drawn[:, :-1], drawn[:, -1]
    bound = known.mean(1) + predict_bound(images, 0.95) * known.std(1)
    assert float((following < bound).float().mean()) == pytest.approx(0.95, abs=0.005)


def test_the_chance_that_the_next_lead_exceeds_its_own_value_is_uniform():
    """What a prediction of normal leads has to give, whatever their mean and spread."""
    draws = torch.randn(2_000, 5, generator=torch.Generator().manual_seed(5), dtype=torch.double) * 2 - 1.5
    chances = [predict_kept((row[:4] - row[4]).tolist(), 1e-9) for row in draws]
    assert stats.kstest(chances, "uniform").pvalue > 0.01
    assert stats.kstest([stats.norm.sf(stats.norm.isf(chance) * 1.15) for chance in chances], "uniform").pvalue < 0.01


def test_the_chance_falls_with_the_lead_and_with_the_number_of_images():
    chances = [predict_kept([lead, lead + 1], 1.0) for lead in (1.0, -0.5, -2.0, -8.0)]
    assert chances == sorted(chances, reverse=True)
    assert chances[1] == pytest.approx(0.5)  # a mean of zero
    assert predict_kept([-3.0] * 10, 1.0) < predict_kept([-3.0] * 3, 1.0)
    assert predict_kept([-3.0, -3.1], 1.0) > predict_kept([-3.0, -3.1], 0.1)  # few images may be near by chance
    assert predict_kept([-3.0], 1.0) is None


def test_what_is_said_of_units_that_fail_is_said_of_those_that_are_returned(demo):
    images, labels = dataset(64, seed=4)
    own, others = images[labels == 3], images[labels != 3]
    found = find_units(demo, own, 3, keep=others, layers=["mixed4", "mixed5"], max_units=5, progress=False)
    taken = found.attempts[-1]
    assert not found.reached
    assert taken.units == ", ".join(f"{len(one)} channels of {one.layer}" for one in found)
    with blinded(demo, *found):
        kept = int((demo.logits(own).argmax(1) == 3).sum())
    assert (taken.held_out, taken.target_kept) == (False, kept)
    assert any(attempt.held_out for attempt in found.attempts[:-1])


def test_the_time_of_all_attempts_is_said_once(monkeypatch, capsys):
    monkeypatch.setattr("optvis.progress.LONG", 1e-9)
    net = Classifier(Spread(10), None, 6)
    missed = find_units(net, colors(0, 4, 0), 0, keep=colors(1, 4, 1), layers=["relu"], max_units=2)
    assert len(missed.attempts) > 3
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("find_units")]
    assert len(lines) == 1
    assert lines[0].startswith("find_units: 6 channels at most, 2 in each of 3 attempts, of about ")
