"""Units turned down and up, oblique projections: laws of `Scaled`, `Projection` and the steering curve."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optvis import Channels, Classifier, Directions, bake, blinded, evaluate, load
from optvis.ablation import Estimate, Mean, Scaled, SteeringCurve, UnitSelection, steering_curve
from optvis.ablation.evaluation.random_units import random_units
from optvis.ablation.evaluation.variants import complement
from optvis.ablation.units_json import units_from_json, units_to_json
from optvis.features import Projection
from optvis.world import dataset

CHANNELS = 6
FACTORS = (-1.0, 0.0, 0.5, 1.0, 2.0)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def oblique(layer: str, count: int = 2, **options) -> Projection:
    vectors, readers = random(count, CHANNELS, seed=1).double(), random(count, CHANNELS, seed=2).double()
    return Projection(layer, vectors, torch.linalg.solve(readers @ vectors.T, readers), **options)


UNITS = (
    Channels("1", [0, 3]),
    Channels("1", []),
    Directions("1", random(2, CHANNELS)),
    oblique("1"),
    oblique("1", center=random(CHANNELS, seed=3)),
)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    parts = nn.Conv2d(3, CHANNELS, 3, padding=1), nn.ReLU(), nn.Conv2d(CHANNELS, 5, 3), nn.BatchNorm2d(5), nn.ReLU()
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)).eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("units", UNITS, ids=repr)
def test_a_factor_of_one_and_an_empty_selection_change_no_bit(net, images, units):
    with torch.no_grad():
        before = net(images)
        with blinded(net, units, fill=Scaled(1)):
            assert net(images).equal(before)
        with blinded(net), blinded(net, Channels("1", [])):
            assert net(images).equal(before)
        assert bake(net, units, fill=Scaled(1))(images).equal(before)
        assert bake(net)(images).equal(before)


@pytest.mark.parametrize("units", UNITS[2:], ids=repr)
def test_what_is_read_along_units_is_scaled_and_the_rest_stays(net, images, units):
    a = random(3, CHANNELS, 4, 4).double()
    removed = a - units.replace(a, 0.0)
    for factor in FACTORS:
        scaled = units.replace(a, Scaled(factor).measure(net, [units])[0](a))
        torch.testing.assert_close(scaled, a - (1 - factor) * removed)


@pytest.mark.parametrize("units", UNITS, ids=repr)
@pytest.mark.parametrize("factor", FACTORS)
def test_scaled_units_baked_equal_those_hooked(net, images, units, factor):
    baked = bake(net, units, fill=Scaled(factor))
    assert baked.baked["fills"] == [{"factor": factor}]
    with torch.no_grad(), blinded(net, units, fill=Scaled(factor)):
        torch.testing.assert_close(baked(images), net(images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("layer", ["1", "3", "4"])
@pytest.mark.parametrize("fill", [None, 0.3, Scaled(0.5)], ids=str)
def test_a_projection_baked_equals_the_one_hooked_in_weights_and_modules(net, images, layer, fill):
    vectors, readers = random(1, 6 if layer == "1" else 5, seed=4), random(1, 6 if layer == "1" else 5, seed=5)
    units = Projection(layer, vectors, readers / (readers @ vectors.T), center=torch.full_like(vectors[0], 0.2))
    baked = bake(net, units, fill=fill)
    with torch.no_grad(), blinded(net, units, fill=fill):
        torch.testing.assert_close(baked(images), net(images), atol=1e-5, rtol=0)


def test_scaled_units_of_a_network_that_cannot_be_traced_are_inserted(images):
    class Untraceable(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, CHANNELS, 1)

        def forward(self, x):
            return self.conv(x).mean((2, 3)) if x.sum() > 0 else x

    plain = Classifier(Untraceable().eval(), None, 8)
    for units in (Channels("conv", [0, 3]), Directions("conv", random(2, CHANNELS)), oblique("conv")):
        baked = bake(plain, units, fill=Scaled(0.5))
        assert baked.network.baked["inserted"] == ["conv"]
        with torch.no_grad(), blinded(plain, units, fill=Scaled(0.5)):
            torch.testing.assert_close(baked.network(images), plain.network(images), atol=1e-5, rtol=0)


def test_a_projection_by_hand():
    units = Projection("a", [[1.0, 0.0, 0.0]], [[1.0, 2.0, 0.0]], [0.5, 0.0, 0.0])
    a = torch.tensor([[3.0, 1.0, 7.0]])
    torch.testing.assert_close(units.replace(a), a - torch.tensor([[4.5, 0, 0]]))
    torch.testing.assert_close(units.replace(a, 0.0), a - torch.tensor([[5.0, 0, 0]]))
    far = Projection("a", [[1.0, 0.0, 0.0]], [[1.0, 2.0, 0.0]], within=(2.3, 9))  # 5 / √5 = 2.24
    assert far.replace(a).equal(a)


def test_a_projection_is_idempotent_and_its_complement_is_everything_else():
    units = oblique("a", center=random(CHANNELS, seed=3))
    a = random(9, CHANNELS).double()
    torch.testing.assert_close(units.replace(units.replace(a)), units.replace(a))
    (others,) = complement((units,), {"a": CHANNELS})
    torch.testing.assert_close(units.projector(CHANNELS) + others.projector(CHANNELS), torch.eye(CHANNELS).double())
    torch.testing.assert_close(others.replace(a) + units.replace(a), a + units.center)
    whole = Projection("a", torch.eye(CHANNELS))
    assert len(complement((whole,), {"a": CHANNELS})[0]) == 0


def test_orthonormal_vectors_make_a_projection_the_directions():
    rows = torch.linalg.qr(random(CHANNELS, 2))[0].T
    a = random(3, CHANNELS, 2, 2)
    for fill in (0.0, 0.7, random(CHANNELS)):
        torch.testing.assert_close(Projection("a", rows).replace(a, fill), Directions("a", rows).replace(a, fill))
    torch.testing.assert_close(Projection("a", rows).projector(CHANNELS), Directions("a", rows).projector(CHANNELS))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (([1.0, 0.0], [0.0, 1.0]), "readers · vectors is not the identity"),
        (([1.0, 0.0], [1.0, 0.0, 0.0]), "and as many numbers in each"),
        (([1.0, 0.0], None, [1.0]), "expected a reader for each vector"),
        (([1.0, 0.0], None, [[1.0, 2.0], [3.0, 4.0]]), "one center for all"),
        (([float("nan"), 0.0],), "not finite"),
        (([[1.0, 2.0], [2.0, 4.0]],), "not the identity"),
    ],
)
def test_projections_that_are_none_are_refused(given, match):
    with pytest.raises(ValueError, match=match):
        Projection("a", *given)


def test_lengths_and_factors_are_checked():
    with pytest.raises(ValueError, match="6 numbers in '1', which has 5 channels"):
        oblique("1").replace(random(2, 5))
    with pytest.raises(ValueError, match="for 2 vectors"):
        oblique("1", within=(0, 1))
    with pytest.raises(ValueError, match="factor is inf"):
        Scaled(float("inf"))


def test_a_projection_is_saved_and_loaded(tmp_path):
    units = oblique("a", center=random(CHANNELS, seed=3), channel_axis=1)
    for again in (
        units_from_json(units_to_json(units)),
        UnitSelection.load(UnitSelection((units,), 0, "a", ()).save(tmp_path / "a.png"))[0],
    ):
        assert repr(again) == repr(units)
        for name in ("vectors", "readers", "center"):
            torch.testing.assert_close(getattr(again, name), getattr(units, name), atol=0, rtol=0)


def test_a_projection_is_evaluated_beside_random_subspaces_of_the_same_strength(net, images):
    units = oblique("1", center=random(CHANNELS, seed=3))
    report = evaluate(net, units, {"own": (images, 0)}, normalize=None, random_sets=5, progress=False)
    assert report.curve.counts == (0, 1, 2)
    assert report.recipe["fill"] == "center"
    with torch.no_grad(), blinded(net, units):
        assert [one.after for one in report.predictions] == [f"class {c}" for c in net(images).argmax(1).tolist()]
    assert {type(one) for one in random_units(units, torch.ones(CHANNELS), torch.eye(CHANNELS), 3, 0)} == {Directions}
    mean = evaluate(net, units, {"own": (images, 0)}, fill=Mean(images), normalize=None, random_sets=2, progress=False)
    assert "Mean" in mean.recipe["fill"]


def test_the_curve_is_the_recall_at_each_factor_and_says_where_the_class_falls(tmp_path):
    net = Classifier(nn.Sequential(nn.Conv2d(3, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)), None, 4)
    conv, head = net.network[0], net.network[3]
    conv.weight.data, conv.bias.data = torch.eye(3).view(3, 3, 1, 1), torch.zeros(3)
    head.weight.data, head.bias.data = torch.tensor([[1.0, 0, 0], [0, 0, 0]]), torch.tensor([0.0, 0.25])
    reds = torch.zeros(2, 3, 4, 4)
    reds[0, 0], reds[1, 0] = 0.3, 0.9  # called class 0 as long as red is above 0.25
    curve = steering_curve(
        net, Channels("0", [0]), {"red": (reds, 0), "dark": (0 * reds, 1)}, factors=(0, 0.5, 2), progress=False
    )
    assert curve.factors == (0, 0.5, 1, 2)
    assert [one.value for one in curve.recalls["red"]] == [0, 0.5, 1, 1]
    assert [one.value for one in curve.recalls["dark"]] == [1, 1, 1, 1]
    assert curve.falls_at == 0.5
    assert str(curve).startswith("red falls at the factor 0.50")
    again = SteeringCurve.load(curve.save(tmp_path / "curve.png"))
    assert (again.recalls, again.falls_at, str(again)) == (curve.recalls, 0.5, str(curve))
    steady = steering_curve(net, Channels("0", [1]), {"red": (reds, 0)}, factors=(0,), progress=False)
    assert steady.falls_at is None
    assert "red does not fall" in repr(steady)
    recalls = {"red": tuple(map(Estimate, (0.0, 0.5, 0.0)))}
    assert SteeringCurve("red", (0.0, 0.5, 1.0), recalls).falls_at is None  # nothing is left to fall at 1


def test_the_curve_of_the_embedded_network_agrees_with_blinded():
    demo, (scenes, labels) = load("demo"), dataset(16, seed=3)
    units = Channels("mixed5", range(60))
    curve = steering_curve(demo, units, {"all": (scenes, labels.tolist())}, factors=(0.3,), progress=False)
    with blinded(demo, units, fill=Scaled(0.3)):
        right = (demo.logits(scenes).argmax(1) == labels).double().mean()
    assert curve.recalls["all"][0].value == float(right)
