"""A network that was borrowed is as it was: weights, statistics, flags, gradients, hooks, outputs, on every exit."""

from __future__ import annotations

import gc
from contextlib import suppress
from functools import partial
from itertools import islice

import pytest
import torch
from torch import nn

from optvis import IMAGENET, Classifier, activations, ascend, classify, dream, layers, render
from optvis.errors import NotFiniteError
from optvis.objectives import channel, layer_norm, on
from optvis.rendering import Octaves
from optvis.transforms import STANDARD, Compose

PHOTO = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
OBJECTIVE = channel("conv2", [1, 5])
draw = partial(render, size=20, steps=3, progress=False)


@pytest.fixture
def used_network(network):
    """A network in use: mixed modes, frozen parts, gradients, hooks of its owner."""
    network.train()
    network.bn1.eval()
    network.conv1.weight.requires_grad_(False)
    network.conv2.weight.grad = torch.full_like(network.conv2.weight, 0.25)
    network.fc.bias.grad = torch.zeros_like(network.fc.bias)
    network.conv2.register_forward_hook(lambda *_: None)
    network.relu1.register_forward_pre_hook(lambda *_: None)
    network.fc.register_full_backward_hook(lambda *_: None)
    return Classifier(network, IMAGENET, 20)


USES = {
    "render": lambda net: draw(net, OBJECTIVE),
    "render in batches": lambda net: draw(net, OBJECTIVE, batch_size=1),
    "render with LBFGS": lambda net: draw(net, OBJECTIVE, optimizer=partial(torch.optim.LBFGS, max_iter=3)),
    "ascend": lambda net: list(islice(ascend(net, OBJECTIVE, size=20), 3)),
    "dream": lambda net: dream(net, PHOTO, layer_norm("conv2"), steps=2, octaves=2, progress=False),
    "dream in tiles": lambda net: dream(
        net, PHOTO, layer_norm("conv2"), steps=1, octaves=Octaves(1, tile_size=9), progress=False
    ),
    "activations": lambda net: activations(net, PHOTO, ["conv1", "conv2", "fc"]),
    "activations with gradient": lambda net: activations(net, PHOTO.clone().requires_grad_(), ["fc"])["fc"].sum(),
    "layers": layers,
    "classify": lambda net: classify(net, PHOTO),
}


@pytest.fixture(params=USES)
def use(request):
    return USES[request.param]


def test_after_success(used_network, use, untouched, answer):
    images = torch.rand(2, 3, 20, 20)
    before = answer(used_network.network, images)
    with untouched(used_network.network):
        use(used_network)
    assert torch.equal(answer(used_network.network, images), before)


@pytest.mark.parametrize("at", [1, 2])
def test_after_an_error_in_the_model(used_network, use, untouched, at):
    used_network.network.fuse.arm(ZeroDivisionError("mine"), at)
    with untouched(used_network.network):
        try:
            use(used_network)
        except ZeroDivisionError:
            return
    assert len(used_network.network.fuse.calls) < at, "the error was swallowed"


@pytest.mark.parametrize("at", [1, 2])
def test_after_ctrl_c_in_the_model(used_network, use, untouched, at):
    used_network.network.fuse.arm(KeyboardInterrupt(), at)
    with untouched(used_network.network), suppress(KeyboardInterrupt):
        use(used_network)
    assert len(used_network.network.fuse.calls) >= 1


class Trap(nn.Module):
    """A transform that raises at its n-th use."""

    def __init__(self, error, at):
        super().__init__()
        self.error, self.at, self.uses = error, at, 0

    def forward(self, x):
        self.uses += 1
        if self.uses == self.at:
            raise self.error
        return x


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError("mine")], ids=["Ctrl-C", "error"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_after_an_exit_in_a_transform(used_network, untouched, error, at):
    trap = Trap(error, at)
    with untouched(used_network.network), suppress(type(error)):
        draw(used_network, OBJECTIVE, transform=Compose(STANDARD, trap))
    assert trap.uses == at
    trap = Trap(error, at)
    with untouched(used_network.network), pytest.raises(type(error)):
        list(islice(ascend(used_network, OBJECTIVE, size=20, transform=trap), 5))


def test_after_an_error_in_the_objective(used_network, untouched):
    def broken(a):
        raise ZeroDivisionError

    with untouched(used_network.network), pytest.raises(ZeroDivisionError):
        draw(used_network, on("conv1", broken))
    with untouched(used_network.network), pytest.raises(NotFiniteError):
        draw(used_network, on("conv1", lambda a: a.flatten(1).mean(1) * float("nan")))


@pytest.mark.parametrize("wrong", [channel("nowhere", 0), channel("conv1", 99), channel("conv1#7", 0)])
def test_after_a_refusal(used_network, untouched, wrong):
    with untouched(used_network.network), pytest.raises((KeyError, IndexError, ValueError)):
        draw(used_network, wrong)
    with untouched(used_network.network), pytest.raises((KeyError, IndexError, ValueError)):
        dream(used_network, PHOTO, wrong, progress=False)


def test_after_running_out_of_memory(used_network, untouched):
    with untouched(used_network.network):
        used_network.network.fuse.limit(1)
        draw(used_network, OBJECTIVE)
    assert 2 in used_network.network.fuse.calls


def test_between_steps_and_after_a_loop_is_abandoned(used_network, fingerprint):
    before = fingerprint(used_network.network)
    loop = ascend(used_network, OBJECTIVE, size=20)
    assert fingerprint(used_network.network) == before
    for step in loop:
        assert fingerprint(used_network.network) == before
        if step.index == 2:
            break
    loop.close()
    assert fingerprint(used_network.network) == before
    loop = ascend(used_network, OBJECTIVE, size=20)
    next(loop)
    del loop
    gc.collect()
    assert fingerprint(used_network.network) == before


def test_training_goes_on_between_steps(used_network):
    """The owner may train the network between the steps of an ascent."""
    network = used_network.network
    optimizer = torch.optim.SGD([w for w in network.parameters() if w.requires_grad], lr=0.1)
    before = network.fc.weight.detach().clone()
    for _ in islice(ascend(used_network, OBJECTIVE, size=20), 2):
        optimizer.zero_grad()
        network(torch.rand(4, 3, 20, 20)).square().sum().backward()
        optimizer.step()
    assert not torch.equal(network.fc.weight, before)


def test_no_gradient_of_a_weight_is_computed(used_network):
    """Frozen while borrowed: only the images' path is differentiated."""
    seen = []
    used_network.network.fuse.register_forward_pre_hook(
        lambda module, inputs: seen.append([w.requires_grad for w in used_network.network.parameters()])
    )
    draw(used_network, OBJECTIVE)
    assert seen
    assert not any(flag for flags in seen for flag in flags)


def test_batch_statistics_are_neither_used_nor_moved(network, answer):
    """In training mode a batch of one would be normalised by itself."""
    network.train()
    images = torch.rand(1, 3, 20, 20)
    seen = activations(Classifier(network, None, 20), images, ["fc"])["fc"]
    torch.testing.assert_close(seen, answer(network, images))


def test_torchs_own_state_is_as_it_was(used_network, use):
    torch.manual_seed(1)
    generator, dtype, threads = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads()
    flags = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()
    use(used_network)
    assert torch.equal(torch.get_rng_state(), generator)
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (dtype, threads)
    after = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()
    assert after == flags


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), ZeroDivisionError()], ids=["success", "Ctrl-C", "error"])
def test_relus_gradient_is_the_usual_one_again(used_network, error):
    if error is not None:
        used_network.network.fuse.arm(error, 2)
    with suppress(KeyboardInterrupt, ZeroDivisionError):
        draw(used_network, OBJECTIVE)
    x = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    (gradient,) = torch.autograd.grad(-torch.relu(x).sum(), x)
    assert gradient.tolist() == [[0, 0]]


def test_the_fingerprint_sees_each_kind_of_change(network, fingerprint):
    """The oracle of this file, tried on what it must find."""

    def trained(net):
        net.fc.bias.data.add_(1e-7)

    changes = {
        "weight": trained,
        "statistics": lambda net: net(torch.rand(2, 3, 20, 20)),
        "mode": lambda net: net.relu1.eval(),
        "frozen": lambda net: net.fc.weight.requires_grad_(False),
        "gradient": lambda net: setattr(net.fc.bias, "grad", torch.ones_like(net.fc.bias)),
        "hook": lambda net: net.conv1.register_forward_hook(lambda *_: None),
        "backward hook": lambda net: net.conv1.register_full_backward_hook(lambda *_: None),
        "state hook": lambda net: net.register_state_dict_post_hook(lambda *_: None),
        "layout": lambda net: net.to(memory_format=torch.channels_last),
        "dtype": lambda net: net.double(),
        "module": lambda net: setattr(net, "relu1", nn.ReLU()),
        "attribute": lambda net: setattr(net.conv1, "seen", 1),
        "parameter": lambda net: setattr(net.fc, "bias", nn.Parameter(net.fc.bias.detach().clone())),
    }
    for what, change in changes.items():
        before = fingerprint(network)
        change(network)
        assert fingerprint(network) != before, what
