"""Heads: however a network gives its classes, functions that need confidences find the same ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optvis import Channels, Classifier, NotFiniteError, as_classifier, attribute, classify, dream, render
from optvis.ablation import (
    Gaussian,
    Mean,
    Noise,
    Optimal,
    Resampled,
    blinded,
    compare_predictions,
    evaluate,
    find_units,
    leave_one_out,
)
from optvis.ablation.selection.directions import Subspace, find_directions
from optvis.atlas import sample_activations
from optvis.circuits import hinton_of_activations
from optvis.data import as_dataset
from optvis.features import group, measure_statistics
from optvis.grids import activation_grid, semantic_dictionary
from optvis.microscope import measure_effects
from optvis.microscope.top_activations import find_top_activations
from optvis.models import activations, layers
from optvis.objectives import channel, log_odds, logit
from optvis.patches import try_patch

SIDE, CLASSES = 12, 3


class Net(nn.Module):
    """Logits of some classes, which a function turns into what the network returns."""

    def __init__(self, head: Callable[[Tensor], Any] = lambda z: z, classes: int = CLASSES, scale: float = 30) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.relu, self.fc = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Linear(8, classes)
        self.head, self.scale = head, scale
        with torch.no_grad():  # all classes are predicted for some images
            self.fc.bias -= self.fc(self.features(images(24))).mean(0)

    def features(self, x: Tensor) -> Tensor:
        return self.relu(self.conv(x)).mean((2, 3))

    def scores(self, x: Tensor) -> Tensor:
        return self.scale * self.fc(self.features(x))

    def forward(self, x: Tensor) -> Any:
        return self.head(self.scores(x))


def hand_written_softmax(z: Tensor) -> Tensor:
    exp = (z - z.amax(1, keepdim=True)).exp()
    return exp / exp.sum(1, keepdim=True)


SOFTMAX = {
    "logits": lambda z: z,
    "module": nn.Softmax(1),
    "function": lambda z: z.softmax(1),
    "hand-written": hand_written_softmax,
    "log": lambda z: z.log_softmax(1),
    "average": lambda z: torch.stack([z.softmax(1), F.softmax(z, 1)]).mean(0),
}
SIGMOID = {
    "module": nn.Sigmoid(),
    "function": lambda z: z.sigmoid(),
    "average": lambda z: (z.sigmoid() + torch.sigmoid(z)) / 2,
    "complement": lambda z: 1 - (-z).sigmoid(),
    "log": F.logsigmoid,
}


def plain(network: nn.Module, **options: Any) -> Classifier:
    return Classifier(network, None, SIDE, **options)


def images(count: int = 6) -> Tensor:
    """Colours with a little noise, (count, 3, SIDE, SIDE)."""
    generator = torch.Generator().manual_seed(1)
    colors = torch.rand(count, 3, 1, 1, generator=generator)
    return (colors + 0.1 * torch.rand(count, 3, SIDE, SIDE, generator=generator)).clamp(0, 1)


def confidences(model: Classifier, batch: Tensor) -> Tensor:
    found = classify(model, batch, top=99)
    return torch.zeros_like(found.confidences).scatter(1, found.indices, found.confidences)


def assert_reads(model: Classifier, p: Tensor, odds: Tensor) -> None:
    """Every function that needs confidences finds these probabilities, (B, K), and their log-odds."""
    batch = images()
    torch.testing.assert_close(confidences(model, batch), p, atol=1e-4, rtol=1e-4)
    for index in range(p.shape[1]):
        found = attribute(model, batch, "relu", log_odds(index), method="grad_x_activation", progress=False)
        torch.testing.assert_close(found.scores, odds[:, index], atol=2e-3, rtol=1e-3)
        assert found.values.isfinite().all()
        rendering = render(model, log_odds(index), steps=3, size=SIDE, progress=False)
        assert rendering.scores.isfinite().all()


@pytest.mark.parametrize("told", [None, "softmax"])
@pytest.mark.parametrize("head", SOFTMAX)
def test_probabilities_of_exclusive_classes_get_no_second_softmax(head: str, told: str | None) -> None:
    network = Net(SOFTMAX[head])
    z = network.scores(images()).detach()
    others = torch.stack([z[:, [j for j in range(CLASSES) if j != k]].logsumexp(1) for k in range(CLASSES)], 1)
    assert_reads(plain(network, head=told), z.softmax(1), z - others)


@pytest.mark.parametrize("told", [None, "sigmoid"])
@pytest.mark.parametrize("classes", [1, CLASSES])
@pytest.mark.parametrize("head", SIGMOID)
def test_sigmoids_are_read_as_they_are(head: str, classes: int, told: str | None) -> None:
    network = Net(SIGMOID[head], classes, scale=10)
    z = network.scores(images()).detach()
    assert_reads(plain(network, head=told), z.sigmoid(), z)


@pytest.mark.parametrize(("classes", "told"), [(1, None), (1, "sigmoid"), (CLASSES, "sigmoid")])
def test_a_sigmoid_head_of_logits_has_their_log_odds(classes: int, told: str | None) -> None:
    network = Net(classes=classes)
    z = network.scores(images()).detach()
    assert_reads(plain(network, head=told), z.sigmoid(), z)


@pytest.mark.parametrize("head", [lambda z: z, nn.Sigmoid()])
def test_two_labels_of_one_output_name_its_two_sides(head: Callable[[Tensor], Tensor]) -> None:
    network = Net(head, 1, scale=10)
    z = network.scores(images()).detach()
    model = plain(network, labels=("no", "yes"))
    both = torch.cat([-z, z], 1)
    assert_reads(model, both.sigmoid(), both)
    for label, sign in (("no", -1), ("yes", 1)):
        found = attribute(model, images(), "relu", logit(label), progress=False).scores
        torch.testing.assert_close(found, sign * z[:, 0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("head", "told"), [
    (nn.Softmax(1), None), (hand_written_softmax, None), (nn.Sigmoid(), None), (F.logsigmoid, None),
    (nn.Softmax(1), "probabilities"), (nn.Sigmoid(), "sigmoid_probabilities"),
])  # fmt: skip
def test_probabilities_of_0_and_1_have_finite_log_odds(head: Callable[[Tensor], Tensor], told: str | None) -> None:
    model = plain(Net(head, scale=1e5), head=told)
    for objective in (log_odds(range(CLASSES)), logit(range(CLASSES))):
        assert render(model, objective, steps=2, progress=False).scores.isfinite().all()
        found = attribute(model, images(1), "relu", objective, progress=False)
        assert found.values.isfinite().all()
        assert found.scores.isfinite().all()


def test_numbers_that_sum_to_1_for_one_image_alone_are_logits() -> None:
    network = Net(scale=1)
    first = images()[:1]
    p = network.scores(first).detach().softmax(1)
    network.head = lambda z: z - network.scores(first).detach() + p
    torch.testing.assert_close(confidences(plain(network), first), p.softmax(1))


@pytest.mark.parametrize("index", [0, 2])
def test_the_outputs_own_layer_and_its_channels_are_what_the_network_returns(index: int) -> None:
    for head in (*SOFTMAX.values(), *SIGMOID.values()):
        model = plain(Net(head))
        expected = model.network(images()).detach()
        torch.testing.assert_close(activations(model, images(), [""])[""], expected)
        found = attribute(model, images(), "relu", channel("", index), progress=False).scores
        torch.testing.assert_close(found, expected[:, index])


# The same network with another head is blinded, evaluated, sampled and patched in the same way


def run_everything(model: Classifier, labels: Tensor) -> dict[str, Any]:
    """What functions find that need a class to be predicted, or its confidence."""
    batch, target = images(24), 0
    own, kept = batch[labels == target], batch[labels != target]
    options: dict[str, Any] = {"keep": kept, "layers": ["relu"], "progress": False}
    units = [Channels("relu", [0, 1])]
    report = evaluate(model, units, {"own": (own, target), "kept": kept}, random_sets=5, progress=False)
    trial = try_patch(model, torch.ones(3, 4, 4), own, target, 1, sizes=[6], progress=False)
    with blinded(model, units[0], fill=Optimal(batch, labels, steps=2, progress=False)):
        filled = confidences(model, batch)
    vectors = find_units(model, own, target, method=Subspace(1, steps=2), **options).units[0].vectors
    effects = measure_effects(model, batch, "relu", 0)
    return {
        "contrast": find_units(model, own, target, method="contrast", max_units=2, **options).units[0].indices,
        "greedy": find_units(model, own, target, max_units=2, **options).units[0].indices,
        "subspace": vectors.T @ vectors,
        "metrics": [one.value for one in (report.target_metrics.after, report.target_metrics.log_odds_drop)],
        "confidence": report.target_metrics.confidence_drop.value,
        "rows": [row.confidence_after for row in compare_predictions(model, units, own, target, keep=kept)],
        "left": [row.margin for row in leave_one_out(model, own[:2], target, method="contrast", **options)],
        "trial": trial.predictions,
        "filled": filled,
        "changes": effects.prediction_changes,
    }


@cache
def expected_of_logits() -> dict[str, Any]:
    return run_everything(plain(Net()), Net().scores(images(24)).argmax(1))


@pytest.mark.parametrize("head", ["module", "hand-written", "log"])
def test_probabilities_are_used_as_their_logits_are(head: str) -> None:
    labels = Net().scores(images(24)).argmax(1)
    found, expected = run_everything(plain(Net(SOFTMAX[head])), labels), expected_of_logits()
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("head", [lambda z: z, nn.Sigmoid()])
def test_one_output_with_two_labels_is_used_as_two_logits_are(head: Callable[[Tensor], Tensor]) -> None:
    labels = (Net(classes=1).scores(images(24))[:, 0] > 0).long()
    two = plain(Net(lambda z: torch.cat([-z, z], 1) / 2, classes=1), labels=("no", "yes"))
    expected = run_everything(two, labels)
    found = run_everything(plain(Net(head, classes=1), labels=("no", "yes")), labels)
    for changed in ("subspace", "greedy"):  # their penalties are in units of logits and of two classes
        del expected[changed], found[changed]
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("head", [lambda z: z, nn.Sigmoid()])
def test_a_class_that_is_right_or_wrong_for_itself_is_predicted_above_one_half(head: Any) -> None:
    model = plain(Net(head, scale=10), head="sigmoid")
    batch, p = images(24), confidences(plain(Net(nn.Sigmoid(), scale=10)), images(24))
    own, kept = batch[p[:, 0] > 0.5], batch[p[:, 0] < 0.5]
    report = evaluate(model, Channels("relu", [0]), {"own": (batch, 0)}, random_sets=2, progress=False)
    assert report.target_metrics.before.value == pytest.approx(len(own) / len(batch))
    found = find_units(model, own, 0, keep=kept, layers=["relu"], max_units=4, progress=False)
    with blinded(model, *found.units):
        assert confidences(model, own)[:, 0].mean() < p[p[:, 0] > 0.5, 0].mean()


def test_tables_count_a_class_as_recognised_as_recall_does_where_others_are_more_likely() -> None:
    model, batch, units = plain(Net(scale=10), head="sigmoid"), images(24), Channels("relu", [0, 3])
    truth = torch.arange(24) % CLASSES
    report = evaluate(model, units, {"all": (batch, truth)}, random_sets=2, progress=False)
    metrics, states = report.target_metrics, Counter(row.state for row in report.predictions)
    assert 0 < metrics.before.value < 1
    assert states["kept"] + states["lost"] == round(24 * metrics.before.value)
    assert states["kept"] + states["gained"] == round(24 * metrics.after.value)
    p = confidences(model, batch)
    for row, own, shares in zip(report.predictions, truth.tolist(), p, strict=True):
        others = [f"class {index}" for index in range(CLASSES) if index != own and shares[index] > 0.5]
        shown = [row.truth] if shares[own] > 0.5 else others or ["(none)"]
        assert row.before in shown
        share = shares.max() if row.before == "(none)" else shares[int(row.before.removeprefix("class "))]
        assert row.confidence_before == pytest.approx(float(share), abs=1e-5)


def test_an_image_for_which_no_class_is_predicted_may_be_kept() -> None:
    model, batch = plain(Net(scale=10), head="sigmoid"), images(24)
    model.network.fc.bias.data[1:] -= 10
    is_own = confidences(model, batch)[:, 0] > 0.5
    own, kept = batch[is_own], batch[~is_own]
    found = find_units(model, own, 0, keep=kept, layers=["relu"], method="contrast", progress=False)
    assert found.recipe["attempts"][-1]["target_images"] == len(own)
    table = compare_predictions(model, found, own, 0, keep=kept)
    assert {row.before for row in table[len(own) :]} == {"(none)"}
    assert sum(row.set == "keep" for row in table.failures) == found.recipe["attempts"][-1]["others_lost"] == 0


def test_a_patch_flips_to_a_class_that_is_predicted_beside_others() -> None:
    model, batch = plain(Net(scale=10), head="sigmoid"), images(24)
    trial = try_patch(model, torch.rand(3, 4, 4), batch, 0, 1, sizes=[4], progress=False)
    p = confidences(model, trial.images)
    assert bool((p[:, 0] > 0.5).all())
    assert len(trial) == int((confidences(model, batch)[:, 0] > 0.5).sum())
    expected = (trial.predictions[..., :2] > 0.5).float()
    torch.testing.assert_close(trial.predictions[..., 2:], expected)


def test_a_single_output_without_the_name_of_its_other_side_has_nothing_to_keep() -> None:
    model = plain(Net(classes=1))
    with pytest.raises(ValueError, match="two labels"):
        find_units(model, images(), 0, keep=images(), progress=False)
    with pytest.raises(ValueError, match="two labels"):
        evaluate(model, Channels("relu", [0]), {"all": (images(), 0)}, progress=False)


@pytest.mark.parametrize("head", SOFTMAX)
def test_a_fill_that_draws_numbers_does_not_notice_how_the_head_is_found(head: str) -> None:
    batch, fill = images(), Gaussian(1.0)
    known, unknown = plain(Net(SOFTMAX[head])), plain(Net(SOFTMAX[head]))
    classify(known, batch)
    found = []
    for model in (known, unknown):
        with blinded(model, Channels("relu", range(8)), fill=fill):
            found.append(confidences(model, batch))
    assert found[0].equal(found[1])


# Outputs that are no classes, and labels that do not fit

CALLS: dict[str, Callable[[Classifier], Any]] = {
    "classify": lambda model: classify(model, images()),
    "log_odds": lambda model: render(model, log_odds(0), steps=1, progress=False),
    "dream": lambda model: dream(model, images(1), log_odds(0), octaves=1, steps=1, progress=False),
    "attribute": lambda model: attribute(model, images(), "relu", log_odds(0), progress=False),
    "find_units": lambda model: find_units(model, images(), 0, keep=images(), layers=["conv"], progress=False),
    "evaluate": lambda model: evaluate(model, Channels("relu", [0]), {"all": images()}, random_sets=1, progress=False),
    "compare_predictions": lambda model: compare_predictions(model, [Channels("relu", [0])], images(), 0),
    "leave_one_out": lambda model: leave_one_out(model, images(), 0, keep=images(), layers=["relu"], progress=False),
    "try_patch": lambda model: try_patch(model, torch.ones(3, 4, 4), images(), 0, 1, progress=False),
}


class Headless(Net):
    """A network whose class head is an identity."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("model", [
    lambda: plain(Net(), head="embedding"), lambda: plain(Headless()),
    lambda: plain(Net(lambda z: {"pooled": z, "tokens": z}), output="pooled"),
])  # fmt: skip
def test_an_embedding_has_no_classes(model: Callable[[], Classifier], call: str) -> None:
    with pytest.raises(ValueError, match=r"embedding.*channel\(''"):
        CALLS[call](model())


@pytest.mark.parametrize("model", [lambda: plain(Net(), head="embedding"), lambda: plain(Headless())])
def test_an_embedding_is_asked_by_its_numbers(model: Callable[[], Classifier]) -> None:
    assert render(model(), channel("", 1), steps=1, progress=False).scores.isfinite().all()
    assert sample_activations(model(), images(), "conv", progress=False).attribution.shape[1] == 0
    with pytest.raises(ValueError, match="an embedding has no classes"):
        render(model(), logit("cat"), steps=1, progress=False)


@pytest.mark.parametrize("call", [*CALLS, "logit", "sample_activations"])
@pytest.mark.parametrize(("classes", "labels"), [(CLASSES, 1), (CLASSES, 2), (CLASSES, 9), (1, 3)])
def test_labels_that_do_not_fit_the_outputs_are_refused(classes: int, labels: int, call: str) -> None:
    model = plain(Net(classes=classes), labels=[f"label {index}" for index in range(labels)])
    calls = CALLS | {
        "logit": lambda model: render(model, logit("label 0"), steps=1, progress=False),
        "sample_activations": lambda model: sample_activations(model, images(), "relu", progress=False),
    }
    with pytest.raises(ValueError, match=rf"{labels} labels? for a network with {classes} outputs?; give a text for"):
        calls[call](model)


@pytest.mark.parametrize(("options", "message"), [
    ({"head": "relu"}, "head is 'relu'; expected 'softmax'"),
    ({"head": "embedding", "labels": ["cat"]}, "1 labels for an embedding"),
])  # fmt: skip
def test_options_that_contradict_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plain(Net(), **options)


# Outputs that are no tensor, and networks that take more than images


@dataclass
class Scores:
    features: Tensor
    logits: Tensor


OUTPUTS: dict[str, tuple[Callable[[Tensor], Any], Any]] = {
    "logits": (lambda z: {"features": z * 0, "logits": z}, None),
    "out": (lambda z: {"out": z, "aux": z * 0}, None),
    "dataclass": (lambda z: Scores(z * 0, z), None),
    "key": (lambda z: {"features": z * 0, "scores": z}, "scores"),
    "attribute": (lambda z: Scores(z * 0, z), "logits"),
    "index": (lambda z: (z * 0, z), 1),
    "function": (lambda z: {"deep": [z * 0, z]}, lambda output: output["deep"][1]),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_scores_in_an_output_are_used_as_an_output_that_is_a_tensor(case: str) -> None:
    head, output = OUTPUTS[case]
    labels = Net().scores(images(24)).argmax(1)
    model = plain(Net(head), output=output)
    assert [row.name for row in layers(model)] == [row.name for row in layers(plain(Net()))]
    torch.testing.assert_close(run_everything(model, labels), expected_of_logits())
    for objective in (logit(1), log_odds(1), channel("", 1)):
        found, expected = (attribute(one, images(), "relu", objective, progress=False) for one in (model, plain(Net())))
        torch.testing.assert_close(found.values, expected.values)


class TwoInputs(Net):
    def forward(self, x: Tensor, extra: Tensor) -> Tensor:  # type: ignore[override]
        return self.scores(x) + 0 * extra


def test_a_network_with_a_second_input_is_called_by_a_function() -> None:
    labels = Net().scores(images(24)).argmax(1)
    model = plain(TwoInputs(), forward=lambda network, inputs: network(inputs, torch.zeros(1)))
    assert [row.name for row in layers(model)] == [row.name for row in layers(plain(Net()))]
    torch.testing.assert_close(run_everything(model, labels), expected_of_logits())


def test_an_adapted_network_is_the_original_to_everyone() -> None:
    network = Net(lambda z: {"z": z}).train()
    model = plain(network, output="z")
    with blinded(network, Channels("relu", range(8)), fill=0.0):  # by the original
        zeros = model.logits(images())
    with blinded(model, Channels("relu", range(8)), fill=Mean(images())):
        means = network(images())["z"]  # by the adapted one
    assert zeros.unique(dim=0).shape[0] == 1
    assert means.unique(dim=0).shape[0] == 1
    assert network.training
    assert all(weight.requires_grad for weight in network.parameters())
    assert model.name == "Net"


@pytest.mark.parametrize("call", ["classify", "log_odds", "attribute", "evaluate"])
@pytest.mark.parametrize(("head", "output", "message"), [
    (lambda z: {"one": z, "two": z}, None, "say which part of 'one', 'two' holds them"),
    (lambda z: [{"boxes": one} for one in z], None, "network gives list; expected a score"),
    (lambda z: {"a logits": z, "b logits": z}, None, "say which part"),
    (lambda z: {"one": z}, "two", "output='two' is not in the network's output; it has 'one'"),
    (lambda z: (z,), 3, "output=3 is not in"),
    (lambda z: {"one": "text"}, "one", "output='one' gives a str; expected a tensor"),
])  # fmt: skip
def test_outputs_without_scores_are_refused_in_a_sentence(head: Any, output: Any, message: str, call: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError, IndexError), match=message):
        CALLS[call](plain(Net(head), output=output))


# Numbers that are not finite


NOT_FINITE = CALLS | {
    "logit": lambda model: attribute(model, images(), "relu", logit(0), progress=False),
    "channel": lambda model: attribute(model, images(), "relu", channel("fc", 0), progress=False),
    "exact": lambda model: attribute(model, images(), "relu", logit(0), method="ablation", progress=False),
    "sample_activations": lambda model: sample_activations(model, images(), "relu", progress=False),
    "measure_effects": lambda model: measure_effects(model, images(), "relu", 0),
    "logits": lambda model: model.logits(images()),
}


@pytest.mark.parametrize("call", NOT_FINITE)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_networks_with_weights_that_are_not_finite_say_so(value: float, call: str) -> None:
    model = plain(Net())
    model.network.fc.weight.data[0, 0] = value
    with pytest.raises(
        NotFiniteError, match=r"fc\.weight|step 0: the score of 'log_odds' is|step 0: the .* not finite"
    ):
        NOT_FINITE[call](model)


METHODS = ("midpoint", "grad_x_activation", "integrated_gradients", "stochastic_ig", "smoothgrad", "ablation")
WITHOUT_CLASSES: dict[str, Callable[[Classifier], Any]] = {
    "grid": lambda model: activation_grid(model, images(1)[0], "relu", steps=1, size=SIDE, progress=False),
    "groups": lambda model: group(activations(model, images(), ["relu"])["relu"], 2, layer="relu"),
    "directions": lambda model: find_directions(model, images(), images().flip(1), "relu"),
    "top activations": lambda model: find_top_activations(model, as_dataset(images()), ["relu"], 2),
    "samples": lambda model: sample_activations(model, images(), "relu", progress=False),
    "statistics": lambda model: measure_statistics(model, images(), ["relu"]),
    "dictionary": lambda model: semantic_dictionary(model, images(1)[0], "relu", steps=1, size=SIDE, progress=False),
    "hinton": lambda model: hinton_of_activations(model, images(1)[0], "relu"),
} | {
    fill.__name__: lambda model, fill=fill: blinded(model, Channels("relu", [0]), fill=fill(images())).__enter__()
    for fill in (Mean, Noise, Resampled)
} | {
    name: lambda model, name=name: attribute(model, images(), "conv", logit(0), method=name, progress=False)
    for name in METHODS
}  # fmt: skip


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("call", WITHOUT_CLASSES)
def test_activations_that_are_not_finite_are_refused(call: str, value: float) -> None:
    model = plain(Net())
    model.network.conv.weight.data[0, 0] = value
    with pytest.raises(NotFiniteError, match="weights"):
        WITHOUT_CLASSES[call](model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_layer_that_overflows_is_named_with_the_cure(dtype: torch.dtype) -> None:
    network = Net(scale=1e30).to(dtype)
    network.head = lambda z: z * torch.finfo(dtype).max * 1e9
    cure = "use dtype float32" if dtype == torch.float16 else "check its weights"
    with pytest.raises(NotFiniteError, match=rf"the outputs of Net are NaN or infinite; layer '' is .*{cure}"):
        classify(plain(network), images())
    network.relu = nn.Hardtanh(-torch.inf, torch.inf)
    network.conv.weight.data.fill_(torch.finfo(dtype).max)
    with pytest.raises(NotFiniteError, match=rf"layer 'conv' is the first to give such values: {cure}"):
        classify(plain(network), images())


def test_a_blinded_network_that_overflows_says_so() -> None:
    model = plain(Net())
    classify(model, images())
    with (
        blinded(model, Channels("relu", [0]), fill=3e38),
        pytest.raises(NotFiniteError, match=r"the outputs of Net are NaN or infinite; layer 'fc'|layer ''"),
    ):
        classify(model, images())


# Labels that a network brings


@pytest.fixture
def residual() -> Callable[..., Any]:
    timm = pytest.importorskip("timm")

    def build(count: int = 1000, **config: Any) -> Any:
        network = timm.create_model("resnet10t", num_classes=count)
        network.pretrained_cfg = network.pretrained_cfg | config
        return network

    return build


@pytest.mark.parametrize(("count", "config"), [
    (0, {}), (2, {}), (1000, {"tag": "mine"}), (1000, {"tag": None}), (1000, {"tag": "untrained"}),
    (2, {"label_names": ["a", "b", "c"], "num_classes": 3}),
])  # fmt: skip
def test_labels_that_are_not_known_are_not_made_up(residual: Any, count: int, config: dict[str, Any]) -> None:
    assert as_classifier(residual(count, **config)).labels == ()


def test_a_networks_own_labels_come_before_imagenets(residual: Any) -> None:
    names = [f"n{index}" for index in range(1000)]
    assert as_classifier(residual()).labels[0].startswith("tench")
    assert as_classifier(residual(label_names=names)).labels == tuple(names)
    described = as_classifier(residual(2, label_names=["a", "b"], label_descriptions={"a": "ant"}))
    assert described.labels == ("ant", "b")


def test_a_head_that_was_replaced_has_no_labels(residual: Any) -> None:
    network = residual()
    network.fc = nn.Linear(512, 3)
    assert as_classifier(network).labels == ()


def test_a_network_without_class_head_is_an_embedding(residual: Any) -> None:
    with pytest.raises(ValueError, match=r"embedding.*channel\(''"):
        classify(residual(0), torch.rand(1, 3, 64, 64))


def test_a_network_with_a_config_is_told_its_size_and_labels() -> None:
    network = Net()
    network.config = SimpleNamespace(id2label={0: "cat", 1: "dog", 2: "cow"}, image_size=SIDE)
    with pytest.raises(ValueError, match=r"processor.image_std\), 12, network.config.id2label\)"):
        classify(network, images())
