"""Sort matching: the distribution of each channel's activations as in given images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Classifier, activations, render
from optvis.objectives import channel, match_distribution
from optvis.params import pixel_image

from . import oracles

GENERATOR = torch.Generator().manual_seed(5)
PHOTOS = torch.randn(3, 4, 5, 7, generator=GENERATOR, dtype=torch.float64)
OWN = torch.randn(2, 4, 5, 7, generator=GENERATOR, dtype=torch.float64)
LAYOUTS: dict[str, tuple[Any, int | None]] = {
    "BC": (lambda a: a[:, :, 0, 0], None),
    "BTC": (lambda a: a.flatten(2).mT, None),
    "BCT": (lambda a: a.flatten(2), 1),
    "BCHW": (lambda a: a, None),
    "BHWC": (lambda a: a.movedim(1, -1), -1),
    "BHCW": (lambda a: a.movedim(1, 2), 2),
    "BCDHW": (lambda a: a.unsqueeze(2), None),
    "BDHWC": (lambda a: a.unsqueeze(2).movedim(1, -1), 4),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_the_formula_in_each_layout(layout: str) -> None:
    change, axis = LAYOUTS[layout]
    objective = match_distribution({"l": change(PHOTOS)}, channel_axis=axis)
    places = 1 if layout == "BC" else 35
    photos, own = (a.flatten(2)[:, :, :places].numpy() for a in (PHOTOS, OWN))
    expected = torch.tensor([oracles.match_distribution(one, photos) for one in own], dtype=torch.float64)
    assert_close(objective({"l": change(OWN)}), expected)


def test_several_layers_are_added_with_their_weights() -> None:
    layers, own = {"a": PHOTOS, "b": PHOTOS.square()}, {"a": OWN, "b": OWN}
    one, other = (match_distribution({name: layers[name]})(own) for name in layers)
    assert_close(match_distribution(layers)(own), one + other)
    assert_close(match_distribution(layers, weights=[2, 0.5])(own), 2 * one + 0.5 * other)


def test_it_is_zero_for_the_reference_and_for_its_positions_in_any_order() -> None:
    order = torch.randperm(35, generator=GENERATOR)
    shuffled = PHOTOS[:1].flatten(2)[:, :, order].view(1, 4, 5, 7)
    assert match_distribution({"l": PHOTOS[:1]})({"l": torch.cat([PHOTOS[:1], shuffled])}).tolist() == [0.0, 0.0]
    assert match_distribution({"l": PHOTOS[:1]})({"l": PHOTOS[:1] + 2}).tolist() == pytest.approx([4.0])


def test_the_relative_distance_does_not_depend_on_the_scale_of_the_activations() -> None:
    scores = [match_distribution({"l": k * PHOTOS}, relative=True)({"l": k * OWN}) for k in (1, 1e-3, 40)]
    assert_close(scores[1], scores[0])
    assert_close(scores[2], scores[0])


def test_a_picture_takes_on_the_distribution_of_photographs() -> None:
    torch.manual_seed(0)
    net = Classifier(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True), nn.Conv2d(6, 4, 3)), None, 16)
    references = activations(net, torch.rand(4, 3, 16, 16), ["1", "2"])
    objective = -1.0 * match_distribution(references, relative=True)
    made = render(net, objective, pixel_image(16), steps=60, transform=None, progress=False)
    assert made.scores[-1] > 0.1 * made.scores[0]
    both = channel("2", [0, 1, 2]) - match_distribution(references)
    whole = render(net, both, steps=4, transform=None, progress=False)
    alone = render(net, both[1:2], steps=4, transform=None, progress=False)
    assert_close(alone.images, whole.images[1:2], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("build", "error", "match"),
    [
        (lambda: match_distribution({}), ValueError, "expected {layer: activations}"),
        (lambda: match_distribution(PHOTOS), TypeError, "must be a mapping"),  # type: ignore[arg-type]
        (lambda: match_distribution({"l": torch.zeros(3)}), ValueError, r"references of 'l' are \(3,\)"),
        (lambda: match_distribution({"l": "cat"}), TypeError, "expected numbers"),
        (lambda: match_distribution({"l": PHOTOS}, weights=[1, 2]), ValueError, "2 weights for 1 layers"),
        (lambda: match_distribution({"l": PHOTOS[:, :, 0, 0]}, relative=True), ValueError, "do not vary"),
        (lambda: match_distribution({"l": PHOTOS}, channel_axis=4), ValueError, "channel_axis=4 for activations"),
        (lambda: match_distribution({"l": PHOTOS})({"l": OWN[:, :3]}), ValueError, "4 channels for a layer of 3"),
    ],
    ids=range(8),
)
def test_wrong_arguments_raise(build: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        build()
