"""The tail of a network gives what the whole network gives, and leaves it as it was."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from optvis import Channels, Classifier, attribute, blinded, load
from optvis.models.borrow import borrow
from optvis.models.tail import Tail
from optvis.objectives import IMAGE, logit


class Residual(nn.Module):
    """A block with everything that is awkward: a module used twice, a skip, a write in place, a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.pair = Pair()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        before = self.first(x)
        a = self.relu(self.second(before))
        before += a  # in place, on what a module gave
        a, scale = self.pair(self.relu(before))
        return self.head(a.mean((2, 3)) * scale)


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.amax((2, 3))


LAYERS = ("first", "second", "relu", "relu#1", "head", "")


@pytest.fixture
def residual():
    torch.manual_seed(1)
    return Residual().double().eval()


def images(batch: int = 2) -> Tensor:
    return torch.rand(batch, 3, 6, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("times", [1, 3])
def test_with_the_same_activations_it_gives_what_the_network_gives(residual, layer, batch, times):
    x = images(batch)
    with borrow(residual):
        tail = Tail(residual, x, x, layer)
        for _ in range(2):
            a = tail.activations.repeat(times, *[1] * (tail.activations.dim() - 1))
            torch.testing.assert_close(tail.run(a, [""])[""], residual(x).repeat(times, 1))


@pytest.mark.parametrize("layer", ["first", "second", "relu", "relu#1"])
def test_with_other_activations_it_gives_what_a_hook_gives(residual, layer):
    x = images()
    other = torch.rand(2, 4, 6, 6, dtype=torch.float64)
    calls = []

    def replace(module, _inputs, _output):
        calls.append(module)
        return other.clone() if len(calls) == 1 + int(layer.endswith("#1")) else None

    handle = residual.get_submodule(layer.partition("#")[0]).register_forward_hook(replace)
    expected = residual(x)
    handle.remove()
    with borrow(residual):
        found = Tail(residual, x, x, layer).run(other, [""])[""]
    torch.testing.assert_close(found, expected)


def test_modules_before_the_layer_do_not_run_again(residual):
    x, ran = images(1), []
    with borrow(residual):
        tail = Tail(residual, x, x, "relu")
        handles = [conv.register_forward_hook(lambda *_: ran.append(1)) for conv in (residual.first, residual.second)]
        weights = [nn.Parameter(torch.full_like(conv.weight, torch.nan)) for conv in (residual.first, residual.second)]
        residual.first.weight, residual.second.weight = weights
        found = tail.run(tail.activations, [""])[""]
    for handle in handles:
        handle.remove()
    assert found.isfinite().all()


def test_it_reads_layers_on_both_sides_and_the_images(residual):
    x = images()
    with borrow(residual):
        tail = Tail(residual, x, x, "relu")
        found = tail.run(tail.activations.repeat(2, 1, 1, 1) * 0, ["first", "head", IMAGE])
    assert found[IMAGE].equal(x.repeat(2, 1, 1, 1))
    assert found["first"].equal(residual.first(x).repeat(2, 1, 1, 1))
    assert found["head"].shape == (4, 2)


def test_gradients_are_those_of_the_network(residual):
    x = images()
    with borrow(residual):
        tail = Tail(residual, x, x, "second")
        a = tail.activations.clone().requires_grad_()
        (found,) = torch.autograd.grad(tail.run(a, [""])[""].sum(), a)
    copies = []

    def watched(_module, _inputs, output):
        copies.append(output.detach().clone().requires_grad_())
        return copies[0].clone()

    handle = residual.second.register_forward_hook(watched)
    (expected,) = torch.autograd.grad(residual(x).sum(), copies)
    handle.remove()
    torch.testing.assert_close(found, expected)


class Calling(nn.Module):
    """Calls a module that is not its own."""

    def __init__(self, other: nn.Module) -> None:
        super().__init__()
        self.others = [other]
        self.own = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.others[0](self.own(x)).relu()


def test_a_module_that_runs_inside_one_that_does_not_hold_it():
    calling = Calling(nn.Conv2d(4, 4, 1))
    network = nn.Sequential(OrderedDict(first=nn.Conv2d(3, 4, 3), calling=calling, flat=nn.Flatten()))
    network.late = calling.others[0]
    network.forward = lambda x: network.flat(calling(network.first(x)))
    x = torch.rand(2, 3, 8, 8)
    with borrow(network):
        tail = Tail(network, x, x, "late")
        other = torch.rand_like(tail.activations)
        assert tail.is_replayed
        assert tail.run(other, [""])[""].equal(other.relu().flatten(1))


class Shared(nn.Module):
    """One ReLU inside a block that is over, in a block that runs twice, and after both."""

    def __init__(self) -> None:
        super().__init__()
        relu = nn.ReLU()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 1), relu)
        self.outer = nn.Sequential(self.block, nn.Sequential(nn.Conv2d(3, 4, 1), relu))
        self.relu, self.head = relu, nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.outer(self.block(x)) - 0.1).mean((2, 3)))


@pytest.mark.parametrize("layer", ["relu", "relu#1", "relu#2", "relu#3", "block#1", "outer.1.0", "outer"])
def test_a_module_that_is_shared_by_blocks(layer):
    torch.manual_seed(4)
    network, x = Shared().double().eval(), images()
    with borrow(network):
        tail = Tail(network, x, x, layer)
        torch.testing.assert_close(tail.run(tail.activations, [""])[""], network(x))
        other = torch.rand_like(tail.activations)
        found = tail.run(other, ["", layer])
        assert found[layer].equal(other)
        assert not torch.allclose(found[""], network(x))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_0", "densenet121", "swin_t"])
def test_of_published_networks(name):
    net = load(name, weights=None)
    x = torch.rand(1, 3, *net.size, generator=torch.Generator().manual_seed(0))
    layers = {
        "resnet18": "layer2.0.bn2",
        "squeezenet1_0": "features.9.expand3x3",
        "densenet121": "features.denseblock2.denselayer3.conv1",
        "swin_t": "features.3.1.mlp.0",
    }
    inputs = net.preprocess(x)
    with borrow(net.network), torch.no_grad():
        tail = Tail(net.network, x, inputs, layers[name])
        a = tail.activations
        found = tail.run(a.repeat(3, *[1] * (a.dim() - 1)), [""])[""]
        expected = net.network(inputs.clone())
        without = tail.run(torch.zeros_like(a), [""])[""]
    torch.testing.assert_close(found, expected.expand(3, -1), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(without, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_network_is_as_it_was_after_an_error(residual, untouched, error):
    x = images()

    def blow(*_):
        raise error

    with untouched(residual):
        with borrow(residual):
            tail = Tail(residual, x, x, "relu")
            handle = residual.pair.register_forward_hook(blow)
            with pytest.raises(error):
                tail.run(tail.activations, [""])
            handle.remove()
        assert not any("forward" in vars(module) for module in residual.modules())


def test_an_owner_s_own_forward_is_put_back(residual):
    own = residual.first.forward
    residual.first.forward = lambda x: own(x)
    mine = vars(residual.first)["forward"]
    x = images()
    with borrow(residual):
        tail = Tail(residual, x, x, "relu")
        tail.run(tail.activations, [""])
    assert vars(residual.first)["forward"] is mine


def test_an_unknown_layer_is_refused(residual):
    with pytest.raises(KeyError, match="nearest: 'relu'"):
        Tail(residual, images(), images(), "rleu")


class Coupled(nn.Module):
    """Attention over the batch, as of a MultiheadAttention that lacks batch_first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.attention, self.head = nn.Conv2d(3, 8, 4, 4), nn.MultiheadAttention(8, 2), nn.Linear(8, 4)

    def forward(self, x):
        tokens = self.conv(x).relu().flatten(2).mT
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


@pytest.mark.parametrize("count", [1, 3])
def test_images_that_influence_each_other_are_varied_one_at_a_time(count):
    torch.manual_seed(0)
    network, images = Coupled().eval(), torch.rand(count, 3, 16, 16)
    net = Classifier(network, None, 16)
    with pytest.warns(UserWarning, match="change with the images beside it"):
        found = attribute(net, images, "conv", logit(1), method="ablation", progress=False).channels
    for one in range(8):
        with blinded(net, Channels("conv", one)), torch.no_grad():
            off = network(images)[:, 1]
        with torch.no_grad():
            torch.testing.assert_close(found[:, one], network(images)[:, 1] - off, atol=1e-6, rtol=1e-4)
