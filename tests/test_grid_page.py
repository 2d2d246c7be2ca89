"""The page of a grid has the numbers of the grid, its attributions and its dictionary."""

from __future__ import annotations

import pytest
import torch

from optvis import activation_grid, attribute, semantic_dictionary
from optvis.grids import AnnotatedGrid, build_grid_page
from optvis.grids.page import _build_layer
from optvis.objectives import logit
from optvis.world import scene


@pytest.fixture(scope="module")
def ships():
    return torch.stack([scene("container ship", seed=seed).image for seed in (7, 9)])


@pytest.fixture(scope="module")
def grid(demo, ships):
    return activation_grid(demo, ships, "mixed5", groups=3, size=8, steps=2, progress=False)


def test_each_cell_gets_its_own_numbers(demo, ships, grid):
    found = attribute(demo, ships, "mixed5", logit("owl"), method="grad_x_activation")
    words = semantic_dictionary(demo, ships[1], "mixed5", top=2, size=8, steps=1, progress=False)
    layer = _build_layer(AnnotatedGrid(grid, {"owl": found}, words), 1)
    a = grid.activations[1]
    y, x = 4, 7
    assert float(layer.strength[y, x]) == pytest.approx(float(a[:, y, x].norm()), rel=1e-5)
    best = a[:, y, x].sort(descending=True)
    assert layer.values[y, x].tolist() == best.values[:6].tolist()
    assert a[layer.channels[y, x], y, x].equal(best.values[:6])
    assert layer.attribution["owl"].equal(found.positions[1])
    assert layer.icons.equal(grid.icons[1])
    assert layer.channel_icons is words.icons
    groups = layer.groups
    assert groups is not None
    assert groups.maps.equal(grid.groups.maps[1])
    torch.testing.assert_close(groups.attribution["owl"], found.by_group(grid.groups)[1])


def test_a_grid_alone_is_a_page_of_one_layer(demo, ships, grid):
    assert build_grid_page([grid], 1) == build_grid_page([AnnotatedGrid(grid)], 1)
    assert "mixed5" in build_grid_page([grid])


def test_several_layers_share_a_page(demo, ships, grid):
    other = activation_grid(demo, ships, "mixed4", groups=0, size=8, steps=1, progress=False)
    page = build_grid_page([grid, AnnotatedGrid(other)])
    assert "what its layer of " in page
    assert "mixed5 or mixed4, represents" in page or "mixed4 or mixed5, represents" in page


def test_results_of_another_layer_are_refused(demo, ships, grid):
    found = attribute(demo, ships, "mixed4", logit("owl"), method="grad_x_activation")
    with pytest.raises(ValueError, match="take both from one layer"):
        AnnotatedGrid(grid, {"owl": found})
    with pytest.raises(ValueError, match="no grids"):
        build_grid_page([])


def test_a_hostile_class_stays_text(demo, ships, grid):
    label = "<script>alert(1)</script>"
    found = attribute(demo, ships, "mixed5", logit(0), method="grad_x_activation")
    assert label not in build_grid_page([AnnotatedGrid(grid, {label: found})])
