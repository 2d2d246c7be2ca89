"""Looking again: the same renders and attributions, once with units on and once with them off."""

from __future__ import annotations

import pytest
import torch

from optvis import attribute, load, render
from optvis.ablation import blinded, compare_renderings
from optvis.features.units import Channels
from optvis.objectives import logit
from optvis.world import scene

UNITS = Channels("mixed5", range(30))
QUESTION = logit("owl")


@pytest.fixture(scope="module")
def net():
    return load("demo")


@pytest.fixture(scope="module")
def owls():
    return torch.stack([scene("owl", seed=seed).image for seed in (1, 2)])


@pytest.fixture(scope="module")
def seen(net, owls):
    return compare_renderings(net, UNITS, QUESTION, images=owls, size=32, steps=2, progress=False)


def test_both_are_what_render_makes(net, seen):
    before = render(net, QUESTION, size=32, steps=2, progress=False)
    with blinded(net, UNITS):
        after = render(net, QUESTION, size=32, steps=2, progress=False)
    assert seen.before.images.equal(before.images)
    assert seen.after.images.equal(after.images)
    assert not before.images.equal(after.images)


def test_both_are_what_attribute_finds(net, owls, seen):
    before = attribute(net, owls, "mixed5", QUESTION)
    with blinded(net, UNITS):
        after = attribute(net, owls, "mixed5", QUESTION)
    assert seen.attributions is not None
    assert seen.attributions[0].values.equal(before.values)
    assert seen.attributions[1].values.equal(after.values)
    assert seen.attributions[1].channels[:, :30].eq(0).all()


def test_it_is_looked_at(seen, net):
    assert seen._repr_png_().startswith(b"\x89PNG")
    alone = compare_renderings(net, [UNITS], QUESTION, size=32, steps=1, progress=False)
    assert alone.attributions is None
    assert alone.image().height < seen.image().height


def test_the_network_is_untouched(net, owls, untouched):
    with untouched(net.network):
        compare_renderings(net, UNITS, QUESTION, images=owls, size=32, steps=1, progress=False)
    with untouched(net.network), pytest.raises(KeyError, match="nearest: 'mixed5'"):
        compare_renderings(net, Channels("mixed9", 1), QUESTION, size=32, steps=1, progress=False)
