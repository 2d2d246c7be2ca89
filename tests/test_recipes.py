"""Recipes: named settings of render, each of which is the composition of parts that its documentation says."""

from __future__ import annotations

import inspect
import re
import warnings
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision import models

from optvis import Classifier, ascend, render
from optvis.cli.commands import render as cli_render
from optvis.cli.commands.render import RECIPE_NAMES
from optvis.models.adapted.precision import PRECISIONS
from optvis.objectives import (
    IMAGE,
    batchnorm_statistics,
    caricature,
    channel,
    direction,
    direction_neuron,
    dot_compare,
    gram_distance,
    input_diff,
    logit,
    neuron,
    on,
    position_norm,
    tensor_direction,
    total_variation,
)
from optvis.params import fft_image, pixel_image
from optvis.rendering import FAST_ADAM, RECIPES, ImageAdam, Prior, Recipe
from optvis.rendering.image_warnings.warn import BLANK, blank_images
from optvis.transforms import STANDARD, Compose, Flip, GaussianNoise, Pad, RandomResizedCrop, Resize, Rotate

from .checks import ROOT

CROPS = [Pad("reflect"), RandomResizedCrop((0.55, 1.1)), Flip(), Rotate(range(-10, 11)), Resize(0.72, at_least=14)]
VIEWS = {
    "transform": Compose(*CROPS, GaussianNoise(0.1)),
    "priors": [Prior(total_variation(smoothing=0.02, mean=True), 0.04, level=0.02)],
}
LUCID = {"transform": STANDARD, "priors": (), "redirect_steps": 16}
PARTS = {
    "natural": VIEWS
    | {
        "steps": 256,
        "optimizer": partial(ImageAdam, lr=0.1, betas=(0.5, 0.99), eps=0.5, halving=64.0),
        "redirect_steps": 96,
    },
    "fast": VIEWS
    | {
        "steps": 64,
        "optimizer": partial(ImageAdam, lr=0.2, betas=(0.5, 0.99), eps=0.5, halving=32.0),
        "redirect_steps": 48,
    },
    "plain": LUCID | {"steps": 64, "optimizer": FAST_ADAM},
    "icon": LUCID
    | {
        "steps": 48,
        "priors": VIEWS["priors"],
        "optimizer": partial(ImageAdam, lr=0.3, betas=(0.5, 0.99), eps=0.5, halving=32.0),
    },
    "lucid": LUCID | {"steps": 512, "optimizer": partial(torch.optim.Adam, lr=0.05, fused=True)},
}
OWN = Recipe("own", 1, lambda _: None, torch.optim.SGD)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU())
    return Classifier(network.double(), None, 14, name="tiny")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_the_composition_of_its_parts(tiny, name):
    objective = channel("2", [1, 4])
    made = render(tiny, objective, recipe=name, progress=False)
    same = render(tiny, objective, recipe=OWN, progress=False, **PARTS[name])
    assert len(made.scores) == PARTS[name]["steps"]
    assert torch.equal(made.images, same.images)
    assert dict(made.recipe) == dict(same.recipe) | {"recipe": name}


def test_natural_is_the_default_of_render_and_ascend(tiny):
    options = {"size": 20, "seed": 3}
    made = render(tiny, channel("2", 1), steps=3, snapshots=range(3), progress=False, **options)
    loop = ascend(tiny, channel("2", 1), **options)
    assert made.recipe["recipe"] == "natural"
    for index, step in zip(range(3), loop, strict=False):
        assert torch.equal(step.images, made.snapshots[index])


def test_the_command_line_offers_all_recipes_and_the_same_default():
    assert tuple(RECIPES) == RECIPE_NAMES
    assert inspect.signature(render).parameters["recipe"].default == RECIPE_NAMES[0]


def test_the_command_line_offers_all_precisions():
    assert cli_render.PRECISIONS == PRECISIONS


def test_what_is_given_replaces_the_recipes_part(tiny):
    made = render(tiny, channel("2", 1), recipe="fast", steps=2, transform=None, rate=0.3, priors=(), progress=False)
    assert made.recipe["steps"] == 2
    assert made.recipe["transform"] == "None"
    assert made.recipe["optimizer"].startswith("ImageAdam(lr=0.3,")
    assert "priors" not in made.recipe


def test_a_list_of_transforms_is_a_chain(tiny):
    chain = [Pad(0.5), Rotate([5, -5])]
    options = {"steps": 3, "progress": False}
    assert torch.equal(
        render(tiny, channel("2", 1), transform=chain, **options).images,
        render(tiny, channel("2", 1), transform=Compose(*chain), **options).images,
    )


@pytest.mark.parametrize("transform", ["jitter", 3, [3]])
def test_another_transform_is_refused(tiny, transform):
    with pytest.raises(TypeError, match=r"transform must be Module|expected a module"):
        render(tiny, channel("2", 1), steps=1, transform=transform, progress=False)


TARGET = torch.rand(6, 10, 10)


@pytest.mark.parametrize(
    ("objective", "positional"),
    [
        (channel("2", 1), False),
        (direction("2", torch.ones(6)), False),
        (gram_distance("2", torch.rand(6, 6)), False),
        (on("2", lambda a: a.flatten(1).sum(1)), False),
        (channel("2", 1) - 0.1 * input_diff(torch.rand(3, 14, 14)), False),
        (neuron("2", 1), True),
        (channel("2", 1) + 0.1 * neuron("2", 1, y=0, x=0), True),
        (channel("2", 1) * neuron("2", 1), True),
        (direction_neuron("2", torch.ones(6)), True),
        (tensor_direction("2", TARGET), True),
        (position_norm("2"), True),
        (caricature("2", TARGET[None]), True),
        (dot_compare("2", TARGET[None]), True),
        (on("2", lambda a, target: -(a - target).square().flatten(1).sum(1), TARGET[None]), True),
    ],
    ids=[
        "channel",
        "direction",
        "gram",
        "own",
        "image",
        "neuron",
        "sum",
        "product",
        "vector",
        "tensor",
        "norm",
        "caricature",
        "dots",
        "own target",
    ],
)
@pytest.mark.parametrize("name", ["natural", "fast"])
def test_an_objective_of_positions_is_not_shown_crops(tiny, name, objective, positional):
    made = render(tiny, objective, recipe=name, steps=1, progress=False)
    assert (made.recipe["transform"] == repr(STANDARD)) == positional


def test_an_unknown_recipe_names_the_nearest(tiny):
    with pytest.raises(ValueError, match="no recipe 'naturl'; nearest: 'natural'"):
        render(tiny, channel("2", 1), recipe="naturl")


def test_a_network_of_one_size_sees_whole_views():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 14 * 14, 4))
    fixed = Classifier(network, None, 14, fixed_size=True)
    assert "Resize((14, 14))" in render(fixed, logit(1), steps=1, progress=False).recipe["transform"]


# Priors


def contrast(images):
    return images.flatten(1).var(1)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_a_share_means_the_same_for_every_scale_of_score_and_penalty(tiny, scale, factor):
    options = {"steps": 4, "recipe": "plain", "progress": False}
    made = render(tiny, scale * channel("2", 1), priors=[Prior(factor * on(IMAGE, contrast), 0.5)], **options)
    same = render(tiny, channel("2", 1), priors=[Prior(on(IMAGE, contrast), 0.5)], **options)
    torch.testing.assert_close(made.images, same.images, rtol=0, atol=1e-9)


def test_a_share_of_zero_and_a_penalty_without_gradient_change_nothing(tiny):
    options = {"steps": 4, "recipe": "plain", "progress": False}
    plain = render(tiny, channel("2", 1), **options)
    for prior in (Prior(total_variation(), 0.0), Prior(on(IMAGE, lambda a: 0 * a.flatten(1).sum(1)), 0.5)):
        assert torch.equal(render(tiny, channel("2", 1), priors=[prior], **options).images, plain.images)


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_an_image_with_priors_is_the_same_alone_and_in_a_batch(tiny, views, batch_size):
    priors = [Prior(torch.tensor([1.0, 2.0, 3.0]) * on("0", contrast), 0.4), Prior(total_variation(), 0.2)]
    options = {"steps": 4, "views": views, "progress": False}
    objective = channel("2", [1, 4, 2])
    together = render(tiny, objective, priors=priors, batch_size=batch_size, **options)
    for place in range(3):
        own = [Prior(prior.penalty[place : place + 1], prior.share) for prior in priors]
        alone = render(tiny, objective[place : place + 1], priors=own, **options)
        torch.testing.assert_close(alone.images[0], together.images[place], rtol=0, atol=1e-10)


def test_transparency_sums_the_gradients_that_the_images_follow(tiny):
    options = {"steps": 1, "recipe": "plain", "transform": None, "transparency": True, "progress": False}
    plain, made = (
        render(tiny, channel("2", 1), pixel_image(14).double(), priors=priors, **options).transparency
        for priors in ((), [Prior(on(IMAGE, contrast), 0.5)])
    )
    ratio = float(made.square().mean().sqrt() / plain.square().mean().sqrt())
    assert 0.5 < ratio <= 1.5  # one gradient, and not the score's, the prior's and both of them


def test_a_prior_on_batchnorm_statistics_brings_them_nearer():
    network = models.resnet18(num_classes=10).eval()
    classifier = Classifier(network, None, 32)
    prior = batchnorm_statistics(per="batch", relative=True)
    distances = []
    for share in (0.0, 2.0):
        made = render(classifier, logit([1, 2]), priors=[Prior(prior, share)], steps=8, progress=False)
        start = fft_image(32, seeds=(0, 0)).fill_(made.images)
        first = next(ascend(classifier, -prior, start, recipe="plain", transform=None))
        distances.append(-float(first.scores[0]))
    assert distances[1] < distances[0]


@pytest.mark.parametrize("share", [-0.1, float("nan"), float("inf")])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ValueError, match=r"share of .*; expected a number of 0 or more"):
        Prior(total_variation(), share)


def test_a_prior_takes_an_objective():
    with pytest.raises(TypeError, match="penalty must be Objective"):
        Prior("total_variation", 0.1)


# Blank images


def test_images_that_end_blank_are_named(tiny):
    objective = channel("2", [1, 4]) - torch.tensor([0.0, 1e3]) * total_variation()
    with pytest.warns(UserWarning, match=r"1 of 2 images are blank \(channel\('2', 4\)"):
        made = render(tiny, objective, steps=32, progress=False)
    assert list(blank_images(made.images)) == [1]
    assert float(made.images[0].std()) > BLANK


def test_a_few_steps_are_no_reason_for_a_warning(tiny):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        render(tiny, channel("2", 1) - 1e3 * total_variation(), steps=4, progress=False)


def test_the_call_on_the_page_of_recipes_has_the_settings_of_the_fast_preset():
    page = (ROOT / "docs" / "picture_quality.md").read_text(encoding="utf-8")
    (cell,) = re.findall(r"^```{code-cell}\n([^`]*^rebuilt = [^`]*)^```", page, re.M)
    one, options = torch.ones(1), {}

    def record(*_, **given):
        options.update(given)
        return SimpleNamespace(images=one)

    code = re.sub("^(?=rebuilt = )", "render = record\n", cell, flags=re.M)
    exec(code, {"record": record, "net": None, "logit": logit, "names": ["owl"], "pictures": [one, one]})
    fast = RECIPES["fast"]
    optimizer = options.pop("optimizer")
    assert (optimizer.func, optimizer.keywords) == (fast.optimizer.func, fast.optimizer.keywords)
    expected = [fast.steps, fast.build_transform(Classifier(nn.Identity(), None, 96)), [*fast.priors]]
    settings = dict(zip(["steps", "transform", "priors"], expected, strict=True))
    assert repr(options) == repr(settings | {"redirect_steps": fast.redirect_steps})


def test_the_page_of_recipes_says_what_natural_has_in_the_places_of_fast():
    page = (ROOT / "docs" / "picture_quality.md").read_text(encoding="utf-8")
    natural = RECIPES["natural"]
    keywords = natural.optimizer.keywords
    words = f"`lr={keywords['lr']}`, `halving={keywords['halving']}`"
    sentence = " ".join(page.split('"natural" has ')[1].split(" in their places")[0].split())
    assert sentence == f"`steps={natural.steps}`, {words} and `redirect_steps={natural.redirect_steps}`"
