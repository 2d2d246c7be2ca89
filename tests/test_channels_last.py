"""Units are found in layers with channels last as in layers with channels first: the same, for the same network."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optvis import Channels, Classifier, bake, blinded, evaluate, find_units, load
from optvis.ablation import find_directions
from optvis.ablation.selection.find_units import METHODS

SIDE, CLASSES = 16, 4


class Blocks(nn.Module):
    """Two blocks, on (B, H, W, C) or on (B, C, H, W)."""

    def __init__(self, is_last: bool) -> None:
        super().__init__()
        self.is_last = is_last
        self.stem, self.norm = nn.Conv2d(3, 12, 2, 2), nn.LayerNorm(12)
        self.one, self.two, self.act = nn.Linear(12, 12), nn.Linear(12, 10), Act()
        self.block, self.last = Block(is_last), Block(is_last)
        self.head = nn.Linear(10, CLASSES)

    def forward(self, images):
        a = self.stem(images).permute(0, 2, 3, 1)
        a = self.block(self.act(self.one(self.norm(a))))
        a = self.last(self.act(self.two(a if self.is_last else a.permute(0, 2, 3, 1))))
        return self.head(a.mean((1, 2) if self.is_last else (2, 3)))


class Act(nn.Module):
    def forward(self, a):
        return a.relu()


class Block(nn.Module):
    """Gives what it gets, in its layout."""

    def __init__(self, is_last: bool) -> None:
        super().__init__()
        self.is_last = is_last

    def forward(self, a):
        return a + 0 if self.is_last else a.permute(0, 3, 1, 2) + 0


@pytest.fixture(scope="module")
def images():
    coarse = torch.rand(10, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, SIDE)


@pytest.fixture(scope="module")
def nets(images):
    """The same network with channels last, and first."""
    torch.manual_seed(0)
    networks = [Blocks(is_last).eval() for is_last in (True, False)]
    networks[0].head.weight.data *= 30
    with torch.no_grad():
        networks[0].head.bias -= networks[0](images).median(0).values
    networks[1].load_state_dict(networks[0].state_dict())
    return [Classifier(network, None, SIDE, list("abcd")) for network in networks]


def find(net, images, **options):
    predicted = net.logits(images).argmax(1)
    source = int(predicted[0])
    own, others = images[predicted == source], images[predicted != source]
    return find_units(net, own, source, keep=others, progress=False, **options), source, own, others


@pytest.mark.parametrize("method", METHODS)
def test_the_same_units_are_found_as_with_channels_first(nets, images, method):
    options = {"method": method, "layers": ["last"]}
    (last, source, own, others), (first, *_) = (find(net, images, **options) for net in nets)
    assert len(last.units) == len(first.units)
    for one, other in zip(last.units, first.units, strict=True):
        assert one.layer == other.layer == "last"
        assert one.channel_axis == -1
        assert other.channel_axis is None
        assert len(one) == len(other)
        if hasattr(one, "indices"):
            assert one.indices == other.indices
    outputs = []
    for net, units in zip(nets, (last, first), strict=True):
        with blinded(net, *units) as same:
            outputs.append(same.logits(images))
    torch.testing.assert_close(*outputs, atol=1e-3, rtol=1e-3)
    assert not outputs[0].allclose(nets[0].logits(images))
    assert "channels_first" not in str(last) + str(last.recipe)
    sets = {"own": (own, source), "others": (others, nets[0].logits(others).argmax(1))}
    measured = [
        evaluate(net, found.units, sets, random_sets=2, progress=False)
        for net, found in zip(nets, (last, first), strict=True)
    ]
    assert [row.after for row in measured[0].predictions] == [row.after for row in measured[1].predictions]
    assert measured[0].sets == measured[1].sets


def test_directions_are_found_and_probes_read_them(nets, images):
    pairs = images[:3], images[3:6]
    last, first = (find_directions(net, *pairs, "last") for net in nets)
    torch.testing.assert_close(last.vectors, first.vectors, atol=1e-4, rtol=1e-4)
    assert last.channel_axis == -1


def test_the_last_stage_and_several_layers_are_found_too(nets, images):
    found = find(nets[0], images, max_units=2, method="contrast")[0]
    assert found.units[0].channel_axis == -1
    several = find(nets[0], images, max_units=3, method="contrast", layers=["stem", "block", "last"])[0]
    assert {one.layer: one.channel_axis for one in several.units}.items() <= {
        "stem": None,
        "block": -1,
        "last": -1,
    }.items()


def test_swin_of_torchvision_has_units(images):
    from torchvision.models import SwinTransformer

    torch.manual_seed(0)
    network = SwinTransformer([2, 2], 8, [1, 1], [2, 2], [4, 4], num_classes=CLASSES).eval()
    with torch.no_grad():
        network.head.bias -= network(images).median(0).values
    net = Classifier(network, None, SIDE, list("abcd"))
    found, *_ = find(net, images, method="contrast", layers=["features.3"], max_units=2)
    before = net.logits(images)
    with blinded(net, *found):
        assert not net.logits(images).equal(before)


def test_units_on_another_axis_than_the_layers_channels_are_refused():
    net, images = load("swin_t", weights=None), torch.rand(1, 3, 64, 64)
    says = r"'features\.3' gives .* its 192 channels are on the last axis, not on axis 1; give channel_axis=-1"
    with pytest.raises(ValueError, match=says), blinded(net, Channels("features.3", 1)):
        net.logits(images)
    with pytest.raises(ValueError, match=says):
        bake(net, Channels("features.3", 1))
    units = Channels("features.3", 1, channel_axis=-1)
    with blinded(net, units):
        off = net.logits(images)
    torch.testing.assert_close(bake(net, units).logits(images), off)
