"""Laws of features of autoencoders: as directions, as channels of a layer, exact, without the autoencoder's error."""

from __future__ import annotations

import copy
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from optvis import (
    Attribution,
    Channels,
    Classifier,
    Directions,
    Features,
    Report,
    UnitSelection,
    activation_atlas,
    activation_grid,
    attribute,
    bake,
    blinded,
    compare_renderings,
    evaluate,
    expose_features,
    find_units,
    layers,
    render,
)
from optvis.ablation import (
    Automatic,
    BeforeAfter,
    Gaussian,
    GreedySearch,
    Mean,
    Noise,
    Optimal,
    Resampled,
    Scaled,
    SelectionTask,
    leave_one_out,
    steering_curve,
)
from optvis.ablation.evaluation.random_units import random_units
from optvis.errors import MissingPartError
from optvis.features.feature_network import channel_objective
from optvis.microscope import MicroscopeOptions, build_microscope
from optvis.models.activations import activations
from optvis.objectives import feature, logit, on
from optvis.objectives.layout import channels_first, positions
from optvis.world import Scenes
from tests.operations import tiny
from tests.sparse import Dictionary, Fused

LAYER, C, K, SOME = "mixed4", 128, 160, [3, 90, 17]
SPARSE = Dictionary(C, K, is_pair=True, is_sparse=True).eval()
ORTHONORMAL = Dictionary(C, 64).eval()
QUIET = {"progress": False}


class Tokens(nn.Module):
    """A network of tokens whose layer "mix" gives (B, T, C), and with `is_map` the same numbers as (B, C, H, W)."""

    def __init__(self, is_map: bool, axis: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.embed, self.mix, self.head = nn.Conv2d(3, 12, 4, 4), nn.Identity(), nn.Linear(12, 5)
        self.is_map, self.axis = is_map, axis

    def forward(self, x: Tensor) -> Tensor:
        a = self.embed(x).relu()
        a = a if self.is_map else a.flatten(2).mT
        return self.head(channels_first(self.mix(a)).flatten(2).mean(2))


@pytest.fixture(scope="module")
def images(scenes: Any) -> Tensor:
    return scenes[0][0][:6]


def logits_without(model: Classifier, images: Tensor, units: Any, fill: Any = None) -> Tensor:
    with blinded(model, units, fill=fill):
        return model.logits(images)


# Switched off


@pytest.mark.parametrize("fill", ["zero", "number", "mean", "half", "twice"])
@pytest.mark.parametrize("is_pair", [False, True])
def test_a_feature_of_an_orthonormal_dictionary_is_a_direction(demo, images, fill, is_pair):
    sae = copy.deepcopy(ORTHONORMAL)
    sae.is_pair = is_pair
    fills = {"zero": 0.0, "mean": Mean(images), "half": Scaled(0.5), "twice": Scaled(2.0)}
    along = (0.7 * sae.atoms[SOME[:1]].sum(0)).detach()
    of_features, of_directions = (0.7, along) if fill == "number" else (fills[fill], fills[fill])
    some = SOME[:1] if fill == "number" else [3, 40, 17]
    units = Features(LAYER, sae, some), Directions(LAYER, sae.atoms[some].detach())
    found = logits_without(demo, images, units[0], of_features)
    assert_close(found, logits_without(demo, images, units[1], of_directions), atol=1e-5, rtol=1e-5)
    assert (found - demo.logits(images)).abs().max() > 1e-2


@pytest.mark.parametrize("sae", [SPARSE, ORTHONORMAL], ids=["sparse", "orthonormal"])
@pytest.mark.parametrize(("some", "fill"), [([3, 40], Scaled(1.0)), ([], 0.0), ([], Scaled(0.0)), ([], Gaussian(1.0))])
def test_a_factor_of_one_and_no_features_change_no_bit(demo, images, sae, some, fill):
    assert torch.equal(logits_without(demo, images, Features(LAYER, sae, some), fill), demo.logits(images))


def test_what_is_not_reconstructed_stays(demo, images):
    """A bad autoencoder is no collateral: without a feature that is on nowhere, nothing changes at all."""
    a = activations(demo, images, LAYER)[LAYER]
    unit = Features(LAYER, SPARSE, 0)
    codes = unit.read(a)
    off = (codes.flatten(2).amax((0, 2)) == 0).nonzero().flatten().tolist()
    rebuilt = unit.autoencoder.decode(codes, a)
    assert off
    assert (rebuilt - a).norm() > 0.3 * a.norm()
    assert torch.equal(logits_without(demo, images, unit.choose(off)), demo.logits(images))


def test_activations_change_by_what_the_codes_decode_to(demo, images):
    a = activations(demo, images, LAYER)[LAYER]
    with torch.no_grad():
        rows = a.movedim(1, -1).flatten(0, -2)
        codes = SPARSE.encode(rows)[1]
        fewer = codes.clone()
        fewer[:, SOME] = 0
        expected = rows + SPARSE.decode(fewer) - SPARSE.decode(codes)
    with blinded(demo, Features(LAYER, SPARSE, SOME)):
        found = activations(demo, images, LAYER)[LAYER]
    assert_close(found.movedim(1, -1).flatten(0, -2), expected, atol=1e-5, rtol=1e-5)


def test_a_range_replaces_codes_only_in_it():
    a = torch.tensor([[1.0, 3.0], [5.0, -2.0]])
    same = SimpleNamespace(encode=lambda x: x, decode=lambda z: z)
    found = Features("x", same, [0, 1], within=(0.0, 4.0)).replace(a)
    assert found.tolist() == [[0, 0], [5, -2]]


@pytest.mark.parametrize("fill", [Mean, Noise, Resampled, lambda images: Optimal(images, 0, steps=1, progress=False)])
def test_measured_fills_replace_codes(demo, images, fill):
    found = logits_without(demo, images, Features(LAYER, SPARSE, SOME), fill(images))
    assert found.isfinite().all()
    assert not torch.equal(found, demo.logits(images))


def test_the_mean_is_that_of_the_codes(demo, images):
    unit = Features(LAYER, SPARSE, SOME)
    mean = unit.read(activations(demo, images, LAYER)[LAYER]).mean((0, 2, 3))
    found, expected = (logits_without(demo, images, unit, fill) for fill in (Mean(images), mean))
    assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_tensors_and_tuples_of_codes_are_the_same(demo, images):
    pair, alone = (Dictionary(C, K, is_pair=is_pair, is_sparse=True).eval() for is_pair in (True, False))
    found = [logits_without(demo, images, Features(LAYER, sae, SOME)) for sae in (pair, alone)]
    assert torch.equal(*found)


class Registered(nn.Module):
    """A network of a class token, three registers and 4 × 4 patches, which reads all of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.patch_embed, self.mix, self.head = nn.Conv2d(3, 12, 4, 4), nn.Identity(), nn.Linear(12, 5)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 12))
        self.reg_token = nn.Parameter(torch.randn(1, 3, 12))

    def forward(self, x: Tensor) -> Tensor:
        before = torch.cat([self.cls_token, self.reg_token], 1).expand(len(x), -1, -1)
        return self.head(self.mix(torch.cat([before, self.patch_embed(x).flatten(2).mT], 1)).tanh().sum(1))


@pytest.mark.parametrize("tokens", ["patches", "class", "registers", "all"])
def test_attribution_and_selection_see_the_features_of_the_tokens_that_are_meant(tokens):
    net, sae, images = Classifier(Registered(), None, 16), Dictionary(12, 20).eval(), torch.rand(4, 3, 16, 16)
    found = attribute(net, images, "mix", logit(2), features=sae, tokens=tokens, method="ablation", **QUIET)
    units = Features("mix", sae, [7], tokens=tokens)
    drops = (net.logits(images) - logits_without(net, images, units))[:, 2]
    assert_close(found.channels[:, 7], drops, atol=1e-6, rtol=1e-5)
    assert found.channels.abs().max() > 1e-2
    target = int(net.logits(images)[0].argmax())
    chosen = find_units(
        net, images[:1], target, layers="mix", tokens=tokens, features=sae, method=choose_by_codes, progress=False
    )
    assert chosen[0].layer == units.layer
    assert SEEN.pop() == {"patches": 16, "class": 1, "registers": 3, "all": 20}[tokens]


SEEN: list[int] = []


def choose_by_codes(task: SelectionTask) -> Channels:
    """The first feature; notes how many codes of it there are in an image."""
    (layer,) = task.layers
    codes = positions(activations(task.classifier, task.images, layer)[layer])
    SEEN.append(codes.shape[2])
    return Channels(layer, [0])


@pytest.mark.parametrize("is_sparse", [False, True])
def test_maps_and_tokens_are_the_same(is_sparse):
    """The same numbers as (B, C, H, W), as (B, T, C), and on another axis."""
    sae, images = Dictionary(12, 20, is_sparse=is_sparse).eval(), torch.rand(3, 3, 16, 16)
    found = []
    for is_map in (True, False):
        net = Classifier(Tokens(is_map), None, 16)
        units = Features("mix", sae, [1, 7])
        exact = attribute(net, images, "mix", logit(2), features=sae, method="ablation", **QUIET).channels
        shown = feature("mix", sae, [1, 7, 2])(activations(net, images, "mix"))
        found.append((logits_without(net, images, units), exact, shown))
    for of_map, of_tokens in zip(*found, strict=True):
        assert_close(of_map, of_tokens, atol=1e-6, rtol=1e-5)
    a = torch.rand(2, 5, 4, 12)
    last, first = Features("x", sae, [1], channel_axis=-1).replace(a), Features("x", sae, [1]).replace(a.movedim(-1, 1))
    assert_close(last, first.movedim(1, -1))


# Rendered and attributed


def test_the_objective_is_the_mean_code_and_its_gradient_that_of_the_encoder():
    a = torch.rand(2, C, 2, 3, dtype=torch.float64, requires_grad=True)
    sae = copy.deepcopy(SPARSE).double()
    pre, codes = (found.unflatten(0, (2, 2, 3)) for found in sae.encode(a.movedim(1, -1).flatten(0, -2)))
    lit = codes.flatten(1, 2).mean(1).argmax(1).tolist()
    objective = feature("x", sae, lit)
    expected = torch.stack([codes[place, ..., number].mean() for place, number in enumerate(lit)])
    assert_close(objective({"x": a}), expected)
    assert torch.autograd.gradcheck(lambda a: objective({"x": a}), a)
    off = int(codes.flatten(0, 2).mean(0).argmin())
    score = feature("x", sae, off)({"x": a})
    assert score.tolist() == [0, 0]
    nearest = pre[..., off].flatten(1).amax(1)
    gradients = [torch.autograd.grad(s.sum(), a, retain_graph=True)[0] for s in (score, nearest)]
    assert_close(*gradients)
    assert gradients[0].abs().sum() > 0


def test_the_gradient_of_a_feature_that_is_off_does_not_depend_on_other_images():
    threshold = SimpleNamespace(encode=lambda x: (x - 1).relu(), decode=lambda z: z)
    weak, strong = torch.full((1, C, 2, 2), -0.01), torch.full((1, C, 2, 2), -10.0)

    def gradient(a):
        a.requires_grad_()
        return torch.autograd.grad(feature("x", threshold, 0)({"x": a}).sum(), a)[0]

    together = gradient(torch.cat([weak, strong]))
    assert torch.equal(together, torch.cat([gradient(weak), gradient(strong)]))
    assert together[1].abs().sum() > 0


@pytest.mark.parametrize("is_pair", [True, False])
def test_a_feature_is_rendered(demo, is_pair):
    sae = copy.deepcopy(SPARSE)
    sae.is_pair = is_pair
    objective = feature(LAYER, sae, range(2))
    rendering = render(demo, objective, size=64, steps=24, **QUIET)
    assert rendering.scores[0].eq(0).any()  # a feature that is off all over the first image is turned on
    assert rendering.scores[-1].gt(2 * rendering.scores[0] + 0.01).all()
    assert str(objective) == "feature('mixed4', <Dictionary>, [0, 1])"
    assert str(feature(LAYER, SPARSE, 7, channel_axis=1)) == "feature('mixed4', <Dictionary>, 7, channel_axis=1)"


@pytest.mark.parametrize("sae", [SPARSE, ORTHONORMAL], ids=["sparse", "orthonormal"])
def test_exact_attribution_is_the_score_lost_without_each_feature(demo, images, sae):
    found = attribute(demo, images, LAYER, logit("owl"), features=sae, method="ablation", **QUIET)
    owl, before = demo.labels.index("owl"), demo.logits(images)
    for number in SOME[::2]:
        after = logits_without(demo, images, Features(LAYER, sae, number))
        assert_close(found.channels[:, number], (before - after)[:, owl], atol=1e-5, rtol=1e-4)
    assert found.top(3).indices == tuple(found.channels.mean(0).topk(3).indices.tolist())
    assert (found.table(1), repr(found)) == (
        found.table(1),
        "Attribution(6 images, 'mixed4', logit('owl'), of features)",
    )


def test_gradients_are_those_along_the_dictionary(demo, images):
    """Gradient times code, with the gradient of the score along each row of the dictionary."""
    found = attribute(demo, images, LAYER, logit("owl"), features=ORTHONORMAL, method="grad_x_activation", **QUIET)
    plain = attribute(demo, images, LAYER, logit("owl"), method="grad_x_activation", **QUIET)
    along, codes = (a.movedim(1, -1) @ ORTHONORMAL.atoms.detach().T for a in (plain.gradients, plain.activations))
    assert_close(found.channels, (along * codes).sum((1, 2)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", ["midpoint", "integrated_gradients", "smoothgrad", "stochastic_ig"])
def test_every_method_takes_features(demo, images, method):
    found = attribute(demo, images[:2], LAYER, logit("owl"), features=SPARSE, method=method, **QUIET)
    assert found.channels.shape == (2, K)
    assert found.channels.abs().max() > 0


# A layer of codes


def test_the_layer_of_codes_is_a_layer_of_the_same_network(demo, images):
    exposed = expose_features(demo, LAYER, SPARSE)
    assert torch.equal(exposed.logits(images), demo.logits(images))
    assert layers(exposed)["codes"].output == "1 × 160 × 12 × 12"
    assert set(layers(demo).names) == set(layers(exposed).names) - {"codes"}
    codes, a = activations(exposed, images, "codes")["codes"], activations(demo, images, LAYER)[LAYER]
    assert torch.equal(codes, Features(LAYER, SPARSE, 0).read(a))
    found = logits_without(exposed, images, Channels("codes", SOME))
    assert_close(found, logits_without(demo, images, Features(LAYER, SPARSE, SOME)))
    inner = expose_features(exposed, "mixed5", Dictionary(192, 32), name="more")
    assert_close(inner.logits(images), demo.logits(images))


@pytest.mark.parametrize("build", [lambda: Dictionary(12, 20, is_sparse=True), lambda: Fused(12, 20)])
def test_the_autoencoder_moves_with_the_network(build):
    sae, images = build().eval(), torch.rand(2, 3, 16, 16)
    exposed = expose_features(Classifier(Tokens(is_map=True), None, 16), "mix", sae)
    codes = activations(exposed, images, "codes")["codes"]
    exposed.network.double()
    again = activations(exposed, images, "codes")["codes"]
    assert again.dtype == torch.float64
    assert_close(again.float(), codes, atol=1e-5, rtol=1e-5)
    assert {weight.dtype for weight in sae.parameters()} == {torch.float32}


def test_networks_with_another_output_are_opened_too():
    class Pair(Tokens):
        def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            return {"scores": super().forward(x)}

    net, images = Classifier(Pair(is_map=True), None, 16, output="scores"), torch.rand(2, 3, 16, 16)
    exposed = expose_features(net, "mix", Dictionary(12, 20))
    assert torch.equal(exposed.logits(images), net.logits(images))


# Found and judged


@pytest.mark.parametrize(
    "method",
    [Automatic(max_units=2, target_weights=(0.1,)), GreedySearch(max_units=1), "contrast", "top_norm", "most_frequent"],
    ids=["auto", "greedy", "contrast", "top_norm", "most_frequent"],
)
def test_features_are_found(demo, scenes, method, tmp_path):
    found_on, truth = scenes[0]
    own, others = found_on[truth == 0], found_on[truth != 0][::6]
    options: dict[str, Any] = {"keep": others, "layers": LAYER, "features": SPARSE, "method": method}
    selection = find_units(demo, own, 0, **options, **QUIET)
    (units,) = selection
    assert isinstance(units, Features)
    assert (units.layer, len(units)) == (LAYER, len(selection.evidence))
    assert selection.evidence[0].unit == f"feature {units.indices[0]}"
    assert "feature" in selection.attempts[-1].units
    assert "<features>" not in str(selection)
    path = selection.save(tmp_path / "units.png")
    assert UnitSelection.load(path, sae=SPARSE)[0].indices == units.indices
    with pytest.raises(MissingPartError, match=r"needs a Dictionary of 160 features.*give it: load\(path, sae=...\)"):
        UnitSelection.load(path)
    with pytest.raises(MissingPartError, match="load the weights that it was saved with"):
        UnitSelection.load(path, sae=Dictionary(C, K + 1))


def test_one_image_after_the_other_is_left_out(demo, scenes):
    found_on, truth = scenes[0]
    options: dict[str, Any] = {"layers": LAYER, "features": SPARSE, "method": "contrast"}
    table = leave_one_out(demo, found_on[truth == 0], 0, keep=found_on[truth == 1], **options, **QUIET)
    assert len(table) >= 5


def test_methods_that_choose_no_channels_and_several_layers_are_refused(demo, scenes):
    found_on, truth = scenes[0]
    own, others = found_on[truth == 0], found_on[truth != 0]
    with pytest.raises(TypeError, match="features are listed by numbers: use 'auto'"):
        find_units(demo, own, 0, keep=others, layers=LAYER, features=SPARSE, method="leace", **QUIET)
    with pytest.raises(ValueError, match="an autoencoder belongs to one layer"):
        find_units(demo, own, 0, keep=others, layers=[LAYER, "mixed5"], features=SPARSE, **QUIET)


def test_reports_of_a_feature_and_its_direction_agree(demo, scenes, tmp_path):
    judged, truth = scenes[1]
    sets = {"own": (judged[truth == 0], 0), "others": (judged[truth == 1], 1)}
    both = Features(LAYER, ORTHONORMAL, [3, 40]), Directions(LAYER, ORTHONORMAL.atoms[[3, 40]].detach())
    of_features, of_directions = (evaluate(demo, units, sets, random_sets=5, **QUIET) for units in both)
    for one, other in zip(of_features.sets, of_directions.sets, strict=True):
        numbers = [(row.drop.value, row.confidence_drop.value, row.log_odds_drop.value) for row in (one, other)]
        assert numbers[0] == pytest.approx(numbers[1], abs=1e-5)
    assert of_features.curve.counts == (0, 1, 2)
    assert "without 2 features of mixed4" in str(of_features)
    of_features.save(tmp_path / "report")
    assert str(Report.load(tmp_path / "report")) == str(of_features)
    assert of_features.recipe["units"][0]["of"] == 64
    curve = steering_curve(demo, both[0], sets, factors=[0.0, 2.0], **QUIET)
    assert curve.factors == (0.0, 1.0, 2.0)
    assert type(curve).load(curve.save(tmp_path / "curve.png")).recalls == curve.recalls


def test_random_features_are_drawn_as_channels_are():
    norms, units = torch.arange(60.0), Features(LAYER, SPARSE, [58, 3])
    drawn = random_units(units, norms, torch.zeros(()), 50, seed=0)
    assert all(isinstance(one, Features) and one.autoencoder is units.autoencoder for one in drawn)
    assert all(one.indices[0] >= 50 and one.indices[1] < 10 for one in drawn)


def test_results_with_features_are_saved(demo, images, tmp_path):
    found = attribute(demo, images[:2], LAYER, logit("owl"), features=SPARSE, **QUIET)
    path = found.save(tmp_path / "attribution.png")
    assert torch.equal(Attribution.load(path).values, found.values)
    assert Attribution.load(path, sae=SPARSE).top(2).indices == found.top(2).indices
    with pytest.raises(MissingPartError, match="not in the file"):
        Attribution.load(path).bottom(2)
    compared = compare_renderings(demo, Features(LAYER, SPARSE, SOME), logit("owl"), steps=1, **QUIET)
    assert "without 3 features of mixed4" in compared._title()
    assert BeforeAfter.load(compared.save(tmp_path / "compared.png"))._title() == compared._title()


# The autoencoder


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("build", [lambda: Dictionary(C, K, is_pair=True, is_sparse=True), lambda: Fused(C, K)])
def test_the_autoencoder_is_left_as_it_was(demo, images, untouched, build, is_training):
    sae = build().train(is_training)
    sae.atoms.data *= 3
    with untouched(sae), untouched(demo.network):
        logits_without(demo, images, Features(LAYER, sae, SOME), Mean(images))
        render(demo, feature(LAYER, sae, 1), size=32, steps=1, **QUIET)
        attribute(demo, images[:1], LAYER, logit(0), features=sae, **QUIET)


@pytest.mark.parametrize("build", [lambda: Dictionary(C, K, is_sparse=True), lambda: Fused(C, K)])
def test_features_stay_what_they_were_and_run_in_eval_mode(demo, images, build):
    sae = build().train()
    unit = Features(LAYER, sae, SOME)
    first = logits_without(demo, images, unit)
    with torch.no_grad():
        sae.atoms.mul_(-1)
    assert torch.equal(logits_without(demo, images, unit), first)


def test_several_threads_share_an_autoencoder(demo, images):
    unit, found = Features(LAYER, SPARSE, SOME), {}
    expected = logits_without(demo, images, unit)

    def run(number: int) -> None:
        found[number] = logits_without(demo, images, unit)

    threads = [Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(found[number], expected) for number in range(3))


def codes_of(codes: Any) -> SimpleNamespace:
    return SimpleNamespace(encode=lambda x: codes(x), decode=lambda z: z @ torch.ones(z.shape[1], C))


FAULTS: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "no encode": (object(), 0, TypeError, r"sae is .*, which has no encode\(\); expected an autoencoder with"),
    "no decode": (SimpleNamespace(encode=len), 0, TypeError, r"which has no decode\(\)"),
    "a class": (Dictionary, 0, TypeError, r"which has no encode\(\)"),
    "no integer": (SPARSE, 1.5, TypeError, "indices must be int, .* got float 1.5"),
    "a negative number": (SPARSE, -1, ValueError, "feature -1 of 'mixed4'; expected 0 or more"),
    "a large number": (SPARSE, K, IndexError, r"feature 160 of 'mixed4'; its autoencoder Dictionary has 0\.\.159"),
    "another width": (Dictionary(64, 80), 0, ValueError, "Dictionary.encode fails on rows .*128.* of 'mixed4': .*mat1"),
    "another dtype": (Dictionary(C, K).double(), 0, ValueError, "is float64 on cpu, .* on cpu; move it: sae.to"),
    "another device": (Dictionary(C, K).to("meta"), 0, ValueError, "is float32 on meta, and 'mixed4' gives"),
    "codes of each image": (codes_of(lambda x: x[:1]), 0, ValueError, r"expected codes \(864, K\), or a tuple"),
    "codes as maps": (codes_of(lambda x: x.view(6, -1, C)), 0, ValueError, "encode gives .6, 144, 128. for the 864"),
    "a tuple of three": (codes_of(lambda x: (x, x, x)), 0, ValueError, "encode gives a tuple of 3"),
    "integers": (codes_of(lambda x: x.long()), 0, ValueError, "encode gives .864, 128. of torch.int64"),
    "no tensor": (codes_of(lambda x: None), 0, ValueError, "encode gives a NoneType"),
    "narrow rows": (
        SimpleNamespace(encode=lambda x: x, decode=lambda z: z[:, :7]), 0, ValueError,
        r"decode gives \(864, 7\) .*; expected \(864, 128\): give an autoencoder of this layer's 128 channels",
    ),
    "an assertion": (
        SimpleNamespace(encode=lambda x: (_ for _ in ()).throw(AssertionError("no threshold")), decode=len), 0,
        ValueError, "encode fails on rows .*: no threshold; give an autoencoder that was trained on this layer",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sae", "number", "error", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_told_in_a_sentence(demo, images, untouched, sae, number, error, message):
    with untouched(demo.network), pytest.raises(error, match=message) as caught:
        logits_without(demo, images, Features(LAYER, sae, number))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ("narrow rows", "a negative number")])
def test_objectives_tell_the_same_faults(demo, images, name):
    sae, number, error, _ = FAULTS[name]
    with pytest.raises(error):
        feature(LAYER, sae, number)(activations(demo, images, LAYER))


def test_names_of_layers_are_not_taken_twice_and_weights_cannot_express_features(demo):
    for name in ("head", "", "a.b", "relu#1", "codes@all"):  # what stands behind an @ says which tokens are meant
        with pytest.raises(ValueError, match="and '@' that no layer of the network has"):
            expose_features(demo, LAYER, SPARSE, name=name)
    with pytest.raises(KeyError, match="no layer 'mixd4'"):
        expose_features(demo, "mixd4", SPARSE)
    with pytest.raises(ValueError, match=r"needs its autoencoder in each pass, .* use blinded\(\)"):
        bake(demo, Features(LAYER, SPARSE, SOME))
    for units in (Channels("codes", [3]), Channels("head", [1])):
        with pytest.raises(ValueError, match=r"codes of an autoencoder as a layer, .* bake the network itself"):
            bake(expose_features(demo, LAYER, SPARSE), units)


def test_an_objective_takes_one_image_for_each_feature():
    assert feature("x", SPARSE, [1, 2, 3]).batch == 3
    assert (feature("x", SPARSE, 1) + on("x", lambda a: a.flatten(1).mean(1))).batch == 1


def test_a_microscope_of_features(demo, tmp_path):
    """Pages speak of features of the layer, and features that are off are turned on when they are rendered."""
    exposed = expose_features(demo, LAYER, SPARSE)
    options = MicroscopeOptions(top_images=2, sample_size=2)
    build_microscope(exposed, Scenes(3), "codes", tmp_path, channels=[0, 3], size=32, steps=2, options=options, **QUIET)
    page = (tmp_path / "layer-codes" / "3.html").read_text(encoding="utf-8")
    assert "Feature 3 of mixed4" in page
    assert "all features" in page
    options_named = ("channel_axis", "class_channels")  # in the recipe
    text = page.casefold()
    for name in options_named:
        text = text.replace(name, "")
    assert "channel" not in text
    objective = channel_objective(exposed, "codes", [3, 4])
    assert str(objective) == "feature('mixed4', <Dictionary>, [3, 4])"
    assert str(channel_objective(exposed, LAYER, [3])) == "channel('mixed4', 3)"


@pytest.fixture(scope="module")
def overcomplete() -> Any:
    """The package of autoencoders, if it is installed."""
    matplotlib = pytest.importorskip("matplotlib")
    if not hasattr(matplotlib.cm, "get_cmap"):  # which matplotlib 3.9 removed, and overcomplete 0.3 imports
        matplotlib.cm.get_cmap = matplotlib.colormaps.__getitem__
    return pytest.importorskip("overcomplete.sae")


@pytest.mark.parametrize("name", ["SAE", "TopKSAE", "BatchTopKSAE", "JumpSAE", "QSAE", "MpSAE", "OMPSAE"])
@pytest.mark.parametrize("is_training", [True, False])
def test_autoencoders_of_overcomplete_are_taken_as_they_are(demo, images, untouched, overcomplete, name, is_training):
    torch.manual_seed(0)
    sae = getattr(overcomplete, name)(C, 150)
    sae(torch.rand(64, C))  # so that thresholds are known
    sae.train(is_training)
    with untouched(sae):
        unit = Features(LAYER, sae, [0])
        codes = unit.read(activations(demo, images, LAYER)[LAYER])
        lit = codes.flatten(2).amax((0, 2)).topk(3).indices.tolist()
        found = logits_without(demo, images, unit.choose(lit))
        exact = attribute(demo, images[:1], LAYER, logit(0), features=sae, method="ablation", **QUIET)
        if name == "OMPSAE":  # its encoder runs without gradients
            with pytest.raises(ValueError, match="does not depend on the image"):
                render(demo, feature(LAYER, sae, lit), size=32, steps=2, **QUIET)
        else:
            assert render(demo, feature(LAYER, sae, lit), size=32, steps=2, **QUIET).scores.isfinite().all()
    assert codes.shape[1] == 150
    assert not torch.equal(found, demo.logits(images))
    assert exact.channels.abs().max() > 0


def test_grids_and_atlases_of_features(images):
    subject = tiny()
    exposed = expose_features(subject.classifier, subject.late, Dictionary(8, 12, is_sparse=True))
    atlas = activation_atlas(exposed, subject.images, "codes", levels=[2], options=subject.atlas, **QUIET)
    grid = activation_grid(exposed, subject.images[:1], "codes", groups=0, size=8, steps=1, **QUIET)
    assert (atlas.layer, grid.layer) == ("codes", "codes")
