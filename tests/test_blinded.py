"""A network with some of its units switched off: laws of `blinded`, against passes by hand."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import Classifier, NotFiniteError, activations, classify, load, render
from optvis.ablation import Fill, Gaussian, Mean, Noise, Optimal, Resampled, bake, blinded
from optvis.features.units import Channels, Directions
from optvis.models.borrow import borrow
from optvis.models.tail import Tail
from optvis.objectives import OUTPUT, channel, on

OFF = Channels("relu1", [1, 5])


def random_tensor(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def images():
    return random_tensor(3, 3, 20, 20)


@pytest.fixture
def run_small(small, images):
    """What the small network in eval mode says of the images."""
    small.network.eval()

    def ask():
        with torch.no_grad():
            return small.network(small.preprocess(images))

    return ask


def by_hand(small, images, changes):
    """The output of the small network, with functions in place of some children's outputs."""
    x = small.preprocess(images)
    for name, module in copy.deepcopy(small.network).eval().named_children():
        x = module(x.clone()).detach()
        x = changes[name](x) if name in changes else x
    return x


def zero_channels(indices):
    def change(a):
        values = a.numpy().copy()
        values[:, indices] = 0
        return torch.from_numpy(values)

    return change


def without(vectors, fill=None):
    """The part along some vectors, by least squares, taken out or put to a fill's."""

    def change(a):
        rows = np.moveaxis(a.numpy(), 1, -1)
        basis = np.linalg.qr(np.asarray(vectors, dtype=float).T)[0]
        projection = basis @ basis.T
        target = np.zeros(rows.shape[-1]) if fill is None else np.asarray(fill)
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(rows - (rows - target) @ projection, -1, 1)))

    return change


def test_channels_answer_as_a_pass_by_hand(small, images, run_small):
    with blinded(small, OFF, Channels("conv2", 3)) as same:
        said = run_small()
    assert same is small
    assert_close(said, by_hand(small, images, {"relu1": zero_channels([1, 5]), "conv2": zero_channels([3])}))
    assert not torch.allclose(said, run_small())


def test_directions_answer_as_a_pass_by_hand(small, images, run_small):
    vectors, fill = random_tensor(2, 8, seed=1), random_tensor(8, seed=2)
    with blinded(small.network, Directions("relu1", vectors), fill=fill) as same:
        said = run_small()
    assert same is small.network
    assert_close(said, by_hand(small, images, {"relu1": without(vectors.numpy(), fill.numpy())}))


def test_a_whole_space_that_is_off_gives_its_fill(small, run_small, images):
    with blinded(small, Directions("relu2", torch.eye(12)[:, torch.randperm(12)]), fill=0.25):
        found = activations(small, images, ["relu2"])["relu2"]
    assert_close(found, torch.full_like(found, 0.25))


def test_zeroing_a_channel_is_projecting_out_its_direction(small, run_small):
    for layer, count in (("conv1", 8), ("bn1", 8), ("relu1", 8), ("relu2", 12), ("flat", 12), ("fc", 5), (OUTPUT, 5)):
        with blinded(small, Channels(layer, 2)):
            zeroed_ = run_small()
        with blinded(small, Directions(layer, torch.eye(count)[2])):
            assert_close(run_small(), zeroed_)


def test_it_is_undone_bit_for_bit(small, images, untouched):
    before = activations(small, images, ["conv1", "relu1", OUTPUT])
    units = OFF, Directions("conv1", random_tensor(8)), Channels(OUTPUT, 0)
    with untouched(small.network), blinded(small, *units, fill=Mean(images[:, :, ::2])):
        activations(small, images, [OUTPUT])
        with torch.no_grad():
            small.network.eval()(small.preprocess(images))
        small.network.train()
    after = activations(small, images, ["conv1", "relu1", OUTPUT])
    assert all(torch.equal(before[layer], after[layer]) for layer in before)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("blown"), torch.OutOfMemoryError("full")])
@pytest.mark.parametrize("fill", ["number", "measured", "optimal"])
def test_nothing_is_left_after_an_error(small, images, untouched, error, fill):
    fills = {"number": 0.0, "measured": Mean(images), "optimal": Optimal(images, 0, steps=3, progress=False)}
    small.network.fuse.arm(error, at={"number": 1, "measured": 1, "optimal": 4}[fill])
    units = Channels("fuse", 1)
    with untouched(small.network), pytest.raises(type(error)), blinded(small, units, fill=fills[fill]):
        activations(small, images, [OUTPUT])


def test_a_wrong_second_unit_leaves_nothing(small, untouched):
    with (
        untouched(small.network),
        pytest.raises(KeyError, match="nearest: 'relu2', 'relu1'"),
        blinded(small, OFF, Channels("relu", 0)),
    ):
        raise AssertionError("never here")


def test_nesting_is_naming_them_together_in_any_order(small, run_small):
    late = Directions("conv2", random_tensor(12, seed=3))
    with blinded(small, OFF, late):
        together = run_small()
    with blinded(small, OFF), blinded(small, late):
        assert torch.equal(run_small(), together)
    with blinded(small, late), blinded(small, OFF):
        assert torch.equal(run_small(), together)
    with blinded(small, OFF):
        with blinded(small, late):
            pass
        inner_gone = run_small()
    with blinded(small, OFF):
        assert torch.equal(run_small(), inner_gone)


def test_units_of_one_layer_come_one_after_the_other(small, images, run_small):
    tilted = [1.0, 1.0, *[0.0] * 6]
    first = by_hand(small, images, {"relu1": lambda a: without([tilted])(zero_channels([0])(a))})
    second = by_hand(small, images, {"relu1": lambda a: zero_channels([0])(without([tilted])(a))})
    units = Channels("relu1", 0), Directions("relu1", tilted)
    with blinded(small, *units):
        assert_close(run_small(), first)
    with blinded(small, *units[::-1]):
        assert_close(run_small(), second)
    assert not torch.allclose(first, second)


def test_a_layer_that_is_read_is_read_blind_and_before_what_overwrites_it(small, images):
    plain = activations(small, images, ["bn1", "relu1"])
    with blinded(small, Channels("bn1", [1, 5])):
        found = activations(small, images, ["bn1", "relu1"])
    assert torch.equal(found["bn1"], zero_channels([1, 5])(plain["bn1"]))
    assert torch.equal(found["relu1"], zero_channels([1, 5])(plain["relu1"]))
    assert found["bn1"].min() < 0


def test_before_or_behind_an_inplace_relu_a_channel_is_off_once(small, run_small):
    answers = []
    for units in ([Channels("bn1", 4)], [Channels("relu1", 4)], [Channels("bn1", 4), Channels("relu1", 4)]):
        with blinded(small, *units):
            answers.append(run_small())
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


class Reused(nn.Module):
    """One in-place ReLU, called twice, around a residual sum."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.a(x))
        out = self.b(x)
        out += x
        return self.relu(out)


@pytest.mark.parametrize("call", [0, 1])
def test_calls_of_a_module_are_told_apart_in_every_pass(call):
    network, x = Reused().eval(), random_tensor(2, 3, 4, 4, dtype=torch.float32)
    first = network.a(x).relu()
    first = zero_channels([2])(first.detach()) if call == 0 else first.detach()
    expected = (network.b(first) + first).relu().detach()
    expected = zero_channels([2])(expected) if call == 1 else expected
    with blinded(network, Channels(f"relu#{call}", 2)), torch.no_grad():
        for _ in range(2):
            activations(Classifier(network, None, 4), x, ["relu"])  # a pass that is cut short is no call behind
            assert_close(network(x), expected)


def test_several_networks_and_shared_modules_keep_apart(small, run_small):
    other = load("demo", weights=None)
    plain = run_small()
    with blinded(other, Channels("conv1", 0)):
        assert torch.equal(run_small(), plain)


def test_tokens_and_a_named_axis(small):
    network = nn.Linear(4, 6)
    x, kept = random_tensor(2, 5, 4, dtype=torch.float32), [0, 1, 3, 4, 5]
    with blinded(network, Channels("", 2)), torch.no_grad():
        tokens = network(x)
    with blinded(network, Channels("", 2, channel_axis=1)), torch.no_grad():
        rows = network(x)
    plain = network(x).detach()
    assert not tokens[..., 2].any()
    assert torch.equal(tokens[..., kept], plain[..., kept])
    assert not rows[:, 2].any()
    assert torch.equal(rows[:, [0, 1, 3, 4]], plain[:, [0, 1, 3, 4]])


def test_only_where_the_activation_lies_in_a_range(small, images, run_small):
    def change(a):
        inside = (a[:, 5:6] >= 0.1) & (a[:, 5:6] <= 0.6)
        return torch.cat([a[:, :5], torch.where(inside, 0.0, a[:, 5:6]), a[:, 6:]], 1)

    with blinded(small, Channels("relu1", 5, within=(0.1, 0.6))):
        assert_close(run_small(), by_hand(small, images, {"relu1": change}))


def test_gradients_are_those_of_the_blind_network(small, images):
    small.network.eval()
    inputs = small.preprocess(images[:1, :, :7, :7]).requires_grad_()
    units = OFF, Directions("conv2", random_tensor(2, 12)), Channels("bn1", 3, within=(-9.0, 9.0))
    with blinded(small, *units, fill={"relu1": 0.3, "conv2": random_tensor(12), "bn1": 0.1}):
        torch.autograd.gradcheck(small.network, inputs)
        torch.autograd.gradgradcheck(small.network, inputs)
    everything = Channels("relu1", range(8))
    with blinded(small, everything):
        (gradient,) = torch.autograd.grad(small.network(inputs).sum(), inputs)
    assert not gradient.any()


def test_weights_learn_in_a_blind_network(network):
    x = random_tensor(2, 3, 8, 8, dtype=torch.float32)
    with blinded(network, Channels("conv2", [0, 3])):
        (slopes,) = torch.autograd.grad(network.train()(x).sum(), network.conv2.weight)
    assert not slopes[[0, 3]].any()
    assert slopes[[1, 2]].any()


def test_a_blind_network_is_rendered_and_classifies(small, images, untouched):
    kind = {"steps": 3, "transform": None, "progress": False}
    with untouched(small.network):
        seeing = render(small, channel("conv2", 3), **kind)
        with blinded(small, Channels("relu1", [0, 1, 2])):
            blind = render(small, channel("conv2", 3), **kind)
            off = classify(small, images, top=5)
    assert not torch.equal(blind.scores, seeing.scores)
    assert torch.equal(render(small, channel("conv2", 3), **kind).images, seeing.images)
    scores = by_hand(small, images, {"relu1": zero_channels([0, 1, 2])})
    assert_close(off.confidences, scores.softmax(1).sort(1, descending=True).values, check_dtype=False)


@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_the_tail_of_a_blind_network_is_blind(small, images, fill):
    with blinded(small, OFF, Directions("conv2", random_tensor(12)), fill=fill), borrow(small.network), torch.no_grad():
        inputs = small.preprocess(images)
        whole = small.network(inputs)
        tail = Tail(small.network, images, inputs, "fuse")
        assert_close(tail.run(tail.activations, [OUTPUT])[OUTPUT], whole)


def test_fills_by_number_tensor_and_layer(small, images, run_small):
    values = random_tensor(8, seed=4)
    with blinded(small, OFF, fill=values):
        found = activations(small, images, ["relu1"])["relu1"]
    assert_close(found[:, [1, 5]], values[[1, 5]].view(1, 2, 1, 1).expand(3, 2, 20, 20))
    with blinded(small, OFF, Channels("conv2", 0), fill={"relu1": 0.5, "conv2": values.new_ones(12)}):
        found = activations(small, images, ["relu1", "conv2"])
    assert bool((found["relu1"][:, [1, 5]] == 0.5).all())
    assert bool((found["conv2"][:, 0] == 1).all())


def test_the_mean_is_that_over_images_and_positions(small, images):
    plain = activations(small, images, ["relu1", "conv2"])
    expected = np.mean(plain["relu1"].numpy(), axis=(0, 2, 3))
    vector = random_tensor(12, seed=5)
    unit = (vector / vector.norm()).numpy()
    middle = np.mean(plain["conv2"].numpy(), axis=(0, 2, 3)) @ unit
    with blinded(small, OFF, Directions("conv2", vector), fill=Mean(images)):
        found = activations(small, images[:1], ["relu1", "conv2"])
    for place in OFF.indices:
        assert_close(found["relu1"][:, place], torch.full((1, 20, 20), expected[place], dtype=torch.float64))
    along = np.moveaxis(found["conv2"].numpy(), 1, -1) @ unit
    np.testing.assert_allclose(along, middle)


def test_the_mean_does_not_depend_on_batches(small, images, monkeypatch):
    def read_relu():
        with blinded(small, OFF, fill=Mean(images)):
            return activations(small, images, ["relu1"])["relu1"]

    whole = read_relu()
    monkeypatch.setattr("optvis.ablation.unit_activations.PIXELS_PER_BATCH", 1)
    assert_close(read_relu(), whole)


def test_noise_has_each_channels_mean_and_deviation(small):
    images = random_tensor(64, 3, 20, 20)
    plain = activations(small, images, ["relu1"])["relu1"]
    with blinded(small, OFF, fill=Noise(images, seed=3)):
        found = activations(small, images, ["relu1"])["relu1"]
    for place in OFF.indices:
        mean, deviation = plain[:, place].numpy().mean(), plain[:, place].numpy().std()
        numbers = found[:, place].numpy()
        assert abs(numbers.mean() - mean) < 5 * deviation / math.sqrt(numbers.size)
        assert abs(numbers.std() / deviation - 1) < 5 / math.sqrt(2 * numbers.size)
    others = [place for place in range(8) if place not in OFF.indices]
    assert torch.equal(found[:, others], plain[:, others])


def test_noise_is_new_in_each_pass_and_the_same_in_each_block(small, images):
    def two(fill, batch):
        with blinded(small, OFF, fill=fill):
            return [activations(small, batch, ["relu1"])["relu1"] for _ in range(2)]

    fill = Gaussian(deviation=2.0, mean=torch.arange(8.0), seed=7)
    first, second = two(fill, images)
    assert not torch.equal(first, second)
    assert all(torch.equal(*pair) for pair in zip(two(fill, images), (first, second), strict=True))
    assert torch.equal(two(fill, images[:1])[1], second[:1])
    assert not torch.equal(two(Gaussian(2.0, torch.arange(8.0), 8), images)[0], first)
    assert not torch.equal(first[0, 1], first[1, 1])


def test_resampled_activations_are_those_of_a_given_image(small, images):
    bank = random_tensor(4, 3, 20, 20, seed=9)
    known = activations(small, bank, ["relu1"])["relu1"]
    plain = activations(small, images, ["relu1"])["relu1"]
    seen = set()
    with blinded(small, Channels("relu1", 1), Channels("relu1", 5), fill=Resampled(bank, seed=1)):
        for _ in range(6):
            found = activations(small, images, ["relu1"])["relu1"]
            for own, before in zip(found, plain, strict=True):
                matches = [i for i, other in enumerate(known) if torch.equal(own[[1, 5]], other[[1, 5]])]
                assert len(matches) == 1
                seen.update(matches)
                assert torch.equal(own[[0, 2, 3, 4, 6, 7]], before[[0, 2, 3, 4, 6, 7]])
    assert seen == {0, 1, 2, 3}
    with blinded(small, Channels("relu1", 1), fill=Resampled(bank)), pytest.raises(ValueError, match="12 × 12"):
        small.network(small.preprocess(images[:, :, :12, :12]))


def negative_distance(goals):
    """Minus the squared distance of the output to the goal of each image."""
    return on(OUTPUT, lambda a, w: -(a - w).square().sum(1), goals)


def test_the_optimal_constant_is_that_of_least_squares():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)).double()
    network[3].weight.data = torch.eye(5, dtype=torch.float64)[[1, 4, 2]] + 0.3 * random_tensor(3, 5, seed=1)
    net, images = Classifier(network, None, 8), random_tensor(6, 3, 8, 8)
    wanted = activations(net, images, [OUTPUT])[OUTPUT] + 0.3 * random_tensor(6, 3, seed=2)
    units = Channels("0", [1, 4])
    with torch.no_grad():
        with blinded(net, units):
            rest = network(images)
        weight = network[3].weight[:, [1, 4]].numpy()
    expected = np.linalg.lstsq(weight, (wanted - rest).numpy().mean(0), rcond=None)[0]
    fill = Optimal(images, negative_distance(wanted), steps=600, learning_rate=0.05, progress=False)
    with blinded(net, units, fill=fill):
        found = activations(net, images[:1], ["0"])["0"][0, [1, 4], 0, 0]
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-3 * np.abs(expected).max())


def test_the_optimal_constant_serves_no_worse_than_the_mean(small, images):
    units = OFF, Directions("conv2", random_tensor(2, 12))
    targets = torch.tensor([0, 3, 2])

    def loss(fill):
        with blinded(small, *units, fill=fill):
            return torch.nn.functional.cross_entropy(activations(small, images, [OUTPUT])[OUTPUT], targets)

    mean = loss(Mean(images))
    assert_close(loss(Optimal(images, targets, steps=0, progress=False)), mean)
    best = loss(Optimal(images, targets, steps=20, progress=False))
    assert best < mean
    named = Optimal(images, ["cat", "ocean liner", "container ship"], steps=20, progress=False)
    assert_close(loss(named), best)


@pytest.mark.parametrize(
    ("units", "fill", "error", "match"),
    [
        (["relu1"], 0.0, TypeError, "must be Channels"),
        ([Channels("relu9", 0)], 0.0, KeyError, "nearest"),
        ([OFF], "mean", TypeError, "fill must be Mean, .*, float"),
        ([OFF], math.nan, ValueError, "finite"),
        ([OFF], torch.full((8,), math.inf), ValueError, "finite"),
        ([OFF], {"conv1": 0.0}, KeyError, "nothing for layer 'relu1'"),
    ],
)
def test_bad_input_is_refused_before_the_network_runs(small, untouched, units, fill, error, match):
    with untouched(small.network), pytest.raises(error, match=match), blinded(small, *units, fill=fill):
        raise AssertionError("never here")
    assert small.network.fuse.calls == []


def test_optimal_constants_of_a_loss_that_is_never_finite_are_refused():
    class Broken(nn.Sequential):
        def forward(self, x):
            return super().forward(x).mean((2, 3)) * float("nan")

    model, images = Classifier(Broken(nn.Conv2d(3, 2, 3)), None, 8, head="softmax"), torch.rand(2, 3, 8, 8)
    with (
        pytest.raises(NotFiniteError, match="NaN or infinite at each step"),
        blinded(model, Channels("0", 1), fill=Optimal(images, [0, 1], steps=1, progress=False)),
    ):
        pass


def test_what_only_a_pass_can_tell_is_refused_in_it(small, images, run_small):
    for units, fill, error, match in (
        (Channels("relu1", 8), 0.0, IndexError, r"channel 8 of 'relu1', which has 0\.\.7"),
        (Directions("relu1", [1.0, 2.0]), 0.0, ValueError, "directions of 2 numbers"),
        (OFF, torch.zeros(5), ValueError, "5 numbers; the layer has 8 channels"),
    ):
        with blinded(small, units, fill=fill), pytest.raises(error, match=match):
            run_small()


def test_a_layer_without_a_tensor_is_refused():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    network = nn.Sequential(Pair())
    with blinded(network, Channels("0", 0)), pytest.raises(TypeError, match="a tuple of"):
        network(torch.rand(1, 3))


def test_nobodys_fill_and_nobodys_network():
    with pytest.raises(ValueError, match="normalised"), blinded(nn.Conv2d(3, 4, 1), Channels("", 0), fill=Mean([])):
        raise AssertionError("never here")
    with pytest.raises(TypeError, match="model must be Module or Classifier"), blinded("demo", Channels("", 0)):
        raise AssertionError("never here")
    for wrong in (lambda: Gaussian(-1.0), lambda: Optimal([], 0, steps=-1), lambda: Optimal([], 0, learning_rate=0.0)):
        with pytest.raises(ValueError, match="expected"):
            wrong()


def test_the_template_network_loses_what_its_filters_added():
    from .template_network import logit_drop, template_classifier, templates

    net, mixtures, off = template_classifier(), templates().double()[::8], [3, 17, 40]
    net.network.double()
    with torch.no_grad():
        before = net.network(mixtures)
        with blinded(net, Channels("filters", off)):
            assert_close(before - net.network(mixtures), logit_drop(mixtures, off))


# A fill of one's own, and networks that do not say how they are fed


class Shifted(Fill):
    """The channel's own activations, one column further; measured once."""

    def __init__(self):
        self.models = []

    def measure(self, model, units):
        self.models.append(model)
        return [lambda activations: activations.roll(1, dims=3) for _ in units]


def test_a_fill_of_ones_own_replaces_the_units_alone(small, images):
    fill = Shifted()
    with blinded(small, OFF, fill=fill):
        found = activations(small, images, ["relu1"])["relu1"]
        activations(small, images, ["relu1"])
    plain = activations(small, images, ["relu1"])["relu1"]
    others = [place for place in range(8) if place not in OFF.indices]
    assert torch.equal(found[:, OFF.indices], plain[:, OFF.indices].roll(1, dims=3))
    assert torch.equal(found[:, others], plain[:, others])
    assert fill.models == [small]


def test_normalize_is_for_fills_that_are_measured_on_images(small, images):
    larger = torch.nn.functional.interpolate(images, 224)  # the side of a bare network's images
    known = Classifier(small.network.eval(), small.normalize, 224)
    bare, fill, inputs = small.network, Mean(larger), known.preprocess(larger)
    with blinded(bare, OFF), blinded(bare, OFF, fill=Gaussian(1.0)):
        pass  # these need no images
    with pytest.raises(ValueError, match="does not say how its input is normalised"), blinded(bare, OFF, fill=fill):
        pass
    with torch.no_grad():
        with blinded(known, OFF, fill=fill):
            expected = bare(inputs)
        with blinded(bare, OFF, fill=fill, normalize=small.normalize):
            assert torch.equal(bare(inputs), expected)
        baked = bake(bare, OFF, fill=fill, normalize=small.normalize)
        assert_close(baked(inputs), expected)
    assert baked.baked["normalize"] == repr(small.normalize)
    assert bake(bare, OFF).baked["normalize"] == "None"
