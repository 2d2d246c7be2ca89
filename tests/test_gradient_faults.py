"""Gradients are those of the network at hand: under checkpointing, transforms of functions, hooks and skips."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torchvision.models import densenet121

from optvis import Classifier, attribute, receptive_fields, render
from optvis.circuits import expanded_weights
from optvis.models.overrides import average, linearize, open_relu, redirect_relu, smooth_max_pool
from optvis.objectives import channel, logit

OVERRIDES = {
    "redirect_relu": redirect_relu,
    "open_relu": open_relu,
    "smooth_max_pool": smooth_max_pool,
    "linearize": linearize,
}


class Stages(nn.Module):
    """Two stages and a head; each stage may be checkpointed."""

    def __init__(self, use_reentrant: bool | None = None) -> None:
        super().__init__()
        self.use_reentrant = use_reentrant
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU6(), nn.Conv2d(8, 8, 1), nn.ReLU(inplace=True))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4))

    def forward(self, x: Tensor) -> Tensor:
        for stage in (self.first, self.second):
            x = stage(x) if self.use_reentrant is None else checkpoint(stage, x, use_reentrant=self.use_reentrant)
        return self.head(x)


def stages(use_reentrant: bool | None = None) -> Classifier:
    torch.manual_seed(2)
    return Classifier(Stages(use_reentrant).eval(), None, 32)


@pytest.fixture
def images():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


CALLS = {
    "render": lambda net: render(net, channel("second.2", 3), steps=3, transform=None, progress=False).images,
    "render all": lambda net: render(net, logit(1), steps=2, redirect_steps=0, transform=None, progress=False).images,
    "render smooth": lambda net: (
        render(net, channel("head.2", 3), steps=2, transform=None, pool_gradient=average, progress=False).images
    ),
    "attribute outside": lambda net: (
        attribute(net, torch.ones(3, 32, 32) / 3, "first", logit(1), progress=False).values
    ),
    "attribute inside": lambda net: (
        attribute(
            net, torch.ones(3, 32, 32) / 3, "second.1", logit(1), method="integrated_gradients", progress=False
        ).values
    ),
    "receptive fields": lambda net: torch.tensor([receptive_fields(net, "second.3").box(2, 3)]),
    "expanded weights": lambda net: expanded_weights(net, "first.0", "second.2", [1]),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_checkpointing_changes_no_result(call):
    assert torch.equal(call(stages(use_reentrant=False)), call(stages()))


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("name", CALLS)
def test_reentrant_checkpointing_is_refused_in_words(name):
    expected = r"gradient checkpointing with use_reentrant=True"
    with pytest.raises((RuntimeError, ValueError), match=expected):
        CALLS[name](stages(use_reentrant=True))


@pytest.mark.parametrize("override", OVERRIDES.values(), ids=OVERRIDES)
@pytest.mark.parametrize("inside", [True, False], ids=["backward inside", "backward outside"])
def test_overrides_hold_under_checkpointing_by_hand(override, inside, images):
    found = []
    for use_reentrant in (None, False):
        x = images.clone().requires_grad_()
        with override():
            total = (-stages(use_reentrant).network(x)).sum()
            if inside:
                total.backward()
        if not inside:
            total.backward()
        found.append(x.grad)
    assert torch.equal(*found)


@pytest.mark.parametrize("override", OVERRIDES.values(), ids=OVERRIDES)
def test_overrides_refuse_reentrant_checkpointing(override, images):
    with override(), pytest.raises(RuntimeError, match="gradient checkpointing with use_reentrant=True"):
        stages(use_reentrant=True).network(images.requires_grad_())


def test_checkpointing_is_on_again_after_an_override(images):
    ran = []
    with redirect_relu(), redirect_relu():
        pass
    x = images.requires_grad_()
    checkpoint(lambda x: ran.append(1) or x.exp(), x, use_reentrant=False).sum().backward()
    assert len(ran) == 2


@pytest.mark.parametrize("layer", ["features.denseblock4", "features.denseblock3.denselayer3.conv1"])
def test_a_densenet_that_saves_memory_is_a_densenet(layer):
    torch.manual_seed(0)
    usual = densenet121(num_classes=5).eval()
    sparing = densenet121(num_classes=5, memory_efficient=True).eval()
    sparing.load_state_dict(usual.state_dict())
    scores = [
        render(Classifier(net, None, 32), channel(layer, 3), steps=3, transform=None, progress=False).scores
        for net in (usual, sparing)
    ]
    assert torch.equal(*scores)


def test_a_timm_network_with_checkpointing_is_itself():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model("resnet10t", num_classes=4).eval()
    results = []
    for enable in (False, True):
        net.set_grad_checkpointing(enable)
        classifier = Classifier(net, None, 64)
        rendering = render(classifier, channel("layer3.0.conv1", 3), steps=3, transform=None, progress=False)
        attribution = attribute(classifier, torch.ones(3, 64, 64) / 3, "layer2.0.conv2", logit(1), progress=False)
        results.append(torch.cat([rendering.images.flatten(), attribution.values.flatten()]))
    assert torch.equal(*results)


def test_a_sequence_whose_modules_are_called_directly_names_the_last_of_them():
    class Looped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU()), nn.Conv2d(4, 4, 3))

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x)
            return x

    with pytest.raises(ValueError, match=r"'blocks' never ran in this forward pass; use 'blocks.2'"):
        render(Classifier(Looped(), None, 16), channel("blocks", 1), steps=1, progress=False)


class Ensemble(nn.Module):
    """Activation functions and pooling inside transforms of functions."""

    def __init__(self, transform: str, activation) -> None:
        super().__init__()
        self.transform, self.activation = transform, activation
        self.conv, self.weights = nn.Conv2d(3, 4, 3, 2), nn.Parameter(torch.randn(3, 4, 5))

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.conv(x))
        rows = a.mean((2, 3))
        if self.transform == "vmap":
            return torch.vmap(lambda w: self.activation(rows @ w))(self.weights).mean(0)
        if self.transform == "vmap of pooling":
            return torch.vmap(lambda one: F.max_pool2d(one, 3))(a).flatten(1)[:, :5]
        if self.transform == "grad":
            return torch.func.grad(lambda a: self.activation(a @ self.weights[0]).square().sum())(rows)
        return torch.func.jvp(lambda a: self.activation(a @ self.weights[0]), (rows,), (torch.ones_like(rows),))[1]


@pytest.mark.parametrize(
    "activation",
    [F.relu, F.relu6, nn.ReLU(), nn.ReLU6(), torch.relu, lambda x: x.relu(), lambda x: F.hardtanh(x, 0, 6)],
    ids=["relu", "relu6", "nn.ReLU", "nn.ReLU6", "torch.relu", "x.relu", "hardtanh"],
)
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("transform", ["vmap", "vmap of pooling", "grad", "jvp"])
def test_transforms_of_functions_inside_the_network_work(transform, activation, images):
    torch.manual_seed(0)
    network = Ensemble(transform, activation)
    x = images.requires_grad_()
    (expected,) = torch.autograd.grad(network(x).sum(), x, retain_graph=True)
    for override in (redirect_relu, open_relu, smooth_max_pool):
        with override():
            found = network(x)
        assert torch.equal(found, network(x))
        if override is smooth_max_pool:
            assert torch.equal(torch.autograd.grad(found.sum(), x)[0], expected)
    net = Classifier(network.eval(), None, 32)
    assert render(net, channel("", 1), steps=2, pool_gradient=average, progress=False).scores.isfinite().all()
