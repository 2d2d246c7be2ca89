"""A network that was borrowed is as it was: weights, statistics, flags, gradients, hooks, answers, on every exit."""

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
QUESTION = channel("conv2", [1, 5])
draw = partial(render, size=20, steps=3, progress=False)


@pytest.fixture
def lived_in(network):
    """A network in the middle of its own life: mixed modes, frozen parts, gradients, hooks of its owner."""
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
    "render": lambda net: draw(net, QUESTION),
    "render in chunks": lambda net: draw(net, QUESTION, batch_size=1),
    "render with LBFGS": lambda net: draw(net, QUESTION, optimizer=partial(torch.optim.LBFGS, max_iter=3)),
    "ascend": lambda net: list(islice(ascend(net, QUESTION, size=20), 3)),
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


def test_after_success(lived_in, use, untouched, answer):
    images = torch.rand(2, 3, 20, 20)
    before = answer(lived_in.network, images)
    with untouched(lived_in.network):
        use(lived_in)
    assert torch.equal(answer(lived_in.network, images), before)


@pytest.mark.parametrize("at", [1, 2])
def test_after_an_error_in_the_model(lived_in, use, untouched, at):
    lived_in.network.fuse.arm(ZeroDivisionError("mine"), at)
    with untouched(lived_in.network):
        try:
            use(lived_in)
        except ZeroDivisionError:
            return
    assert len(lived_in.network.fuse.calls) < at, "the error was swallowed"


@pytest.mark.parametrize("at", [1, 2])
def test_after_ctrl_c_in_the_model(lived_in, use, untouched, at):
    lived_in.network.fuse.arm(KeyboardInterrupt(), at)
    with untouched(lived_in.network), suppress(KeyboardInterrupt):
        use(lived_in)
    assert len(lived_in.network.fuse.calls) >= 1


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
def test_after_an_exit_in_a_transform(lived_in, untouched, error, at):
    trap = Trap(error, at)
    with untouched(lived_in.network), suppress(type(error)):
        draw(lived_in, QUESTION, transform=Compose(STANDARD, trap))
    assert trap.uses == at
    trap = Trap(error, at)
    with untouched(lived_in.network), pytest.raises(type(error)):
        list(islice(ascend(lived_in, QUESTION, size=20, transform=trap), 5))


def test_after_an_error_in_the_objective(lived_in, untouched):
    def broken(a):
        raise ZeroDivisionError

    with untouched(lived_in.network), pytest.raises(ZeroDivisionError):
        draw(lived_in, on("conv1", broken))
    with untouched(lived_in.network), pytest.raises(NotFiniteError):
        draw(lived_in, on("conv1", lambda a: a.flatten(1).mean(1) * float("nan")))


@pytest.mark.parametrize("wrong", [channel("nowhere", 0), channel("conv1", 99), channel("conv1#7", 0)])
def test_after_a_refusal(lived_in, untouched, wrong):
    with untouched(lived_in.network), pytest.raises((KeyError, IndexError, ValueError)):
        draw(lived_in, wrong)
    with untouched(lived_in.network), pytest.raises((KeyError, IndexError, ValueError)):
        dream(lived_in, PHOTO, wrong, progress=False)


def test_after_running_out_of_memory(lived_in, untouched):
    with untouched(lived_in.network):
        lived_in.network.fuse.limit(1)
        draw(lived_in, QUESTION)
    assert 2 in lived_in.network.fuse.calls


def test_between_steps_and_after_a_loop_is_abandoned(lived_in, fingerprint):
    before = fingerprint(lived_in.network)
    loop = ascend(lived_in, QUESTION, size=20)
    assert fingerprint(lived_in.network) == before
    for step in loop:
        assert fingerprint(lived_in.network) == before
        if step.index == 2:
            break
    loop.close()
    assert fingerprint(lived_in.network) == before
    loop = ascend(lived_in, QUESTION, size=20)
    next(loop)
    del loop
    gc.collect()
    assert fingerprint(lived_in.network) == before


def test_training_goes_on_between_steps(lived_in):
    """The owner may train while we look: nothing of ours is in the way."""
    network = lived_in.network
    optimizer = torch.optim.SGD([w for w in network.parameters() if w.requires_grad], lr=0.1)
    before = network.fc.weight.detach().clone()
    for _ in islice(ascend(lived_in, QUESTION, size=20), 2):
        optimizer.zero_grad()
        network(torch.rand(4, 3, 20, 20)).square().sum().backward()
        optimizer.step()
    assert not torch.equal(network.fc.weight, before)


def test_no_gradient_of_a_weight_is_computed(lived_in):
    """Frozen while borrowed: only the images' path is differentiated."""
    seen = []
    lived_in.network.fuse.register_forward_pre_hook(
        lambda module, inputs: seen.append([w.requires_grad for w in lived_in.network.parameters()])
    )
    draw(lived_in, QUESTION)
    assert seen
    assert not any(flag for flags in seen for flag in flags)


def test_batch_statistics_are_neither_used_nor_moved(network, answer):
    """In training mode a batch of one would be normalised by itself."""
    network.train()
    images = torch.rand(1, 3, 20, 20)
    seen = activations(Classifier(network, None, 20), images, ["fc"])["fc"]
    torch.testing.assert_close(seen, answer(network, images))


def test_torchs_own_state_is_as_it_was(lived_in, use):
    torch.manual_seed(1)
    generator, dtype, threads = torch.get_rng_state(), torch.get_default_dtype(), torch.get_num_threads()
    flags = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()
    use(lived_in)
    assert torch.equal(torch.get_rng_state(), generator)
    assert (torch.get_default_dtype(), torch.get_num_threads()) == (dtype, threads)
    after = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()
    assert after == flags


@pytest.mark.parametrize("error", [None, KeyboardInterrupt(), ZeroDivisionError()], ids=["success", "Ctrl-C", "error"])
def test_relus_gradient_is_the_usual_one_again(lived_in, error):
    if error is not None:
        lived_in.network.fuse.arm(error, 2)
    with suppress(KeyboardInterrupt, ZeroDivisionError):
        draw(lived_in, QUESTION)
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
