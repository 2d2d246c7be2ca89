"""Random units and intervals: p-values are uniform under chance, at every strength; intervals hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from optvis import Channels, Classifier, Directions, evaluate
from optvis.ablation.evaluation.metrics import (
    MIN_IMAGES,
    estimate_means,
    estimate_share,
    estimate_share_drop,
    p_value,
    seeded_generator,
)
from optvis.ablation.evaluation.random_units import (
    STRATUM,
    chance_of_same,
    draw_indices,
    random_channels,
    random_directions,
    strata,
)

CHANNELS = 60


def random_tensor(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Random channels


@pytest.mark.parametrize("channels", [3, 9, 10, 19, 20, 57, 128])
def test_strata_are_tens_of_channels_by_strength(channels):
    norms = random_tensor(channels)
    layer = strata(norms)
    sizes = torch.bincount(layer).tolist()
    assert sizes[:-1] == [STRATUM] * (len(sizes) - 1)
    assert sizes[-1] in range(STRATUM, 2 * STRATUM) or channels < STRATUM
    for stronger in range(len(sizes) - 1):
        assert norms[layer == stronger].min() > norms[layer == stronger + 1].max()


@pytest.mark.parametrize("indices", [[0], [5, 40, 41], list(range(12)), list(range(60))], ids=len)
def test_units_are_members_of_the_pool_that_random_sets_are_drawn_from(indices):
    norms = random_tensor(CHANNELS, seed=1)
    layer = strata(norms)
    draws = draw_indices(indices, norms, 4000, seeded_generator(0, "x"))
    assert draws.shape == (4000, len(indices))
    assert bool((layer[draws] == layer[indices]).all())
    assert all(len(set(row)) == len(indices) for row in draws.tolist())
    counts = torch.bincount(draws.flatten(), minlength=CHANNELS)
    for stratum in layer[indices].unique():
        drawn = counts[layer == stratum]  # the units as often as any other channel of their stratum
        assert stats.chisquare(drawn.numpy()).pvalue > 0.001


@pytest.mark.parametrize("indices", [[3], [3, 4], [0, 30]], ids=str)
def test_the_chance_that_a_random_set_is_the_units_is_that_of_drawing(indices):
    norms = torch.arange(60.0)
    draws = draw_indices(indices, norms, 20000, seeded_generator(0, "x"))
    share = (draws.sort(1).values == torch.tensor(indices)).all(1).double().mean()
    chance = chance_of_same(Channels("x", indices), norms)
    assert abs(float(share) - chance) < 4 * math.sqrt(chance / 20000)
    assert chance_of_same(Directions("x", torch.ones(60)), norms) == 0


def test_random_channels_keep_the_range_and_the_axis():
    units = Channels("x", [4, 7], within=(0.5, 2.0), channel_axis=-1)
    for one in random_channels(units, random_tensor(30), 5, seeded_generator(0, "x")):
        assert (one.layer, len(one), one.within, one.channel_axis) == ("x", 2, (0.5, 2.0), -1)


@pytest.mark.parametrize("strong", [True, False])
def test_random_subspaces_remove_as_much(strong):
    a = random_tensor(400, 30, seed=2) * torch.linspace(0.1, 3, 30, dtype=torch.float64)
    moment = a.T @ a
    axes = torch.linalg.eigh(moment).eigenvectors
    vectors = (axes[:, -4:-1] if strong else axes[:, :3]).T + 0.2 * random_tensor(3, 30, seed=3)
    units = Directions("x", vectors)
    random = random_directions(units, moment, 40, seeded_generator(0, "x"))

    def share(one):
        removed = a - one.replace(a)
        return float(removed.square().sum() / a.square().sum())

    assert [share(one) for one in random] == pytest.approx([share(units)] * 40, rel=1e-6)
    assert all(one.orthonormal_basis.shape == (3, 30) for one in random)
    overlaps = [float((one.orthonormal_basis @ random[0].orthonormal_basis.T).square().sum()) / 3 for one in random[1:]]
    assert max(overlaps) < 0.999


# Under chance


def steep_norms():
    """A few channels are much stronger than all others, and their effects are larger."""
    return torch.linspace(3, -3, CHANNELS, dtype=torch.float64).exp()


POOLS = {"all": slice(0, CHANNELS), "ten strongest": slice(0, 10), "weaker half": slice(30, CHANNELS)}


@pytest.mark.parametrize("count", [1, 4, 8])
@pytest.mark.parametrize("pool", POOLS)
def test_p_is_as_often_small_as_it_says_at_every_strength(pool, count):
    norms, generator = steep_norms(), torch.Generator().manual_seed(count)
    effects = norms * torch.randn(CHANNELS, generator=generator, dtype=torch.float64).abs()
    found = []
    for _ in range(2000):
        members = torch.arange(CHANNELS)[POOLS[pool]]
        units = members[torch.randperm(len(members), generator=generator)[:count]]
        random = draw_indices(units.tolist(), norms, 99, generator)
        share = float(torch.rand((), generator=generator))
        found.append(p_value(float(effects[units].sum()), effects[random].sum(1), share))
    small = np.mean(np.array(found) <= 0.05 + 1e-9)
    assert 0.035 < small < 0.065, small  # three standard errors
    assert stats.kstest(found, "uniform").statistic < 0.04


class Weighted(nn.Module):
    """Channels that weigh colours, each weaker than the one before; then scores for three classes."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(3, CHANNELS, 1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(CHANNELS, 3)
        colors = torch.rand(CHANNELS, 3, generator=generator, dtype=torch.float64)
        strength = (colors.sum(1).square() / 4 + colors.square().sum(1) / 12).sqrt()  # in uniform noise
        self.conv.weight.data = (colors * (steep_norms() / strength)[:, None])[:, :, None, None]
        self.conv.bias.data.zero_()
        self.head.weight.data = torch.randn(3, CHANNELS, generator=generator) / 40
        self.double()

    def forward(self, x):
        return self.head(self.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.parametrize("pool", ["all", "ten strongest"])
def test_evaluate_gives_uniform_p_to_units_drawn_at_random(pool):
    net = Classifier(Weighted(), None, 4)
    images = random_tensor(200, 4, 3, 4, 4, seed=3)
    members = torch.arange(CHANNELS)[POOLS[pool]]
    generator, found, by_recall = torch.Generator().manual_seed(7), [], []
    for trial in range(200):
        units = Channels("relu", members[torch.randperm(len(members), generator=generator)[: 1 + trial % 4]].tolist())
        baseline = evaluate(net, units, {"own": (images[trial], trial % 3)}, random_sets=39, progress=False).baseline
        found.append(baseline.p_log_odds)
        by_recall.append(baseline.p_drop)
    assert stats.kstest(found, "uniform").pvalue > 0.05
    assert 4 <= sum(p <= 0.05 for p in found) <= 18  # 10 are expected
    assert sum(p <= 0.05 for p in by_recall) <= 18  # ties count in full: p is never too small


def test_units_that_are_nearly_all_of_their_stratum_say_how_small_p_can_be():
    net, images = Classifier(Weighted(), None, 4), random_tensor(4, 3, 4, 4)
    report = evaluate(net, Channels("relu", 0), {"own": (images, 0)}, random_sets=19, progress=False)
    assert report.baseline.smallest_p == pytest.approx(0.1)
    assert any("with a chance of 0.1: a smaller p is due to chance" in warning for warning in report.warnings)
    assert "A random set is these units themselves with a chance of 0.1" in str(report)
    whole = evaluate(net, Channels("relu", range(10)), {"own": (images, 0)}, random_sets=19, progress=False)
    assert (whole.baseline.smallest_p, whole.baseline.distinct, whole.baseline.p_drop) == (1, 1, 1)
    many = evaluate(net, Channels("relu", range(0, 60, 7)), {"own": (images, 0)}, random_sets=19, progress=False)
    assert many.baseline.smallest_p < 1e-6
    assert not any("luck" in warning for warning in many.warnings)


def test_p_values_against_a_loop():
    random = random_tensor(300).sub(0.5)
    for found in (-1.0, 0.0, 0.2, float(random[7]), 2.0):
        as_much = sum(1 for one in random.tolist() if one >= found)
        assert p_value(found, random) == (1 + as_much) / 301


def test_a_share_of_the_ties_counts():
    random = torch.tensor([0.0, 1.0, 1.0, 1.0, 2.0])
    assert [p_value(1.0, random, share) for share in (0.0, 0.3, 0.6, 0.99, 1.0)] == [
        ranks / 6 for ranks in (2, 3, 4, 5, 5)
    ]


# Intervals


@pytest.mark.parametrize(("right", "images"), [(0, 1), (1, 1), (13, 20), (0, 20), (81, 263)])
def test_the_interval_of_recall_is_wilsons(right, images):
    found = estimate_share(torch.arange(images) < right)
    z, share = stats.norm.ppf(0.975), right / images
    middle = (share + z * z / (2 * images)) / (1 + z * z / images)
    half = z * math.sqrt(share * (1 - share) / images + z * z / (4 * images**2)) / (1 + z * z / images)
    assert (found.value, found.low, found.high) == pytest.approx((share, middle - half, middle + half), abs=1e-12)
    assert estimate_share(torch.zeros(0, dtype=torch.bool)).value is None


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("images", [5, 10, 20, 50])
def test_the_interval_of_recall_holds_it_nine_times_in_ten_or_more(share, images):
    found = [estimate_share(torch.arange(images) < right) for right in range(images + 1)]
    holds = [one.low <= share <= one.high for one in found]
    assert stats.binom.pmf(np.arange(images + 1), images, share) @ np.array(holds) > 0.91


@pytest.mark.parametrize("lost", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("images", [5, 10, 20, 50])
def test_the_interval_of_a_drop_of_recall_holds_it(lost, images):
    generator, hits = torch.Generator().manual_seed(images), 0
    for _ in range(500):
        before = torch.rand(images, generator=generator) < 0.9
        change = torch.rand(images, generator=generator)
        found = estimate_share_drop(before, torch.where(before, change >= lost, change < 0.1))
        assert -1 <= found.low <= found.value <= found.high <= 1
        hits += found.low <= 0.9 * lost - 0.01 <= found.high
    assert hits / 500 > 0.92


@pytest.mark.parametrize("images", [MIN_IMAGES, 20, 50])
def test_the_interval_of_a_mean_holds_it(images):
    uniform = random_tensor(images, 3000, seed=images)
    for values, mean, least in ((torch.special.ndtri(uniform), 0, 0.935), (-uniform.log(), 1, 0.89)):
        assert np.mean([one.low <= mean <= one.high for one in estimate_means(values)]) > least


def test_the_interval_of_a_mean_is_that_of_scipy_and_needs_ten_images():
    values = random_tensor(40, 3, seed=4)
    theirs = stats.ttest_1samp(values.numpy(), 0).confidence_interval(0.95)
    assert [one.low for one in estimate_means(values)] == pytest.approx(theirs.low.tolist())
    assert [one.high for one in estimate_means(values)] == pytest.approx(theirs.high.tolist())
    assert [one.low for one in estimate_means(values[: MIN_IMAGES - 1])] == [None] * 3
    assert estimate_means(values[:0])[0].value is None
