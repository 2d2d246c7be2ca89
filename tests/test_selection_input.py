"""What find_units and its siblings take: images that the network mistakes, layers as a text, and how long it takes."""

from __future__ import annotations

import re
from functools import partial

import pytest
import torch

from optvis import activations
from optvis.ablation import compare_predictions, find_units, leave_one_out
from optvis.ablation.selection.greedy_search import GreedySearch
from optvis.features import measure_statistics
from optvis.objectives import batchnorm_statistics
from optvis.viz.sheet import to_pil_image


def test_files_to_keep_that_are_of_the_class_are_named_and_skipped(demo, scenes, tmp_path):
    (images, labels), _ = scenes
    folder = tmp_path / "others"
    folder.mkdir()
    wrong = [f"others/{row}.png" for row in range(3)]
    for row, image in enumerate(torch.cat([images[labels == 0][:3], images[labels == 1]])):
        to_pil_image(image).save(folder / f"{row}.png")
    ships = images[labels == 0]
    find = partial(find_units, demo, ships, 0, keep=folder, layers="mixed5", method=GreedySearch(max_units=2))
    with pytest.raises(ValueError, match=r"for 'others/0.png', 'others/1.png', 'others/2.png' of keep; leave them out"):
        find(progress=False)
    found = find(skip_mistaken=True, progress=False)
    assert list(found.left_out) == found.recipe["left_out"] == wrong
    assert f"3 images of keep left out, as the network predicts container ship: {wrong[0]}" in str(found)
    clean = find_units(demo, ships, 0, keep=images[labels == 1], layers=["mixed5"], method=GreedySearch(max_units=2))
    assert [one.indices for one in clean] == [one.indices for one in found]
    assert not clean.left_out
    assert not any("left out" in text for text in (str(clean), clean._repr_html_()))
    assert (
        len(leave_one_out(demo, ships[:2], 0, keep=folder, skip_mistaken=True, method="top_norm", progress=False)) == 5
    )
    assert len(compare_predictions(demo, found, ships, 0, keep=folder, skip_mistaken=True)) == 6
    for row in range(3, 6):
        (folder / f"{row}.png").unlink()
    with pytest.raises(ValueError, match=r"for all images to keep: 'others/0\.png'"):
        find(skip_mistaken=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda net, images, layers: activations(net, images, layers),
        lambda net, images, layers: dict(measure_statistics(net, images, layers).items()),
    ],
)
def test_one_layer_may_be_a_text(demo, scenes, call):
    (images, _), _ = scenes
    one, several = (call(demo, images[:2], layers) for layers in ("mixed4", ["mixed4"]))
    assert list(one) == list(several) == ["mixed4"]
    assert repr(batchnorm_statistics("bn1")) == repr(batchnorm_statistics(["bn1"]))


def test_leave_one_out_says_how_long_it_takes_where_that_is_long(demo, scenes, capsys, monkeypatch):
    (images, labels), _ = scenes
    evaluate = partial(leave_one_out, demo, images[labels == 0][:2], 0, keep=images[labels == 1][:2], method="contrast")
    monkeypatch.setattr("optvis.progress.LONG", 1e9)
    evaluate()
    assert "selections" not in capsys.readouterr().err
    monkeypatch.setattr("optvis.progress.LONG", 0.0)
    evaluate()
    assert re.search(r"leave_one_out: 4 selections of about [\d.e-]+ s, \d+ s in all", capsys.readouterr().err)
    evaluate(progress=False)
    assert not capsys.readouterr().err
