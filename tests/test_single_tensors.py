"""Layers whose output is one tensor in a tuple or an object: read, replaced and attributed to as that tensor."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import replace

import pytest
import torch
from torch import nn

from optvis import Classifier, activations, attribute, layers, render
from optvis.ablation import bake, blinded, find_units
from optvis.attribution.names import METHODS
from optvis.features import Channels
from optvis.models import Tail
from optvis.objectives import channel, logit

Pair = namedtuple("Pair", ["first", "other"])


class Packs(nn.Module):
    """A convolution whose output is packed."""

    def __init__(self, pack):
        super().__init__()
        self.conv, self.pack = nn.Conv2d(3, 6, 3), pack

    def forward(self, images):
        return self.pack(self.conv(images).relu())


class Rest(nn.Module):
    """Takes what was packed, in whatever form."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(6, 8, 3), nn.Linear(8, 3)

    def forward(self, packed):
        a = (
            packed
            if isinstance(packed, torch.Tensor)
            else next(
                part
                for part in (packed.values() if isinstance(packed, dict) else packed)
                if isinstance(part, torch.Tensor)
            )
        )
        return self.fc(self.conv(a).relu().mean((2, 3)))


PACKS = {
    "tensor": lambda a: a,
    "one": lambda a: (a,),
    "with None": lambda a: (a, None),
    "with a size": lambda a: (a, (6, 6)),
    "second": lambda a: (None, a),
    "list": lambda a: [a, None],
    "named": lambda a: Pair(a, None),
    "dict": lambda a: OrderedDict(hidden=a, attentions=None),
}


def build(pack):
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(block=Packs(pack), rest=Rest())).eval()
    with torch.no_grad():  # so that predictions differ
        network.rest.fc.bias -= network(photographs()).mean(0)
    return Classifier(network, None, 10, labels=["a", "b", "c"])


@pytest.fixture(params=[name for name in PACKS if name != "tensor"])
def nets(request):
    """The network with a packed output, and the same with a tensor."""
    return build(PACKS[request.param]), build(PACKS["tensor"])


def photographs():
    return torch.rand(4, 3, 10, 10, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def images():
    return photographs()


def test_it_is_listed_and_read_as_a_tensor(nets, images):
    packed, plain = nets
    assert str(layers(packed)) == str(layers(plain))
    assert layers(packed)["block"].is_tensor
    assert activations(packed, images, "block")["block"].equal(activations(plain, images, "block")["block"])


def test_it_is_rendered_and_switched_off_like_a_tensor(nets, images):
    packed, _ = nets
    found = [render(net, channel("block", 2), size=10, steps=2, progress=False).images for net in nets]
    assert found[0].equal(found[1])
    outputs = []
    for net in nets:
        with blinded(net, Channels("block", [0, 3])):
            outputs.append(net.logits(images))
    assert outputs[0].equal(outputs[1])
    assert not outputs[0].equal(packed.logits(images))


@pytest.mark.parametrize("method", METHODS)
def test_it_is_attributed_to_like_a_tensor(nets, images, method):
    packed, plain = (attribute(net, images[:2], "block", logit("b"), method=method, progress=False) for net in nets)
    assert packed.values.equal(plain.values)


def test_its_tail_is_replayed(nets, images):
    for net in nets:
        tail = Tail(net.network, images, images, "block")
        assert tail.is_replayed
        assert tail.run(2 * tail.activations, [""])[""].equal(net.network.rest(2 * tail.activations))


def test_its_units_are_found(nets, images):
    predicted = nets[0].logits(images).argmax(1)
    source = int(predicted[0])
    options = {"layers": ["block"], "max_units": 2, "progress": False}
    packed, plain = (
        find_units(net, images[predicted == source], source, keep=images[predicted != source], **options)
        for net in nets
    )
    assert str(packed.units) == str(plain.units)


def test_a_copy_without_its_units_computes_what_the_ablated_network_does(nets, images):
    units = Channels("block", [0, 3])
    for net in nets:
        with blinded(net, units):
            expected = net.logits(images)
        torch.testing.assert_close(bake(net, units).logits(images), expected)


@pytest.mark.parametrize("layers", [None, ["block"]])
def test_units_are_found_in_a_network_whose_scores_are_in_an_object(images, layers):
    found = []
    for pack in (lambda scores: scores, lambda scores: SimpleOutput(logits=scores, hidden_states=None)):
        net = build(PACKS["tensor"])
        answer = replace(net, network=Answers(net.network, pack))
        source = net.logits(images).argmax(1)
        options = {"layers": layers and ["body.block"], "method": "top_norm", "max_units": 2, "progress": False}
        found.append(find_units(answer, images[source == source[0]], int(source[0]), **options))
    assert str(found[0].units) == str(found[1].units)


class SimpleOutput(OrderedDict):
    """As networks of Hugging Face return."""


class Answers(nn.Module):
    """A network that packs its scores."""

    def __init__(self, body, pack):
        super().__init__()
        self.body, self.pack = body, pack

    def forward(self, images):
        return self.pack(self.body(images))


def test_two_tensors_are_no_single_one():
    net = build(lambda a: (a, a))
    assert not layers(net)["block"].is_tensor
    with pytest.raises(TypeError, match="layer 'block' gives a tuple of"):
        activations(net, torch.rand(1, 3, 10, 10), "block")
