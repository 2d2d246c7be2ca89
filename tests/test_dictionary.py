"""Semantic dictionaries: the strongest channels of each position, each with an icon as `render` makes it."""

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
def dictionary(ship):
    return semantic_dictionary(load("demo"), ship, "mixed5", top=3, size=24, steps=2, progress=False)


def test_the_strongest_channels_of_each_position(dictionary, ship):
    a = activations(load("demo"), ship, ["mixed5"])["mixed5"][0].detach().numpy()
    for y, x in ((0, 0), (5, 7), (11, 11)):
        strongest = np.sort(a[:, y, x])[::-1][:3]
        np.testing.assert_allclose(dictionary.values[y, x].numpy(), strongest)
        np.testing.assert_allclose(a[dictionary.indices[y, x].numpy(), y, x], strongest)


def test_icons_are_those_of_render(dictionary):
    used = sorted(dictionary.icons)
    assert set(used) == set(dictionary.indices[dictionary.values > 0].tolist())
    again = render(load("demo"), channel("mixed5", used), recipe="icon", size=24, steps=2, progress=False)
    for place, index in enumerate(used):
        torch.testing.assert_close(dictionary.icons[index], again.images[place])


def test_sheets_show_all_positions_or_one(dictionary):
    assert dictionary.sheet().height == 12 * 25 + 1 + 12
    assert dictionary.sheet(rank=2).size == dictionary.sheet().size
    assert dictionary.at(5, 5).width > 3 * 24
    assert dictionary._repr_png_().startswith(b"\x89PNG")


def test_it_is_saved_and_read_again(dictionary, tmp_path):
    again = SemanticDictionary.load(dictionary.save(tmp_path / "dictionary.png"))
    assert repr(again) == repr(dictionary)
    assert (again.layer, again.recipe) == (dictionary.layer, dictionary.recipe)
    for name in ("input_image", "indices", "values"):
        assert torch.equal(getattr(again, name), getattr(dictionary, name))
    assert list(again.icons) == list(dictionary.icons)
    assert all(torch.equal(again.icons[index], icon) for index, icon in dictionary.icons.items())
    assert again.image().tobytes() == dictionary.image().tobytes()


def test_positions_where_nothing_is_active_stay_blank(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    nn.init.constant_(net[0].bias, -100.0)
    nothing = semantic_dictionary(Classifier(net, None, 8), torch.rand(3, 8, 8), "1", progress=False)
    assert nothing.icons == {}
    assert nothing.at(0, 0).width < 40
    assert nothing.sheet().height > 0
    assert SemanticDictionary.load(nothing.save(tmp_path / "nothing.png")).icons == {}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda net, x: semantic_dictionary(net, x, "mixed5", top=0), ValueError, "expected 1 or more"),
        (lambda net, x: semantic_dictionary(net, [x, x], "mixed5"), ValueError, "2 images; a dictionary is of one"),
        (lambda net, x: semantic_dictionary(net, x, "head"), ValueError, "no rows and columns of positions"),
        (lambda net, x: semantic_dictionary(net, x, "mixed6"), KeyError, "nearest: 'mixed5'"),
    ],
)
def test_bad_input_is_refused(ship, call, error, message):
    with pytest.raises(error, match=message):
        call(load("demo"), ship)


def test_a_position_that_does_not_exist_is_refused(dictionary):
    with pytest.raises(IndexError, match="has 12 × 12"):
        dictionary.at(12, 0)
