"""Gradients are those of the network at hand: under checkpointing, transforms of functions, hooks and skips."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from threading import Thread
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torchvision.models import densenet121

from optvis import (
    Channels,
    Classifier,
    activations,
    attribute,
    classify,
    layers,
    receptive_fields,
    render,
    sample_activations,
)
from optvis.ablation import CachedNetwork, find_units
from optvis.ablation.evaluation.variants import check_cached_scores
from optvis.attribution import FromCaptum
from optvis.attribution.methods import Ablation
from optvis.attribution.names import METHODS
from optvis.attribution.pixels import Occlusion
from optvis.circuits import expanded_weights
from optvis.microscope.effects import measure_effects
from optvis.models.borrow import borrow
from optvis.models.jvp import layer_jvp, layer_vjps
from optvis.models.overrides import average, linearize, open_relu, redirect_relu, smooth_max_pool
from optvis.models.tail import Tail
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


@dataclass
class Pair:
    low: Tensor
    high: Tensor


class Skip(nn.Module):
    """An encoder, a middle and a decoder that reads what the encoder has left somewhere."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.encoder = Encoder(kind)
        self.mid = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.join = nn.Conv2d(8, 4, 1)
        self.head = nn.Linear(4, 3)
        if kind == "hook":
            self.encoder.conv.register_forward_hook(lambda _module, _inputs, output: vars(self).update(kept=output))
        if kind == "hook of the layer":
            self.mid.register_forward_hook(lambda _module, _inputs, output: vars(self).update(kept=output))

    def forward(self, x: Tensor) -> Tensor:
        out = self.encoder(x)
        a, skip = (out, None) if isinstance(out, Tensor) else READ[self.kind](out)
        mid = self.mid(a)
        if skip is None:
            skip = self.kept if self.kind.startswith("hook") else self.encoder.kept
        if self.kind == "attribute, added":
            return self.head((mid + skip).mean((2, 3)))
        return self.head(self.join(torch.cat([mid.tanh(), skip], 1)).relu().mean((2, 3)))


READ = {
    "dataclass": lambda out: (out.low, out.high),
    "namespace": lambda out: (out.low, out.high),
    "deque": lambda out: (out[0], out[1]),
    "defaultdict": lambda out: (out["low"], out["high"]),
    "generator": lambda out: tuple(out),
    "shape": lambda out: (out[0].view(out[1]), out[0].view(out[1]) * 2),
    "sizes": lambda out: (out[0].view(out[1], 4, -1, 14), out[0].view(out[1], 4, -1, 14) * 2),
    "list": lambda out: tuple(out),
    "dict": lambda out: tuple(out.values()),
    "set": lambda out: tuple(sorted(out, key=lambda a: a.detach().flatten()[0].item())),
}
WRITE = {
    "dataclass": lambda a, b: Pair(a, b),
    "namespace": lambda a, b: SimpleNamespace(low=a, high=b),
    "deque": lambda a, b: deque([a, b]),
    "defaultdict": lambda a, b: defaultdict(lambda: None, low=a, high=b),
    "generator": lambda a, b: (part for part in (a, b)),
    "shape": lambda a, b: (a.flatten(1), a.shape),
    "sizes": lambda a, b: [a.flatten(1), len(a)],
    "list": lambda a, b: [a, b],
    "dict": lambda a, b: {"low": a, "high": b},
    "set": lambda a, b: {a - 100, b},
}
KINDS = ["hook", "hook of the layer", "attribute", "attribute, added", *WRITE]


class Encoder(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.conv = kind, nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor):
        a = self.conv(x)
        self.kept = a.tanh() if self.kind.startswith("attribute") else None
        return WRITE[self.kind](a.relu(), a.tanh()) if self.kind in WRITE else a.relu()


def skipping(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return Skip(kind).eval()


def scores_by_hand(network: nn.Module, x: Tensor, change) -> Tensor:
    """The scores of class 1 with the output of `mid` changed, by a hook of its last module."""
    handle = network.mid[1].register_forward_hook(lambda _module, _inputs, output: change(output))
    try:
        return network(x)[:, 1]
    finally:
        handle.remove()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_skips_that_modules_keep_are_part_of_the_attribution(kind, batch):
    network = skipping(kind)
    x = torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    net = Classifier(network, None, 16)
    starts = []

    def begin(output):
        starts[:] = [output.detach().requires_grad_()]
        return starts[0].clone()

    whole = network(x)[:, 1].detach()
    (expected,) = torch.autograd.grad(scores_by_hand(network, x, begin).sum(), starts)
    found = attribute(net, x, "mid", logit(1), method="grad_x_activation", progress=False)
    torch.testing.assert_close(found.scores, whole)
    torch.testing.assert_close(found.gradients, expected)
    drops = [
        whole - scores_by_hand(network, x, lambda a, c=c: torch.where(torch.arange(4).view(-1, 1, 1) == c, 0, a))
        for c in range(4)
    ]
    found = attribute(net, x, "mid", logit(1), method="ablation", progress=False)
    torch.testing.assert_close(found.values, torch.stack(drops, 1).detach())


@pytest.mark.parametrize("kind", KINDS)
def test_skips_that_modules_keep_are_part_of_an_evaluation(kind):
    network = skipping(kind)
    net, units = Classifier(network, None, 16, labels=("a", "b", "c")), Channels("mid", [1, 2])
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    with borrow(network), torch.no_grad():
        first = x[:1]
        check_cached_scores(net, first, "mid", (units,))
        cached = CachedNetwork(net, x[:3], ["mid"])
        other = CachedNetwork(net, x[3:], ["mid"])
        found = torch.cat([one.logits({"mid": units.replace})[:, 1] for one in (cached, other)])
    torch.testing.assert_close(found, scores_by_hand(network, x, units.replace).detach())


@pytest.mark.parametrize("kind", ["hook of the layer", "hook"])
def test_skips_that_hooks_keep_are_part_of_forward_mode_derivatives(kind):
    network, x = skipping(kind), torch.rand(2, 3, 16, 16)
    starts = []

    def begin(output):
        starts[:] = [output.detach().requires_grad_()]
        return starts[0].clone()

    (gradient,) = torch.autograd.grad(scores_by_hand(network, x, begin).sum(), starts)
    with borrow(network):
        _, derivative = layer_jvp(network, x, "mid", lambda a: a)
        backward = layer_vjps(network, x, "mid", lambda a: a)
    expected = (gradient * starts[0]).flatten(1).sum(1).detach()
    torch.testing.assert_close(derivative[:, 1], expected)
    torch.testing.assert_close(backward[:, 1], expected)


@pytest.mark.parametrize("times", [1, 2])
def test_a_hook_that_changes_the_layer_s_output_is_applied_once(times):
    network = skipping("dict")
    network.mid.register_forward_hook(lambda _module, _inputs, output: 2 * output + 1)
    x = torch.rand(2, 3, 16, 16)
    with borrow(network), torch.no_grad():
        tail = Tail(network, x, x, "mid")
        found = tail.run(tail.activations.repeat(times, 1, 1, 1), [""])[""]
        torch.testing.assert_close(found, network(x).repeat(times, 1))
        _, derivative = layer_jvp(network, x, "mid", lambda a: a)
        backward = layer_vjps(network, x, "mid", lambda a: a)
    torch.testing.assert_close(derivative, backward)


def test_a_network_without_kept_skips_is_replayed():
    for kind in ("list", "dict", "defaultdict", "hook of the layer"):
        network, x = skipping(kind), torch.rand(2, 3, 16, 16)
        with borrow(network):
            assert Tail(network, x, x, "mid").is_replayed, kind


def test_another_thread_gets_what_the_modules_compute():
    network = skipping("list")
    x, other, found = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16), []
    expected = network(other)

    class Beside(nn.Module):
        def forward(self, a):
            thread = Thread(target=lambda: found.append(network.encoder(other)))
            thread.start()
            thread.join()
            return a

    network.head = nn.Sequential(Beside(), network.head)
    with borrow(network):
        tail = Tail(network, x, x, "mid")
        found.clear()
        assert tail.is_replayed
        tail.run(tail.activations, [""])
    assert torch.equal(found[0][0], network.encoder(other)[0])
    assert torch.equal(network(other), expected)


class Hooked(nn.Module):
    """Asks for the gradient of an activation in its forward pass, as tutorials on Grad-CAM do."""

    def __init__(self, how: str, place: str) -> None:
        super().__init__()
        self.how, self.place, self.kept = how, place, []
        self.conv, self.mid = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.conv(x)
        if self.place == "before":
            self.ask(a)
        a = self.mid(a.relu())
        if self.place == "behind":
            self.ask(a)
        return self.head(a.relu().mean((2, 3)))

    def ask(self, a: Tensor) -> None:
        if self.how == "register_hook":
            a.register_hook(self.kept.append)
        elif self.how == "retain_grad":
            a.retain_grad()
        else:
            torch.autograd.grad(a.sum(), a)


HOOKED_CALLS = {
    "render": lambda net: render(net, channel("mid", 1), steps=2, progress=False).images,
    "render logit": lambda net: render(net, logit(1), steps=2, progress=False).images,
    "layers": lambda net: str(layers(net)),
    "classify": lambda net: str(classify(net, torch.ones(3, 16, 16) / 3)),
    "activations": lambda net: activations(net, torch.ones(3, 16, 16) / 3, ["mid", ""])["mid"],
    "attribute": lambda net: attribute(net, torch.ones(2, 3, 16, 16) / 3, "mid", logit(1), progress=False).values,
    "attribute first": lambda net: attribute(net, torch.ones(3, 16, 16) / 3, "conv", logit(1), progress=False).values,
    "ablation": lambda net: (
        attribute(net, torch.ones(3, 16, 16) / 3, "mid", logit(1), method="ablation", progress=False).values
    ),
    "sample": lambda net: sample_activations(net, [torch.ones(3, 16, 16) / 3] * 2, "mid", progress=False).attribution,
    "receptive fields": lambda net: str(receptive_fields(net, "mid")),
    "expanded weights": lambda net: expanded_weights(net, "conv", "mid", [1]),
}


@pytest.mark.parametrize("call", HOOKED_CALLS.values(), ids=HOOKED_CALLS)
@pytest.mark.parametrize("how", ["register_hook", "retain_grad", "grad"])
@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_networks_that_ask_for_gradients_in_their_forward_pass_work(call, how, place):
    results = []
    for place_or_none in ("nowhere", place):
        torch.manual_seed(0)
        results.append(call(Classifier(Hooked(how, place_or_none).eval(), None, 16)))
    expected, found = results
    if isinstance(expected, Tensor):
        assert not found.requires_grad
        torch.testing.assert_close(found, expected)
    else:
        assert found == expected


class Branches(nn.Module):
    """A branch that is always off, and one that the output ignores."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.off, self.ignored = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.dead, self.head = nn.ReLU(), nn.Linear(4, 3)
        nn.init.zeros_(self.off.weight)
        nn.init.constant_(self.off.bias, -1.0)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        self.ignored(a)
        return self.head((a + self.dead(self.off(a))).relu().mean((2, 3)))


def branches() -> tuple[Classifier, Tensor, Tensor]:
    """A network, and images with the classes that it gives them."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = Branches().eval()
        images = torch.rand(24, 3, 16, 16, generator=generator) * torch.rand(24, 3, 1, 1, generator=generator)
        logits = network(images)
        network.head.bias.sub_(logits.mean(0)).div_(logits.std(0))
        network.head.weight.div_(logits.std(0).unsqueeze(1))
        return Classifier(network, None, 16, labels=("a", "b", "c")), images, network(images).argmax(1)


captum = pytest.importorskip("captum.attr")
CAPTUM = {
    "captum's gradients": FromCaptum(captum.InputXGradient),
    "captum's integrated gradients": FromCaptum(captum.IntegratedGradients, {"n_steps": 3}),
    "captum's ablation": FromCaptum(captum.FeatureAblation),
}


WEIGHTED = {name: method for name, method in METHODS.items() if name != "saliency"}  # by the activation, which is 0


@pytest.mark.parametrize("method", [*WEIGHTED.values(), *CAPTUM.values()], ids=[*WEIGHTED, *CAPTUM])
def test_a_dead_layer_carries_nothing(method):
    net, images, _ = branches()
    values = attribute(net, images[:2], "dead", logit(1), method=method, progress=False).values
    assert not values.any()


@pytest.mark.parametrize("method", [*METHODS.values(), *CAPTUM.values()], ids=[*METHODS, *CAPTUM])
def test_a_layer_that_the_output_ignores_carries_nothing_or_is_refused(method):
    net, images, _ = branches()
    if isinstance(method, Ablation | Occlusion) or method is CAPTUM["captum's ablation"]:
        values = attribute(net, images[:2], "ignored", logit(1), method=method, progress=False).values
        torch.testing.assert_close(values, torch.zeros_like(values))
    else:
        with pytest.raises(ValueError, match=r"logit\(1\) does not depend on layer 'ignored'"):
            attribute(net, images[:2], "ignored", logit(1), method=method, progress=False)


@pytest.mark.parametrize("layer", ["dead", "ignored"])
def test_a_channel_without_effect_has_none(layer):
    net, images, _ = branches()
    effects = measure_effects(net, images[:3], layer, 1)
    assert not effects.attribution.any()
    torch.testing.assert_close(effects.drop, torch.zeros_like(effects.drop))


def test_samples_of_a_layer_that_the_output_ignores_have_no_attribution():
    net, images, _ = branches()
    with pytest.warns(UserWarning, match="do not depend on the activations of 'ignored'"):
        assert not sample_activations(net, images, "ignored", progress=False).attribution.any()


@pytest.mark.parametrize("method", ["greedy", "subspace", "contrast"])
def test_units_of_a_layer_that_the_output_ignores_are_refused(method):
    net, images, classes = branches()
    target, keep = images[classes == 0], images[classes != 0]
    with pytest.raises(ValueError, match="the network's output does not depend on 'ignored'"):
        find_units(net, target, 0, keep=keep, layers=["ignored"], method=method, progress=False)


STATES = {
    "no_grad": torch.no_grad,
    "set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("method", [*METHODS.values(), *CAPTUM.values()], ids=[*METHODS, *CAPTUM])
def test_an_attribution_does_not_depend_on_the_surroundings(state, method):
    net, images, _ = branches()
    expected = attribute(net, images[:2], "first", logit(1), method=method, progress=False).values
    with state():
        inside = images[:2].clone()
        assert torch.equal(attribute(net, inside, "first", logit(1), method=method, progress=False).values, expected)


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("method", ["greedy", "subspace", "contrast", "top_norm", "most_frequent"])
def test_a_selection_does_not_depend_on_the_surroundings(state, method):
    net, images, classes = branches()

    def find():
        target, keep = images[classes == 0].clone(), images[classes != 0][:3].clone()  # more lose labels at once
        return find_units(net, target, 0, keep=keep, layers=["first"], method=method, progress=False)

    expected = find()
    with state():
        found = find()
    assert repr(found) == repr(expected)
    for one, other in zip(found.units, expected.units, strict=True):
        assert torch.equal(one.basis(4), other.basis(4))
