"""The template network has the outputs that its formulas give, and `render` finds the known optima."""

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

from .template_network import (
    CLASSES,
    FILTERS,
    SIDE,
    attribution,
    correlation,
    head_weights,
    logit_drop,
    responses,
    template_classifier,
    templates,
)

NUMBERS = 3 * SIDE * SIDE
RECOVERED = 0.9


@pytest.fixture
def exact() -> Classifier:
    """The network in float64."""
    net = template_classifier()
    net.network.double()
    return net


@pytest.fixture(scope="module")
def mixtures() -> Tensor:
    """Templates, and pairs of them mixed with noise: images that several filters respond to."""
    generator = torch.Generator().manual_seed(0)
    images = templates().double()
    noise = torch.rand(images.shape, generator=generator, dtype=torch.float64)
    return torch.cat([images[::5], (0.5 * images + 0.3 * images.roll(9, 0) + 0.2 * noise)[::5]])


def filter_outputs(net: Classifier, images: Tensor) -> Tensor:
    return activations(net, images, ["filters"])["filters"].flatten(1)


def test_templates_have_two_values_in_each_colour_channel_and_differ() -> None:
    images = templates()
    assert images.shape == (FILTERS, 3, SIDE, SIDE)
    assert ((images == 0) | (images == 1)).all()
    assert (images.amin((2, 3)) == 0).all()
    assert (images.amax((2, 3)) == 1).all()
    for offset in range(1, FILTERS):
        assert correlation(images, images.roll(offset, 0)).max() < RECOVERED


def test_response_is_one_for_the_template_zero_for_grey_and_minus_one_for_the_negative(exact: Classifier) -> None:
    own = templates().double()
    for images, response in ((own, 1.0), (torch.full_like(own, 0.5), 0.0), (1 - own, -1.0)):
        assert_close(filter_outputs(exact, images).diagonal(), torch.full((FILTERS,), response, dtype=torch.float64))


def test_weights_have_the_signs_of_the_template() -> None:
    weights = template_classifier().network.get_parameter("filters.weight")
    assert_close(weights.sign(), 2 * templates() - 1)


def test_every_other_image_scores_less(exact: Classifier) -> None:
    generator = torch.Generator().manual_seed(1)
    own = templates().double()
    noise = torch.rand(own.shape, generator=generator, dtype=torch.float64)
    for images in (noise, noise.round(), own.lerp(noise, 0.01), own.roll(1, 0), own.roll((1, 1), (2, 3))):
        assert (filter_outputs(exact, images).diagonal() < 0.999).all()


def test_one_flipped_number_lowers_the_response_by_two_over_n(exact: Classifier) -> None:
    indices = torch.randint(NUMBERS, (16, FILTERS, 1), generator=torch.Generator().manual_seed(2))
    own = templates().double().flatten(1)
    flipped = [own.scatter(1, index, 1 - own.gather(1, index)).view(-1, 3, SIDE, SIDE) for index in indices]
    scores = torch.stack([filter_outputs(exact, images).diagonal() for images in flipped])
    assert_close(scores, torch.full_like(scores, 1 - 2 / NUMBERS))


def test_network_agrees_with_the_formulas(exact: Classifier, mixtures: Tensor) -> None:
    outputs = activations(exact, mixtures, ["filters", OUTPUT])
    assert_close(outputs["filters"].flatten(1), responses(mixtures))
    assert_close(outputs[OUTPUT], attribution(mixtures).sum(2))


def test_gradient_times_activation_is_the_attribution(exact: Classifier, mixtures: Tensor) -> None:
    outputs: list[Tensor] = []
    exact.network.get_submodule("filters").register_forward_hook(
        lambda _module, _inputs, output: outputs.append(output)
    )
    logits = exact.network(mixtures)
    gradients = [torch.autograd.grad(logits[:, k].sum(), outputs[0], retain_graph=True)[0] for k in range(CLASSES)]
    products = torch.stack([(gradient * outputs[0]).flatten(1) for gradient in gradients], 1)
    assert_close(products, attribution(mixtures))


@pytest.mark.parametrize("off", [[0], [7], [63], [4, 5, 20], range(FILTERS)], ids=str)
def test_ablation_of_filters_removes_their_attribution(exact: Classifier, mixtures: Tensor, off: Sequence[int]) -> None:
    def ablate(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        return output.index_fill(1, torch.tensor(list(off)), 0)

    before = exact.network(mixtures)
    exact.network.get_submodule("filters").register_forward_hook(ablate)
    assert_close(before - exact.network(mixtures), logit_drop(mixtures, off))


def test_filter_adds_its_weight_at_its_template() -> None:
    images = templates()
    for filter_ in range(FILTERS):
        assert_close(logit_drop(images[filter_ : filter_ + 1], [filter_])[0], head_weights()[:, filter_])


@pytest.mark.parametrize("layer", ["filters", "relu"])
def test_render_recovers_the_templates(layer: str) -> None:
    each_second = slice(layer == "relu", FILTERS, 2)
    neurons = neuron(layer, range(FILTERS)[each_second])
    rendering = render(template_classifier(), neurons, transform=None, progress=False)
    assert (correlation(rendering.images, templates()[each_second]) >= RECOVERED).sum() >= 30


def test_pixel_parameterization_finds_the_templates() -> None:
    """The gradient arrives in another memory layout than the pixels; each must reach its own pixel."""
    some = range(0, FILTERS, 4)
    param = ImageParam(Pixels(SIDE, Streams([0] * len(some), "canvas")), Sigmoid())
    rendering = render(template_classifier(), neuron("filters", some), param, transform=None, progress=False)
    assert correlation(rendering.images, templates()[::4]).min() > 0.99
