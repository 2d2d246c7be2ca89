"""Named layers of a borrowed network: laws of `activations`, against hand-made forward passes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from optvis import IMAGENET, Classifier, activations, attribute, layers
from optvis.objectives import IMAGE, OUTPUT, logit


def plain(network):
    """Fed as it is: no normalisation, 8 pixels."""
    return Classifier(network, None, 8)


@pytest.fixture
def images():
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def by_hand(network, images):
    """The output of each child of a sequential network, without hooks and without in-place work."""
    found, x = {}, images
    for name, module in copy.deepcopy(network).eval().named_children():
        x = module(x.clone())
        found[name] = x.detach().clone()
    return found


def test_every_layer_is_what_a_pass_by_hand_gives(small):
    images = torch.rand(2, 3, 20, 20, dtype=torch.float64)
    oracle = by_hand(small.network, small.preprocess(images))
    together = activations(small, images, list(oracle))
    for name, expected in oracle.items():
        assert torch.equal(together[name], expected), name
        assert torch.equal(activations(small, images, [name])[name], expected), name


def test_a_convolution_before_an_inplace_relu_gives_its_own_output(images):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 3))
    found = activations(plain(network), images, ["0", "1", "2"])
    assert found["0"].min() < 0
    assert torch.equal(found["0"].relu(), found["1"])


def test_an_inplace_addition_does_not_reach_the_layer_it_adds_to(images):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.relu, self.head = nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 1)

        def forward(self, x):
            out = self.body(x)
            out += x
            return self.head(self.relu(out))

    network = Residual()
    found = activations(plain(network), images, ["head", "relu", "body"])
    assert_close(found["body"], network.body(images).detach())
    assert_close(found["relu"], (network.body(images) + images).relu().detach())


def test_a_network_that_works_in_place_on_its_input_leaves_the_image(images):
    given = images.clone().to(memory_format=torch.channels_last)
    network = nn.Sequential(nn.Hardtanh(0.4, 0.6, inplace=True), nn.Conv2d(3, 2, 1))
    found = activations(plain(network), given, [IMAGE, "1"])
    assert torch.equal(found[IMAGE], images)
    assert torch.equal(given, images)


def test_nothing_after_the_deepest_layer_runs(small):
    assert activations(small, torch.rand(1, 3, 20, 20), ["relu1", "conv1"]).keys() == {"relu1", "conv1"}
    assert small.network.fuse.calls == []
    activations(small, torch.rand(1, 3, 20, 20), ["conv2"])
    assert small.network.fuse.calls == [1]


def test_no_layers_need_no_pass(small):
    assert activations(small, torch.rand(1, 3, 20, 20), []) == {}
    assert activations(small, torch.rand(1, 3, 20, 20), [IMAGE]).keys() == {IMAGE}
    assert small.network.fuse.calls == []


class Reused(nn.Module):
    """One ReLU, called three times."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.relu = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.ReLU()

    def forward(self, x):
        return self.relu(-self.relu(self.b(self.relu(self.a(x)))))


def test_later_calls_of_a_module_are_numbered(images):
    network = Reused()
    first = network.a(images).relu().detach()
    second = network.b(first).relu().detach()
    found = activations(plain(network), images, ["relu#2", "relu", "relu#1", "relu#0"])
    assert_close(found["relu"], first)
    assert_close(found["relu#0"], first)
    assert_close(found["relu#1"], second)
    assert torch.equal(found["relu#2"], torch.zeros_like(second))
    assert [row.name for row in layers(plain(network))] == ["a", "relu", "b", "relu#1", "relu#2", ""]


def test_a_call_that_never_comes_is_refused(images):
    with pytest.raises(ValueError, match=r"layer 'relu#3' never ran .*'relu#2'"):
        activations(plain(Reused()), images, ["relu#3"])


def test_a_module_under_two_names_answers_to_both(images):
    shared = nn.Conv2d(3, 3, 1)
    network = nn.Sequential()
    network.add_module("one", shared)
    network.add_module("other", shared)
    found = activations(plain(network), images, ["one", "other", "one#1", "other#1"])
    assert_close(found["one"], shared(images).detach())
    assert torch.equal(found["other"], found["one"])
    assert_close(found["one#1"], shared(shared(images)).detach())
    assert torch.equal(found["other#1"], found["one#1"])


class Tokens(nn.Module):
    """(B, T, C) tokens, (B, H, W, C) maps, (B, C) scores."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(3, 5)
        self.tokens = nn.TransformerEncoderLayer(5, 1, 7, batch_first=True)
        self.norm = nn.LayerNorm(5)
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        maps = self.last(x.permute(0, 2, 3, 1))
        return self.head(self.norm(self.tokens(maps.flatten(1, 2))).mean(1))


def test_layouts_come_as_the_network_gives_them(images):
    found = activations(plain(Tokens()), images, ["last", "tokens", "head"])
    assert [tuple(a.shape) for a in found.values()] == [(2, 8, 8, 5), (2, 64, 5), (2, 2)]


def test_a_layer_inside_a_transformer_runs_though_torch_has_a_fast_path_around_it(images):
    assert activations(plain(Tokens()), images, ["tokens.linear1"])["tokens.linear1"].shape == (2, 64, 7)


class Pair(nn.Module):
    def forward(self, x):
        return x, {"more": x}


class WithPair(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.pair, self.after, self.unused = nn.Conv2d(3, 4, 1), Pair(), nn.ReLU(), nn.Linear(2, 2)

    def forward(self, x):
        return {"scores": self.after(self.pair(self.conv(x))[0])}


def test_a_layer_that_gives_a_tuple_is_refused_and_a_better_one_named(images):
    with pytest.raises(TypeError, match=r"layer 'pair' gives a tuple of \(2 × 4 × 8 × 8, a dict of more\), .*'after'"):
        activations(plain(WithPair()), images, ["pair"])


def test_an_output_that_is_a_dict_is_refused_and_a_better_layer_named(images):
    with pytest.raises(TypeError, match=r"layer '' gives a dict of scores, not a tensor; .*'after'"):
        activations(plain(WithPair()), images, [OUTPUT])


def test_the_better_layer_of_a_part_is_what_encloses_it(images):
    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair = Pair()

        def forward(self, x):
            return self.pair(x)[0]

    network = nn.Sequential(Inside(), nn.ReLU())
    with pytest.raises(TypeError, match=r"use '0'"):
        activations(plain(network), images, ["0.pair"])


def test_the_better_layer_can_itself_be_asked(images):
    network = WithPair()
    for wrong in ("pair", "unused", OUTPUT):
        with pytest.raises((TypeError, ValueError)) as caught:
            activations(plain(network), images, [wrong])
        better = str(caught.value).rsplit("'", 2)[1]
        assert activations(plain(network), images, [better])[better].shape[0] == 2


def test_a_layer_that_never_runs_is_refused_and_a_better_one_named(images):
    with pytest.raises(ValueError, match=r"layer 'unused' never ran in this forward pass; .*'\w+'"):
        activations(plain(WithPair()), images, ["conv", "unused"])


@pytest.mark.parametrize(("asked", "nearest"), [("Conv1", "conv1"), ("con2", "conv2"), ("relu3", "relu1|relu2")])
def test_an_unknown_layer_names_the_nearest(small, asked, nearest):
    with pytest.raises(KeyError, match=rf"no layer '{asked}'; nearest: .*'({nearest})'"):
        activations(small, torch.rand(1, 3, 20, 20), [asked])


@pytest.mark.parametrize("asked", ["conv1#x", "conv1#", "conv1#-1", "conv1.weight", "zzzzzzzz", ".", "conv1."])
def test_what_is_no_name_is_refused(small, asked):
    with pytest.raises(KeyError, match="no layer"):
        activations(small, torch.rand(1, 3, 20, 20), [asked])


def test_a_model_that_catches_every_exception_is_cut_all_the_same(images):
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.later = nn.Conv2d(3, 4, 1), 0

        def forward(self, x):
            try:
                x = self.a(x)
            except Exception:
                x = x * 0
            self.later += 1
            return x

    network = Careful()
    assert_close(activations(plain(network), images, ["a"])["a"], network.a(images).detach())
    assert network.later == 0


def test_an_error_of_the_model_comes_through_and_hooks_go(small, untouched):
    small.network.fuse.arm(ZeroDivisionError("mine"), 1)
    with untouched(small.network), pytest.raises(ZeroDivisionError, match="mine"):
        activations(small, torch.rand(1, 3, 20, 20), ["conv1", "fc"])


def test_gradients_flow_to_the_image_and_to_no_weight(small):
    images = torch.rand(2, 3, 20, 20, dtype=torch.float64, requires_grad=True)
    found = activations(small, images, ["conv2"])["conv2"]
    (gradient,) = torch.autograd.grad(found.square().sum(), images)
    again = images.detach().requires_grad_()
    network = copy.deepcopy(small.network).eval()
    expected = network[:5](IMAGENET(again)).square().sum()
    expected.backward()
    assert_close(gradient, again.grad)
    assert all(weight.grad is None for weight in small.network.parameters())


def test_output_is_the_networks_own_and_image_is_the_image(small, answer):
    images = torch.rand(2, 3, 20, 20, dtype=torch.float64)
    found = activations(small, images, [OUTPUT, IMAGE])
    assert torch.equal(found[OUTPUT], answer(small.network, small.preprocess(images)))
    assert torch.equal(found[IMAGE], images)
    assert torch.equal(found[OUTPUT], activations(small, images, ["fc"])["fc"])


def test_a_network_that_is_one_layer_answers_as_output(images):
    network = nn.Conv2d(3, 4, 1)
    assert_close(activations(plain(network), images, [OUTPUT])[OUTPUT], network(images).detach())


def test_a_bare_module_is_told_its_normalisation_or_refused(network):
    with pytest.raises(ValueError, match="normalize=IMAGENET"):
        activations(network, torch.rand(3, 224, 224), ["conv1"])
    told = activations(network, torch.rand(3, 224, 224), ["conv1"], normalize=IMAGENET)
    assert told["conv1"].shape == (1, 8, 224, 224)


def test_second_order_gradients_can_be_taken(images):
    """Nothing between image and layer is detached."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus())
    images = images.double().requires_grad_()
    score = activations(plain(network.double()), images, ["1"])["1"].square().sum()
    (first,) = torch.autograd.grad(score, images, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), images)
    assert second.abs().sum() > 0


class TokensFirst(nn.Module):
    """An LSTM over four patches, in torch's default order: (T, B, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.lstm = nn.Conv2d(3, 8, 8, 8), nn.LayerNorm(8), nn.LSTM(8, 6)

    def forward(self, x):
        return self.lstm(self.norm(self.stem(x).flatten(2).permute(2, 0, 1)))[0][-1]


@pytest.mark.parametrize("images", [3, 4])
def test_a_layer_whose_tokens_come_first_is_refused_for_any_number_of_images(images):
    net, batch = Classifier(TokensFirst(), None, 16), torch.rand(images, 3, 16, 16)
    for read in (
        lambda: activations(net, batch, "norm"),
        lambda: attribute(net, batch, "norm", logit(1), progress=False),
    ):
        with pytest.raises(ValueError, match=r"layer 'norm' gives 4 rows for .*: its first axis is not the batch"):
            read()
