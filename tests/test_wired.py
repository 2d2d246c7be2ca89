"""The wired network is what it is said to be, and `render` finds the optima that are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from optvis import Classifier, activations, render
from optvis.objectives import OUTPUT, neuron
from optvis.params import ImageParam, Pixels, Sigmoid, Streams

from .wired import (
    CLASSES,
    FILTERS,
    SIDE,
    attribution,
    correlation,
    green_negated,
    head_weights,
    logit_drop,
    responses,
    templates,
    wired,
)

NUMBERS = 3 * SIDE * SIDE
RECOVERED = 0.9


@pytest.fixture
def exact() -> Classifier:
    """The network in float64."""
    net = wired()
    net.network.double()
    return net


@pytest.fixture(scope="module")
def mixtures() -> Tensor:
    """Templates, and pairs of them mixed with noise: images that several filters answer to."""
    draws = torch.Generator().manual_seed(0)
    own = templates().double()
    noise = torch.rand(own.shape, generator=draws, dtype=torch.float64)
    return torch.cat([own[::5], (0.5 * own + 0.3 * own.roll(9, 0) + 0.2 * noise)[::5]])


def answers(net: Classifier, images: Tensor) -> Tensor:
    return activations(net, images, ["filters"])["filters"].flatten(1)


def test_templates_have_two_values_a_colour_channel_and_differ() -> None:
    pictures = templates()
    assert pictures.shape == (FILTERS, 3, SIDE, SIDE)
    assert ((pictures == 0) | (pictures == 1)).all()
    assert (pictures.amin((2, 3)) == 0).all()
    assert (pictures.amax((2, 3)) == 1).all()
    for turn in range(1, FILTERS):
        assert correlation(pictures, pictures.roll(turn, 0)).max() < RECOVERED


def test_green_is_negated_alone() -> None:
    pictures, negated = templates(), green_negated(templates())
    assert_close(negated[:, 1], 1 - pictures[:, 1])
    assert_close(negated[:, ::2], pictures[:, ::2])


def test_a_filter_says_one_to_its_template_nought_to_grey_and_minus_one_to_the_negative(exact: Classifier) -> None:
    own = templates().double()
    for images, answer in ((own, 1.0), (torch.full_like(own, 0.5), 0.0), (1 - own, -1.0)):
        assert_close(answers(exact, images).diagonal(), torch.full((FILTERS,), answer, dtype=torch.float64))


def test_the_weights_have_the_signs_of_the_template() -> None:
    weights = wired().network.get_parameter("filters.weight")
    assert_close(weights.sign(), 2 * templates() - 1)


def test_every_other_image_scores_less(exact: Classifier) -> None:
    draws = torch.Generator().manual_seed(1)
    own = templates().double()
    noise = torch.rand(own.shape, generator=draws, dtype=torch.float64)
    for images in (noise, noise.round(), own.lerp(noise, 0.01), own.roll(1, 0), own.roll((1, 1), (2, 3))):
        assert (answers(exact, images).diagonal() < 0.999).all()


def test_a_flipped_number_costs_its_share(exact: Classifier) -> None:
    places = torch.randint(NUMBERS, (16, FILTERS, 1), generator=torch.Generator().manual_seed(2))
    own = templates().double().flatten(1)
    flipped = [own.scatter(1, place, 1 - own.gather(1, place)).view(-1, 3, SIDE, SIDE) for place in places]
    scores = torch.stack([answers(exact, images).diagonal() for images in flipped])
    assert_close(scores, torch.full_like(scores, 1 - 2 / NUMBERS))


def test_the_network_agrees_with_the_truth(exact: Classifier, mixtures: Tensor) -> None:
    found = activations(exact, mixtures, ["filters", OUTPUT])
    assert_close(found["filters"].flatten(1), responses(mixtures))
    assert_close(found[OUTPUT], attribution(mixtures).sum(2))


def test_gradient_times_activation_is_the_attribution(exact: Classifier, mixtures: Tensor) -> None:
    kept: list[Tensor] = []
    exact.network.get_submodule("filters").register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    logits = exact.network(mixtures)
    slopes = [torch.autograd.grad(logits[:, k].sum(), kept[0], retain_graph=True)[0] for k in range(CLASSES)]
    assert_close(torch.stack([(slope * kept[0]).flatten(1) for slope in slopes], 1), attribution(mixtures))


@pytest.mark.parametrize("off", [[0], [7], [63], [4, 5, 20], range(FILTERS)], ids=str)
def test_filters_switched_off_cost_what_they_added(exact: Classifier, mixtures: Tensor, off: Sequence[int]) -> None:
    def silence(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        return output.index_fill(1, torch.tensor(list(off)), 0)

    before = exact.network(mixtures)
    exact.network.get_submodule("filters").register_forward_hook(silence)
    assert_close(before - exact.network(mixtures), logit_drop(mixtures, off))


def test_at_its_template_a_filter_adds_its_weight() -> None:
    own = templates()
    for filter_ in range(FILTERS):
        assert_close(logit_drop(own[filter_ : filter_ + 1], [filter_])[0], head_weights()[:, filter_])


@pytest.mark.parametrize("layer", ["filters", "relu"])
def test_render_recovers_the_templates(layer: str) -> None:
    made = render(wired(), neuron(layer, range(FILTERS)), transform=None, progress=False)
    assert (correlation(made.images, templates()) >= RECOVERED).sum() >= 60


def test_bare_pixels_find_every_template() -> None:
    """Their gradient comes back in another memory layout than they have; nothing may be paired wrongly."""
    plain = ImageParam(Pixels(SIDE, Streams([0] * FILTERS, "canvas")), Sigmoid())
    made = render(wired(), neuron("filters", range(64)), plain, transform=None, progress=False)
    assert correlation(made.images, templates()).min() > 0.99
