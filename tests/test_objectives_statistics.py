"""Priors on the statistics of activations, given or carried by a network's BatchNorm layers."""

from __future__ import annotations

import pickle
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from optvis import Classifier, activations, ascend, attribute, dream, maco, render
from optvis.features import ActivationStatistics, measure_statistics
from optvis.models import running_statistics
from optvis.objectives import (
    IMAGE,
    INPUT,
    Objective,
    activation_statistics,
    batchnorm_statistics,
    channel,
    logit,
    total_variation,
)
from optvis.objectives.channel_moments import moments

from . import oracles
from .ids import stable_id

NAMES = ["1", "4.0", "4.0#1"]
PRIORS: dict[str, dict[str, Any]] = {
    "image": {},
    "batch": {"per": "batch"},
    "relative": {"relative": True},
    "weights": {"weights": [10.0, 1.0, 0.0]},
    "one layer": {"layers": ["4.0"]},
}
each_prior = pytest.mark.parametrize("options", PRIORS.values(), ids=PRIORS)


class Unused(nn.Module):
    """A convolution with a BatchNorm that does not run in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.never = nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.never(self.conv(x)) if self.training else self.conv(x)


class Twice(nn.Module):
    """A BatchNorm that runs twice, the second time on what a ReLU has overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("0", nn.BatchNorm2d(8))
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.get_submodule("0")
        return self.relu(norm(self.relu(norm(x))))


def make_network(dtype: torch.dtype = torch.float64) -> Classifier:
    """A network with BatchNorm layers that run, that run twice, and that do not run."""
    torch.manual_seed(3)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Sequential(nn.Conv2d(6, 8, 3), Unused()),
        Twice(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(), module.running_var.uniform_(0.2, 2)
    return Classifier(network.to(dtype).eval(), None, 16)


def expect(found: dict[str, Tensor], statistics: dict[str, Any], options: dict[str, Any]) -> Tensor:
    """The distance of each image by loops over layers, channels and positions."""
    names = [name + INPUT for name in options.get("layers", NAMES)]
    weights, relative = options.get("weights", [1.0] * len(names)), options.get("relative", False)
    images = len(found[names[0]])
    total = np.zeros(images)
    for name, weight in zip(names, weights, strict=True):
        a, pair = found[name].numpy(), [rows.numpy() for rows in statistics[name]]
        if "per" in options:
            total += oracles.batch_statistics(a, *pair)
        else:
            total += [oracles.activation_statistics(one, *pair, relative, weight) for one in a]
    return torch.from_numpy(total / (len(names) if relative else 1))


def score(classifier: Classifier, objective: Objective, images: Tensor) -> Tensor:
    """The scores of images as they are."""
    param = FixedImages(images)
    return next(ascend(classifier, objective, param, transform=None, seed=range(len(images)))).scores


class FixedImages(nn.Module):
    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(images.clone())

    def forward(self) -> Tensor:
        return self.values


@each_prior
def test_the_prior_is_the_formula_on_the_inputs_of_batchnorm(options: dict[str, Any]) -> None:
    classifier, images = make_network(), torch.rand(3, 3, 16, 16, dtype=torch.float64)
    found = activations(classifier, images, [name + INPUT for name in NAMES])
    expected = expect(found, running_statistics(classifier), options)
    assert_close(score(classifier, batchnorm_statistics(**options), images), expected, rtol=1e-10, atol=1e-10)


def test_inputs_are_what_a_module_was_given_before_it_or_others_overwrote_it() -> None:
    classifier, images = make_network(), torch.rand(2, 3, 16, 16, dtype=torch.float64)
    net = classifier.network
    with torch.no_grad():
        convolved = net[0](images)
        normalized = net[1](convolved)
    found = activations(classifier, images, ["0", "0@input", "1@input", "2@input", "2", "1"])
    assert_close(found["0@input"], images)
    assert_close(found["1@input"], convolved)
    assert_close(found["2@input"], normalized)
    assert_close(found["1"], normalized)
    assert_close(found["2"], normalized.relu())
    assert_close(channel("1@input", [2, 3])(found), convolved[[0, 1], [2, 3]].mean((1, 2)))


def test_an_input_that_is_no_layers_raises() -> None:
    with pytest.raises(KeyError, match="no layer 'nowhere'"):
        activations(make_network(), torch.rand(3, 16, 16), ["nowhere@input"])


def test_only_layers_that_run_are_read_each_call_by_its_name() -> None:
    assert list(running_statistics(make_network())) == [name + INPUT for name in NAMES]
    assert list(running_statistics(make_network(), ["4.0#1", "1"])) == ["4.0#1@input", "1@input"]


@each_prior
def test_it_is_zero_for_images_that_have_the_statistics(options: dict[str, Any]) -> None:
    classifier, images = make_network(), torch.rand(4, 3, 16, 16, dtype=torch.float64)
    images = images if "per" in options else images[:1]
    found = activations(classifier, images, [name + INPUT for name in NAMES])
    own = {}
    for name, a in found.items():
        together = a.movedim(1, 0).flatten(1)
        own[name] = together.mean(1), together.var(1, correction=0)
    layers = [name + INPUT for name in options.get("layers", NAMES)]
    statistics = {name: own[name] for name in layers}
    prior = activation_statistics(statistics, **{k: v for k, v in options.items() if k != "layers"})
    found = {name: a.requires_grad_() for name, a in found.items()}
    scores = prior(found)
    assert_close(scores, torch.zeros_like(scores), rtol=0, atol=1e-12)
    assert all(g.isfinite().all() for g in torch.autograd.grad(scores.sum(), [found[name] for name in layers]))


@pytest.mark.parametrize("options", [PRIORS["image"], PRIORS["relative"]], ids=["absolute", "relative"])
def test_an_image_is_the_same_alone_and_in_a_batch(options: dict[str, Any]) -> None:
    classifier, objective = make_network(), logit([1, 2, 3]) - 0.1 * batchnorm_statistics(**options)
    whole = render(classifier, objective, steps=4, transform=None, progress=False)
    for i in range(3):
        alone = render(classifier, objective[i : i + 1], steps=4, transform=None, progress=False)
        assert_close(alone.images, whole.images[i : i + 1], rtol=1e-9, atol=1e-9)


def test_the_relative_prior_does_not_depend_on_the_scale_of_the_activations() -> None:
    torch.manual_seed(1)
    a, mean, variance = torch.randn(2, 4, 5, 5), torch.randn(4), torch.rand(4) + 0.1
    scores = [
        activation_statistics({"a": (k * mean, k * k * variance)}, relative=True)({"a": k * a}) for k in (1, 1e-2, 30)
    ]
    assert_close(scores[1], scores[0])
    assert_close(scores[2], scores[0])


def test_views_are_among_the_images_of_a_batch() -> None:
    objective = logit([1, 2]) - 0.1 * batchnorm_statistics(per="batch")
    options: dict[str, Any] = {"steps": 2, "transform": None, "progress": False}
    one, three = (render(make_network(), objective, views=count, **options) for count in (1, 3))
    assert_close(three.images, one.images, rtol=1e-6, atol=1e-6)  # the views are the same without transforms
    with pytest.raises(ValueError, match="couples images"):
        render(make_network(), objective, batch_size=1, **options)


def test_gradients_equal_finite_differences() -> None:
    a = torch.randn(2, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    for layout in (a, a.contiguous(memory_format=torch.channels_last), a.movedim(1, 3)):
        axis = 3 if layout.shape[3] == 3 else 1
        b = layout.detach().requires_grad_()
        assert torch.autograd.gradcheck(lambda x, axis=axis: moments(x, axis), b)
        assert torch.autograd.gradgradcheck(lambda x, axis=axis: moments(x, axis), b)


@each_prior
def test_the_repr_evaluates_to_an_equal_one(options: dict[str, Any]) -> None:
    classifier, images = make_network(), torch.rand(2, 3, 16, 16, dtype=torch.float64)
    objective = 0.5 * batchnorm_statistics(**options) * total_variation()
    names = {"batchnorm_statistics": batchnorm_statistics, "total_variation": total_variation}
    evaluated = eval(repr(objective), names)
    assert repr(evaluated) == repr(objective)
    assert repr(pickle.loads(pickle.dumps(objective))) == repr(objective)
    found = score(classifier, evaluated, images)
    assert torch.equal(found, score(classifier, objective, images))
    product = 0.5 * score(classifier, batchnorm_statistics(**options), images) * total_variation()({IMAGE: images})
    assert_close(found, product)


class Tokens(nn.Module):
    """A network of LayerNorms whose layers have channels last, (B, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.head = nn.Conv2d(3, 5, 4, 4), nn.LayerNorm(5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.embed(x).movedim(1, -1)).mean((1, 2)))


PLAIN = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3))


@pytest.mark.parametrize(
    ("classifier", "layers", "names", "axis"),
    [
        (make_network(), None, ["1@input", "4.0@input", "4.0#1@input"], 1),
        (Classifier(PLAIN, None, 16), None, ["0", "2"], 1),
        (Classifier(PLAIN, None, 16), ["1", "2@input"], ["1", "2@input"], 1),
        (Classifier(Tokens(), None, 16), None, ["norm@input"], 3),
    ],
    ids=["BatchNorm", "convolutions", "given", "LayerNorm"],
)
def test_measured_statistics_are_those_of_all_images_and_positions(
    classifier: Classifier, layers: Any, names: list[str], axis: int
) -> None:
    images = torch.rand(7, 3, 16, 16, dtype=classifier.image_dtype)
    found = measure_statistics(classifier, images, layers, batch_size=3)
    assert list(found) == names
    assert found.recipe["images"] == 7
    acts = activations(classifier, images, names)
    for name, a in acts.items():
        values = a.movedim(axis, 0).flatten(1)
        assert_close(found[name], (values.mean(1), values.var(1, correction=0)), rtol=1e-5, atol=1e-6)
    together = activation_statistics(found, per="batch")(acts)
    assert_close(together, torch.zeros_like(together), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_statistics_of_a_network_in_half_precision_are_not_rounded_to_it(dtype: torch.dtype) -> None:
    classifier = Classifier(deepcopy(PLAIN).to(dtype), None, 16)
    images = torch.rand(5, 3, 16, 16)
    for name, a in activations(classifier, images, ["0", "2"]).items():
        values = a.double().movedim(1, 0).flatten(1)
        found = measure_statistics(classifier, images, batch_size=2)[name]
        expected = values.mean(1).float(), values.var(1, correction=0).float()
        assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_saved_statistics_are_loaded_beside_the_weights(tmp_path: Path) -> None:
    found = measure_statistics(Classifier(Tokens(), None, 16), torch.rand(4, 3, 16, 16))
    loaded = ActivationStatistics.load(found.save(tmp_path / "weights.png"))
    assert repr(loaded) == repr(found)
    assert loaded.recipe == found.recipe
    for objective in (activation_statistics(found), activation_statistics(found, relative=True)):
        assert "channel_axis=-1" in repr(objective)
    assert repr(activation_statistics(loaded)) == repr(activation_statistics(found))


def test_a_network_without_layers_to_measure_is_told_to_name_some() -> None:
    linear = Classifier(nn.Sequential(nn.Flatten(), nn.Linear(768, 2)), None, 16)
    with pytest.raises(ValueError, match="no BatchNorm, convolutions or LayerNorm"):
        measure_statistics(linear, torch.rand(2, 3, 16, 16))
    with pytest.raises(KeyError, match="no statistics of layer '0'"):
        _ = measure_statistics(linear, torch.rand(2, 3, 16, 16), ["1"])["0"]


NO_STATISTICS = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.ReLU())


@pytest.mark.parametrize(
    "make",
    [
        lambda net, prior: render(net, prior, steps=1, progress=False),
        lambda net, prior: maco(net, prior, steps=1, views=1, progress=False),
        lambda net, prior: ascend(net, prior),
        lambda net, prior: attribute(net, torch.rand(3, 16, 16), "0", prior),
        lambda net, prior: dream(net, torch.rand(3, 16, 16), prior, steps=1, progress=False),
    ],
    ids=["render", "maco", "ascend", "attribute", "dream"],
)
@pytest.mark.parametrize("network", [NO_STATISTICS, nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())], ids=stable_id)
def test_a_network_without_running_statistics_is_told_the_cure(make: Any, network: nn.Module) -> None:
    says = pytest.raises(ValueError, match=r"no BatchNorm layer of Sequential keeps any; .*measure_statistics\(net")
    with warnings.catch_warnings(action="ignore"), says:  # that BatchNorm lets images influence each other
        make(Classifier(network, None, 16), channel("0", 1) - batchnorm_statistics())


def test_an_objective_for_no_network_is_told_what_it_lacks() -> None:
    with pytest.raises(ValueError, match="batchnorm_statistics reads statistics of a network"):
        batchnorm_statistics()({"1": torch.zeros(1, 6, 4, 4)})


@pytest.mark.parametrize(
    ("build", "error", "match"),
    [
        (lambda: activation_statistics({}), ValueError, "expected {layer: "),
        (lambda: activation_statistics([1, 2]), TypeError, "must be a mapping"),  # type: ignore[arg-type]
        (lambda: activation_statistics({"a": torch.zeros(3)}), TypeError, "must be a mapping of str to"),
        (lambda: activation_statistics({"a": ([1.0], [1.0, 2.0])}), ValueError, "1 means and 2 variances"),
        (lambda: activation_statistics({"a": ([1.0], [-1.0])}), ValueError, "variance of 'a' is -1"),
        (lambda: activation_statistics({"a": ([1.0], [0.0])}, relative=True), ValueError, "without variance"),
        (lambda: activation_statistics({"a": ([1.0], [0.0])}, weights=[1, 2]), ValueError, "2 weights for 1 layers"),
        (lambda: activation_statistics({"a": ([[1.0]] * 2, [1.0])}, per="batch"), ValueError, "2 images with per="),
        (lambda: batchnorm_statistics(per="layer"), ValueError, "per is 'layer'"),  # type: ignore[arg-type]
        (lambda: batchnorm_statistics(["1"], weights=[1, 2]), ValueError, "2 weights for 1 layers"),
        (lambda: render(make_network(), batchnorm_statistics(["2"]), steps=1), KeyError, "'2' is no BatchNorm"),
        (lambda: render(make_network(), batchnorm_statistics(["4.00"]), steps=1), KeyError, "nearest: '4.0'"),
        (lambda: render(make_network(), batchnorm_statistics(weights=[1]), steps=1), ValueError, "1 weights for 3"),
        (
            lambda: activation_statistics({"a": ([1.0], [1.0])})({"a": torch.zeros(1, 2, 3, 3)}),
            ValueError,
            "statistics of 1 channels for a layer of 2",
        ),
    ],
    ids=range(14),
)
def test_wrong_arguments_raise(build: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        build()
