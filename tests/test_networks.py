"""The zoo: every network that people bring is listed, asked once, and given back as it was."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from optvis import Classifier, layers, load, render
from optvis.objectives import channel

# A layer to ask, the axis of its channels where it is not the usual one, and the side of the canvas.
ZOO = {
    "alexnet": ("features.8", None, 64),
    "vgg19": ("features.28", None, 40),
    "squeezenet1_0": ("features.12", None, 48),
    "googlenet": ("inception4a", None, 64),
    "inception_v3": ("Mixed_5b", None, 96),
    "resnet50": ("layer3.1", None, 48),
    "densenet121": ("features.denseblock2", None, 48),
    "mobilenet_v3_small": ("features.8", None, 48),
    "efficientnet_b0": ("features.5", None, 48),
    "convnext_tiny": ("features.3", None, 48),
    "vit_b_16": ("encoder.layers.encoder_layer_2", None, 64),
    "swin_t": ("features.3", -1, 64),
    "timm/vit_tiny_patch16_224": ("blocks.3", None, 64),
    "timm/resnet10t": ("layer3", None, 48),
}


class ByHand(nn.Module):
    """A module that nobody published: one ReLU used twice, a dict at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 8, 3), nn.ReLU(inplace=True)
        self.classes, self.boxes = nn.Linear(8, 5), nn.Linear(8, 4)

    def forward(self, x):
        x = self.relu(self.second(self.relu(self.first(x)))).mean((2, 3))
        return {"classes": self.classes(x), "boxes": self.boxes(x)}


@pytest.fixture(scope="module", params=[*ZOO, "by hand"])
def member(request):
    """(network, layer, channel axis, size), built once and let go."""
    name = request.param
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    if name == "by hand":
        torch.manual_seed(0)
        yield Classifier(ByHand(), None, 32), "relu#1", None, 20
    else:
        yield load(name, weights=None), *ZOO[name]
    gc.collect()


@pytest.fixture(scope="module")
def table(member):
    network, _, _, size = member
    return layers(network, size=None if network.fixed_size else size)


def test_layers_lists_what_runs(member, table):
    network, layer, _, _ = member
    named = dict(network.network.named_modules())
    rows = {row.name: row for row in table}
    assert rows[layer].is_tensor
    assert table[-1].name == ""
    assert {name.partition("#")[0] for name in rows} <= set(named)
    leaves = {name for name, module in named.items() if not list(module.children())}
    assert len(leaves & set(rows)) > len(leaves) / 2


def test_it_renders_and_is_given_back_as_it_was(member):
    network, layer, axis, size = member
    before = flags(network.network), weights(network.network)
    generator = torch.get_rng_state()
    made = render(network, channel(layer, [1, 3], channel_axis=axis), size=size, steps=2, progress=False)
    assert tuple(made.images.shape) == (2, 3, size, size)
    assert made.images.isfinite().all()
    assert made.scores.isfinite().all()
    assert made.scores.shape == (2, 2)
    start = render(network, channel(layer, [1, 3], channel_axis=axis), size=size, steps=0, progress=False)
    assert all(not torch.equal(new, old) for new, old in zip(made.images, start.images, strict=True))
    assert torch.equal(torch.get_rng_state(), generator)
    assert flags(network.network) == before[0]
    assert all(torch.equal(new, old) for new, old in zip(weights(network.network), before[1], strict=True))


def flags(network):
    """Modes, frozen weights, gradients and hooks."""
    hooks = [len(value) for m in network.modules() for key, value in vars(m).items() if "hooks" in key]
    learning = [(w.requires_grad, w.grad is None, id(w), w.data_ptr(), w.stride()) for w in network.parameters()]
    return hooks, learning, [m.training for m in network.modules()]


def weights(network):
    """A copy of statistics and of the start of every weight: all of VGG's would take half a gigabyte."""
    kept = [*network.parameters(), *network.buffers()]
    return [tensor.detach().flatten()[:1000].clone() for tensor in kept]


def test_a_layer_that_gives_no_tensor_or_never_runs_is_refused_with_a_better_one(member, table):
    network, _, _, size = member
    rows = {row.name: row for row in table}
    tuples = [row.name for row in table if not row.is_tensor][:1]
    asleep = [name for name in dict(network.network.named_modules()) if name not in rows][:1]
    for wrong in tuples + asleep:
        with pytest.raises((TypeError, ValueError), match=r"(use|nearest: |lists them)") as caught:
            render(network, channel(wrong, 0), size=size, steps=1, progress=False)
        message = str(caught.value)
        assert repr(wrong) in message
        if "; use " in message:
            assert rows[message.rsplit("'", 2)[1]].is_tensor
