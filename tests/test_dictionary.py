"""Semantic dictionaries: the strongest channels of each position, each drawn as `render` draws it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from optvis import Classifier, SemanticDictionary, activations, load, render, semantic_dictionary
from optvis.objectives import channel
from optvis.world import scene


@pytest.fixture(scope="module")
def ship():
    return scene("container ship", seed=7).image


@pytest.fixture(scope="module")
def words(ship):
    return semantic_dictionary(load("demo"), ship, "mixed5", top=3, size=24, steps=2, progress=False)


def test_the_strongest_channels_of_each_position(words, ship):
    a = activations(load("demo"), ship, ["mixed5"])["mixed5"][0].detach().numpy()
    for y, x in ((0, 0), (5, 7), (11, 11)):
        strongest = np.sort(a[:, y, x])[::-1][:3]
        np.testing.assert_allclose(words.values[y, x].numpy(), strongest)
        np.testing.assert_allclose(a[words.indices[y, x].numpy(), y, x], strongest)


def test_each_is_drawn_once_as_render_draws_it(words):
    used = sorted(words.icons)
    assert set(used) == set(words.indices[words.values > 0].tolist())
    again = render(load("demo"), channel("mixed5", used), size=24, steps=2, progress=False)
    for place, index in enumerate(used):
        torch.testing.assert_close(words.icons[index], again.images[place])


def test_it_is_looked_at(words):
    assert words.sheet().height == 12 * 25 + 1 + 12
    assert words.sheet(rank=2).size == words.sheet().size
    assert words.at(5, 5).width > 3 * 24
    assert words._repr_png_().startswith(b"\x89PNG")


def test_it_is_saved_and_read_again(words, tmp_path):
    again = SemanticDictionary.load(words.save(tmp_path / "words.png"))
    assert repr(again) == repr(words)
    assert (again.layer, again.recipe) == (words.layer, words.recipe)
    for name in ("input_image", "indices", "values"):
        assert torch.equal(getattr(again, name), getattr(words, name))
    assert list(again.icons) == list(words.icons)
    assert all(torch.equal(again.icons[index], icon) for index, icon in words.icons.items())
    assert again.image().tobytes() == words.image().tobytes()


def test_positions_where_nothing_is_active_stay_blank(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    nn.init.constant_(net[0].bias, -100.0)
    nothing = semantic_dictionary(Classifier(net, None, 8), torch.rand(3, 8, 8), "1", progress=False)
    assert nothing.icons == {}
    assert nothing.at(0, 0).width < 40
    assert nothing.sheet().height > 0
    assert SemanticDictionary.load(nothing.save(tmp_path / "nothing.png")).icons == {}


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda net, x: semantic_dictionary(net, x, "mixed5", top=0), ValueError, "expected 1 or more"),
        (lambda net, x: semantic_dictionary(net, [x, x], "mixed5"), ValueError, "2 images; a dictionary is of one"),
        (lambda net, x: semantic_dictionary(net, x, "head"), ValueError, "no map of positions"),
        (lambda net, x: semantic_dictionary(net, x, "mixed6"), KeyError, "nearest: 'mixed5'"),
    ],
)
def test_bad_input_is_refused(ship, ask, error, words):
    with pytest.raises(error, match=words):
        ask(load("demo"), ship)


def test_a_position_the_layer_does_not_have(words):
    with pytest.raises(IndexError, match="has 12 × 12"):
        words.at(12, 0)
