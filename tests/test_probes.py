"""What is left of a class inside a network: probes, similarity and relearning, against their definitions."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from optvis import Channels, Classifier, blinded, evaluate, find_units
from optvis.ablation import Probes, Report
from optvis.ablation.evaluation.readout import balanced_accuracy, folds, linear_cka, probe_linearly, probe_neighbors
from optvis.ablation.selection.layers import stages_from

QUIET = {"random_sets": 2, "progress": False}


def blobs(count: int, distance: float, seed: int = 0, features: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(count, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    is_target = torch.arange(count) % 4 == 0
    x[is_target, 0] += distance
    return x, is_target


@pytest.mark.parametrize("probe", [probe_linearly, lambda x, z: probe_neighbors(x, z, 5)], ids=["linear", "neighbors"])
def test_probes_read_what_is_there_and_are_at_chance_where_nothing_is(probe):
    far, is_target = blobs(1200, 6.0)
    near, _ = blobs(1200, 0.0)
    assert probe(far, is_target) > 0.98
    assert abs(probe(near, is_target) - 0.5) < 0.06
    assert probe(100 * far - 3, is_target) == pytest.approx(probe(far, is_target), abs=1e-9)
    assert probe(torch.zeros_like(far), is_target) == 0.5


@pytest.mark.parametrize("rows", [3, 11, 13])
def test_features_that_are_the_same_in_all_rows_have_no_similarity(rows):
    """The mean of equal numbers may differ from them by a rounding error."""
    same = torch.linspace(0.1, 0.7, 4, dtype=torch.float64).sqrt().repeat(rows, 1)
    assert linear_cka(same, blobs(rows, 0.0)[0]) is None


def test_neighbours_read_what_is_no_linear_function():
    x, _ = blobs(400, 0.0, features=2)
    ring = x.norm(dim=1) > 1.2
    assert probe_neighbors(x, ring, 5) > 0.9
    assert probe_linearly(x, ring) < 0.6


def test_a_linear_probe_is_the_optimal_one_for_normal_features():
    x, is_target = blobs(8000, 1.0)
    optimum = 0.5 * (1 + torch.erf(torch.tensor(0.5 / 2**0.5)).item())  # Φ(d / 2)
    assert probe_linearly(x, is_target) == pytest.approx(optimum, abs=0.015)


def test_halves_and_accuracy_by_hand():
    is_target = torch.tensor([True, False, False, True, False, False])
    for shows in (is_target, torch.arange(70) % 3 == 0):
        fold = folds(shows)
        for group in (shows, ~shows):
            assert abs(int(2 * fold[group].sum()) - int(group.sum())) <= 1
    assert len(set(fold[torch.arange(70) % 6 == 1].tolist())) == 2  # whatever the order of the rows repeats
    assert balanced_accuracy(torch.tensor([True, True, False, False, False, False]), is_target) == (0.5 + 0.75) / 2


def test_cka_is_invariant_to_rotation_and_scale_and_falls_with_noise():
    x, _ = blobs(200, 0.0)
    turned = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    assert linear_cka(x, 3 * x @ turned + 1) == pytest.approx(1)
    a, b = x - x.mean(0), blobs(200, 0.0, seed=7)[0]
    kernel, other = a @ a.T, (b - b.mean(0)) @ (b - b.mean(0)).T
    by_kernels = (kernel * other).sum() / (kernel.norm() * other.norm())  # Kornblith et al. 2019, equation 3
    assert linear_cka(x, b) == pytest.approx(float(by_kernels))
    assert linear_cka(x, b) < 0.1
    assert linear_cka(x, torch.ones(200, 2)) is None


@pytest.fixture(scope="module")
def net() -> Classifier:
    """Red, green and blue are told by three channels; the other channels are copies of red behind a second layer."""
    network = nn.Sequential(
        nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    network.append(nn.Linear(6, 3))
    for layer in (network[0], network[2], network[6]):
        layer.weight.data.zero_()
        layer.bias.data.zero_()
    network[0].weight.data[:3, :, 0, 0] = torch.eye(3)
    network[0].weight.data[3, 0, 0, 0] = 1.0  # red once more, which the head does not use
    network[2].weight.data[:, :, 0, 0] = 2 * torch.eye(6)
    network[6].weight.data[:, :3] = 5 * torch.eye(3)
    return Classifier(network.eval(), None, 4, labels=("red", "green", "blue"))


def colors(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = 0.5 * torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(count) % 3
    images[torch.arange(count), labels] += 0.3
    return images, labels


def sets(count: int = 48) -> dict:
    images, labels = colors(count, 3)
    return {"reds": (images[labels == 0], 0), "others": (images[labels != 0], labels[labels != 0].tolist())}


def test_stages_are_the_layer_and_what_follows(net):
    assert stages_from(net, ["1"]) == ("1", "2", "4", "6")  # what returns the same as another one is left out
    assert stages_from(net, ["3"]) == ("3", "4", "6")
    assert stages_from(
        Classifier(nn.Sequential(nn.Sequential(*net.network[:2]), *net.network[2:]), None, 4), ["0.1"]
    ) == (*("0.1", "1", "3", "5"),)


def test_a_class_that_the_output_forgot_is_still_read_inside(net, tmp_path):
    report = evaluate(net, Channels("1", [0]), sets(), probes=Probes(relearn_steps=0), **QUIET)
    assert report.target_metrics.after.value == 0
    first, *_, last = report.probes
    assert (first.layer, last.layer) == ("1", "6")
    assert first.linear_before > 0.95
    assert first.linear_after > 0.95  # channel 3 still tells red
    assert report.relearning is None
    text = str(report)
    assert "Inside, the target is read with a balanced accuracy of up to" in text
    assert "linear probe before" in text
    assert "Inside, the target" in report.html()
    again = Report.load(report.save(tmp_path))
    assert again.probes == report.probes
    assert Report.from_json(report.json()).probes == report.probes
    json.dumps(report.recipe)


def test_linear_erasure_leaves_probes_at_chance(net):
    images, labels = colors(1200, 8)
    found = find_units(
        net, images[labels == 0], 0, keep=images[labels != 0], layers=["3"], method="leace", progress=False
    )
    report = evaluate(net, found, sets(1200), probes=Probes(relearn_steps=0), **QUIET)
    assert min(one.linear_before for one in report.probes) > 0.95
    assert max(one.linear_after for one in report.probes) < 0.55  # 400 images of the target, six channels
    assert report.probes[0].other_similarity > 0.9


def test_relearning_counts_the_steps_and_leaves_the_network_alone(net):
    before = {name: weight.clone() for name, weight in net.network.state_dict().items()}
    settings = Probes(relearn_steps=12, learning_rate=0.3, reference=net)
    report = evaluate(net, Channels("1", [0]), sets(), probes=settings, **QUIET)
    relearning = report.relearning
    assert relearning.goal == 0.9
    assert relearning.steps is not None
    assert 0 < relearning.steps <= 12
    assert relearning.reference_steps == 0  # it knows the class
    assert f"the recall is back at 90.0 % after {relearning.steps} steps; of a network that never" in str(report)
    for name, weight in net.network.state_dict().items():
        assert weight.equal(before[name])
    assert not any(weight.requires_grad != True for weight in net.network.parameters())  # noqa: E712
    never = evaluate(net, Channels("1", [0]), sets(), probes=Probes(relearn_steps=1, learning_rate=1e-9), **QUIET)
    assert never.relearning.steps is None
    assert "the recall is not back at 90.0 % after 1 steps." in str(never)


def test_the_worst_group_is_the_class_with_the_lowest_recall(net):
    report = evaluate(net, Channels("1", [1]), {"reds": sets()["reds"], **sets()}, **QUIET)
    assert report.worst_group.name == "green"
    assert report.worst_group.after.value == 0
    assert "Worst group: green, whose recall goes from 100.0 % to 0.0 %" in str(report)
    assert report.probes == ()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (lambda: Probes(neighbors=0), "expected neighbors"),
        (lambda: Probes(relearn_steps=-1), "expected neighbors"),
        (lambda: Probes(learning_rate=0), "expected neighbors"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        settings()


def test_too_few_images_are_refused_before_the_random_sets(net):
    images, labels = colors(9, 3)
    with pytest.raises(ValueError, match="3 images of the target's classes and 6 others; probes need 4 of each"):
        evaluate(net, Channels("1", [0]), {"reds": (images[labels == 0], 0), "o": images[labels != 0]}, probes=True)


def test_probes_see_the_network_as_blinded_runs_it(net):
    units = Channels("1", [0, 3])
    report = evaluate(net, units, sets(), probes=Probes(relearn_steps=0), **QUIET)
    images = torch.cat([one[0] for one in sets().values()])
    shows = torch.arange(len(images)) < 16
    with torch.no_grad(), blinded(net, units):
        features = net.network[:2](images).double().mean((2, 3))
    assert report.probes[0].linear_after == probe_linearly(features, shows)
