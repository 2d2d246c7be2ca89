"""The two original recipes against a count by hand, and tables of answers before and after."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from optvis.ablation.evaluation.predictions import Prediction, PredictionTable, compare_predictions, leave_one_out
from optvis.ablation.selection.find_units import find_units
from optvis.ablation.selection.rankings import Contrast, MostFrequent, TopNorm
from optvis.features.units import Channels
from optvis.models.activations import activations
from optvis.world import dataset

from .template_network import FILTERS, template_classifier, templates


@pytest.fixture(scope="module")
def woks():
    images, labels = dataset(7 * 16, seed=61)
    return images[labels == 9]


def count_top(net, images, layer, top):
    """How many images have each channel among their `top` loudest, and each channel's mean loudness; by hand."""
    maps = activations(net, images, [layer])[layer].numpy().astype(np.float64)
    norms = np.sqrt((maps**2).sum((2, 3)))
    counts = Counter(int(channel) for row in norms for channel in np.argsort(-row, kind="stable")[:top])
    return counts, norms.mean(0)


def by_hand(net, images, layer, top, most, least):
    counts, loudness = count_top(net, images, layer, top)
    order = sorted(counts, key=lambda channel: (-counts[channel], -loudness[channel]))
    return tuple(channel for channel in order if counts[channel] >= least)[:most]


@pytest.mark.parametrize("layer", ["mixed4", "mixed5"])
def test_recipes_are_the_count_by_hand(demo, woks, layer):
    options = {"layers": [layer], "progress": False}
    loudest = find_units(demo, woks[:5], "wok", method="top_norm", **options)
    assert loudest[0].indices == by_hand(demo, woks[:5], layer, 10, 5, 4)
    commonest = find_units(demo, woks[:5], "wok", method="most_frequent", **options)
    assert commonest[0].indices == by_hand(demo, woks[:5], layer, 10, 4, 1)
    other = find_units(demo, woks, "wok", method=TopNorm(top=20, min_share=1.0, max_units=3), **options)
    assert other[0].indices == by_hand(demo, woks, layer, 20, 3, 7)


def test_each_layer_gets_its_own(demo, woks):
    both = find_units(
        demo, woks, "wok", method="most_frequent", layers=["mixed5", "mixed4"], max_units=3, progress=False
    )
    assert [(one.layer, len(one)) for one in both] == [("mixed4", 3), ("mixed5", 3)]
    assert both.recipe["selection_method"] == {"name": "MostFrequent", "max_units": 3, "top": 10}


def test_a_channel_before_and_behind_its_relu_counts_once(small):
    images = torch.rand(4, 3, 20, 20, generator=torch.Generator().manual_seed(3))
    target = int(small.logits(images).argmax(1)[0])
    in_place = find_units(
        small, images, target, method="most_frequent", layers=["bn1", "relu1", "conv2", "relu2"], progress=False
    )
    alone = find_units(small, images, target, method="most_frequent", layers=["relu1", "relu2"], progress=False)
    assert [(one.layer, one.indices) for one in in_place] == [(one.layer, one.indices) for one in alone]
    net = template_classifier()
    image = templates()[:1]
    pair = find_units(net, image, 0, method="most_frequent", layers=["filters", "relu"], progress=False)
    assert [one.layer for one in pair] == ["relu"]


def test_recipes_need_nothing_to_be_kept_and_say_so(demo, woks):
    chosen = find_units(demo, woks, "wok", method="top_norm", progress=False)
    assert {row.worst_change for row in chosen.evidence} == {None}
    assert "–" in chosen.table()


def test_a_channel_that_nobody_sees_is_no_answer(demo, woks):
    with pytest.raises(ValueError, match="among the 1 with the largest norms in 100%"):
        find_units(demo, woks, "wok", method=TopNorm(top=1, min_share=1.0), layers=["conv1"], progress=False)


@pytest.mark.parametrize("method", [MostFrequent(FILTERS, FILTERS), TopNorm(FILTERS, 1.0, FILTERS)])
def test_channels_that_are_zero_everywhere_are_not_listed(method):
    net, image = template_classifier(), templates()[:1]
    norms = activations(net, image, ["relu"])["relu"].flatten(2).norm(dim=2)[0]
    (found,) = find_units(net, image, 0, method=method, layers=["relu"], progress=False)
    assert sorted(found.indices) == norms.nonzero().flatten().tolist()
    assert len(found) < len(norms)


@pytest.mark.parametrize("method", ["most_frequent", "top_norm"])
def test_layers_that_are_zero_everywhere_are_refused(method):
    net = template_classifier()
    with torch.no_grad():
        net.network.get_submodule("filters").bias.fill_(-1e6)
    target = int(net.logits(templates()[:1]).argmax())
    with pytest.raises(ValueError, match="all channels of relu are zero everywhere in the images of the target"):
        find_units(net, templates()[:1], target, method=method, layers=["relu"], progress=False)


@pytest.mark.parametrize("settings", [{"top": 0}, {"max_units": 0}, {"min_share": 1.5}])
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match="expected top and max_units"):
        TopNorm(**settings)


# Tables of answers


def own_templates():
    return templates()[:FILTERS:4]


def test_a_table_says_what_each_photograph_is_called_before_and_after():
    net, images = template_classifier(), own_templates()
    answers = compare_predictions(net, [Channels("relu", range(12, 16))], images[3:4], 3, keep=images[:3])
    before = net.logits(images).softmax(1)
    assert [row.set for row in answers] == ["target", "keep", "keep", "keep"]
    assert answers[0].confidence_before == pytest.approx(float(before[3, 3]), abs=1e-6)
    assert [row.before for row in answers] == ["class 3", "class 0", "class 1", "class 2"]
    assert [row.after for row in answers[1:]] == ["class 0", "class 1", "class 2"]
    assert answers[0].margin < 0 < answers[1].margin
    assert not answers.failures
    lines = str(answers).splitlines()
    assert lines[0].split() == ["image", "before", "%", "label", "after", "%", "label", "margin"]
    assert len(lines) == 5


def test_what_went_wrong_is_marked_and_html_is_escaped():
    rows = (
        Prediction("target", "<b>", "a", "a", 0.9, "a", 0.8, 1.0),
        Prediction("keep", "c", "d", "d", 0.9, "e", 0.5, -1.0),
    )
    answers = PredictionTable(rows)
    assert answers.failures == rows
    assert [line.endswith("✗") for line in str(answers).splitlines()] == [False, True, True]
    assert "<b>" not in answers._repr_html_()


def test_nothing_switched_off_changes_nothing(demo, woks):
    answers = compare_predictions(demo, [], woks, "wok")
    assert [(row.before, row.confidence_before) for row in answers] == [
        (row.after, pytest.approx(row.confidence_after, abs=1e-6)) for row in answers
    ]


def test_the_one_left_out_takes_no_part_in_its_own_search():
    net, keep = template_classifier(), own_templates()[:3]
    own = templates()[[12, 13]]
    images = torch.stack([own[0], 0.7 * own[0] + 0.3 * own[1]])
    options = {"layers": ["relu"], "method": Contrast(max_units=1), "progress": False}
    answers = leave_one_out(net, images, 3, keep=keep, **options)
    assert [row.image for row in answers] == ["image 0", "image 1", "image 0", "image 1", "image 2"]
    for place in (0, 1):
        chosen = find_units(net, images[1 - place], 3, keep=keep, **options)
        assert answers[place].margin == pytest.approx(row_of(net, chosen, images[place]).margin, abs=1e-3)
    for place in (0, 1, 2):
        others = torch.cat([keep[:place], keep[place + 1 :]])
        chosen = find_units(net, images, 3, keep=others, **options)
        (_, _, row) = compare_predictions(net, chosen, images, 3, keep=keep[place])
        assert answers[2 + place].margin == pytest.approx(row.margin, abs=1e-3)


def row_of(net, chosen, image):
    (row,) = compare_predictions(net, chosen, image, 3)
    return row


def test_leaving_one_of_one_out_is_refused():
    with pytest.raises(ValueError, match="recognises 1 image"):
        leave_one_out(
            template_classifier(), own_templates()[:1], 0, keep=own_templates()[1:], layers=["relu"], progress=False
        )
