"""Renderings and attributions with all units and without some: those of `render` and `attribute`."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from optvis import Rendering, attribute, render
from optvis.ablation import BeforeAfter, blinded, compare_renderings
from optvis.features.units import Channels
from optvis.objectives import logit
from optvis.rendering import RECIPES
from optvis.world import scene

UNITS = Channels("mixed5", range(30))
OBJECTIVE = logit("owl")


@pytest.fixture(scope="module")
def owls():
    return torch.stack([scene("owl", seed=seed).image for seed in (1, 2)])


@pytest.fixture(scope="module")
def comparison(demo, owls):
    return compare_renderings(demo, UNITS, OBJECTIVE, images=owls, size=32, steps=2, progress=False)


@pytest.mark.parametrize("recipe", RECIPES)
def test_renderings_are_those_of_render(demo, recipe):
    options = {"recipe": recipe, "size": 32, "steps": 2, "progress": False}
    comparison = compare_renderings(demo, UNITS, OBJECTIVE, **options)
    before = render(demo, OBJECTIVE, **options)
    with blinded(demo, UNITS):
        after = render(demo, OBJECTIVE, **options)
    assert comparison.before.images.equal(before.images)
    assert comparison.after.images.equal(after.images)
    assert not before.images.equal(after.images)
    assert comparison.recipe["recipe"] == recipe


def test_attributions_are_those_of_attribute(demo, owls, comparison):
    before = attribute(demo, owls, "mixed5", OBJECTIVE)
    with blinded(demo, UNITS):
        after = attribute(demo, owls, "mixed5", OBJECTIVE)
    assert comparison.attributions is not None
    assert comparison.attributions[0].values.equal(before.values)
    assert comparison.attributions[1].values.equal(after.values)
    assert comparison.attributions[1].channels[:, :30].eq(0).all()


def test_the_image_shows_overlays_if_there_are_images(comparison, demo):
    assert comparison._repr_png_().startswith(b"\x89PNG")
    alone = compare_renderings(demo, [UNITS], OBJECTIVE, size=32, steps=1, progress=False)
    assert alone.attributions is None
    assert alone.image().height < comparison.image().height


def test_the_network_is_untouched(demo, owls, untouched):
    with untouched(demo.network):
        compare_renderings(demo, UNITS, OBJECTIVE, images=owls, size=32, steps=1, progress=False)
    with untouched(demo.network), pytest.raises(KeyError, match="nearest: 'mixed5'"):
        compare_renderings(demo, Channels("mixed9", 1), OBJECTIVE, size=32, steps=1, progress=False)


def test_units_that_are_none_or_of_no_layer_are_refused_before_anything_is_rendered(demo, monkeypatch):
    module = sys.modules["optvis.ablation.compare_renderings"]
    monkeypatch.setattr(module, "render", lambda *args, **options: pytest.fail("rendered"))
    for units, error, match in (
        ((), ValueError, "no units: there is nothing to switch off"),
        (Channels("mixed9", 1), KeyError, "nearest: 'mixed5'"),
    ):
        with pytest.raises(error, match=match):
            compare_renderings(demo, units, OBJECTIVE, size=32, steps=1, progress=False)


def test_a_saved_comparison_is_loaded_as_it_was(comparison, tmp_path):
    again = BeforeAfter.load(comparison.save(tmp_path / "in" / "owl.png"))
    assert repr(again) == repr(comparison)
    assert again.recipe == json.loads(json.dumps(dict(comparison.recipe)))
    for one, other in zip(_results(again), _results(comparison), strict=True):
        assert type(one) is type(other)
        assert one.to_dict() == other.to_dict()
        for name in one.TENSOR_FIELDS:
            own, expected = getattr(one, name), getattr(other, name)
            assert own is expected is None or own.equal(expected)
    pixels = [np.asarray(one.image()).astype(int) for one in (again, comparison)]
    assert abs(pixels[0] - pixels[1]).max() <= 1  # sums depend on the layout in memory


def test_a_comparison_without_images_is_loaded_too(demo, tmp_path):
    alone = compare_renderings(demo, [UNITS], OBJECTIVE, size=32, steps=1, progress=False)
    again = BeforeAfter.load(alone.save(tmp_path / "alone.png"))
    assert again.attributions is None
    assert again.after.images.equal(alone.after.images)
    Rendering.load(alone.after.save(tmp_path / "other.png"))
    with pytest.raises(ValueError, match="'rendering'; expected 'comparison of renderings'"):
        BeforeAfter.load(tmp_path / "other.png")


def _results(comparison):
    return [comparison.before, comparison.after, *comparison.attributions]


def test_the_recipe_says_what_was_compared(comparison, demo):
    recipe = comparison.recipe
    assert (recipe["method"], recipe["network"], recipe["objective"]) == (
        "compare_renderings",
        demo.name,
        "logit('owl')",
    )
    assert (recipe["steps"], recipe["size"], recipe["layer"]) == (2, [32, 32], "mixed5")
    assert [one["indices"] for one in recipe["units"]] == [list(range(30))]


def test_a_bare_network_takes_a_normalisation(demo):
    options = {"size": 32, "steps": 1, "progress": False}
    with pytest.raises(ValueError, match="does not say how its input is normalised"):
        compare_renderings(demo.network, UNITS, logit(3), **options)
    bare = compare_renderings(demo.network, UNITS, logit(3), normalize=demo.normalize, **options)
    own = compare_renderings(demo, UNITS, logit(3), **options)
    assert bare.after.images.equal(own.after.images)
    assert bare.recipe["normalize"] == own.recipe["normalize"]
