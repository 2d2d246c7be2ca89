"""BatchNorm folded into convolutions: the same numbers up to rounding, only where nobody can see it."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from optvis import Classifier, ascend, render
from optvis.models import activations
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.overrides.fold import NO_NORM, record_folding
from optvis.objectives import IMAGE, batchnorm_statistics, channel, on
from optvis.rendering.steps.fit import OWN_FUNCTION

IMAGES = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def settle(network: nn.Module) -> nn.Module:
    """Give each BatchNorm statistics and weights of its own, from a seed."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.2, 2, generator=generator)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, generator=generator)
            nn.init.normal_(module.bias, generator=generator)
    return network.eval()


def plain(**options: object) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, **options), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Conv2d(6, 4, 3))


class Block(nn.Module):
    """A convolution and its BatchNorm, used as a function of both says."""

    def __init__(self, use: Callable[[Block, Tensor], Tensor], norm: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.use = nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6) if norm is None else norm, use
        self.relu, self.is_off = nn.ReLU(), False

    def forward(self, x: Tensor) -> Tensor:
        return self.use(self, x)


def scale_in_place(block: Block, x: Tensor) -> Tensor:
    a = block.conv(x)
    return block.norm(a.mul_(2))


def keep_detached(block: Block, x: Tensor) -> Tensor:
    a = block.conv(x)
    parts = [a.detach(), block.norm(a)]
    return torch.cat(parts)[: len(a)] + parts[1]


def switch(block: Block, x: Tensor) -> Tensor:
    return block.conv(x) if block.is_off else block.norm(block.conv(x))


FOLDED = {
    "a chain": plain,
    "no bias": lambda: plain(bias=False),
    "groups, stride and reflected borders": lambda: plain(groups=3, stride=2, padding=1, padding_mode="reflect"),
    "no weights of its own": lambda: Block(lambda b, x: b.relu(b.norm(b.conv(x))), nn.BatchNorm2d(6, affine=False)),
    "a residual block": lambda: Block(lambda b, x: b.relu(b.norm(b.conv(x)) + x[:, :1, 1:-1, 1:-1])),
    "a linear layer": lambda: nn.Sequential(nn.Flatten(), nn.Linear(432, 5), nn.BatchNorm1d(5), nn.ReLU()),
}
WHOLE = {
    "read twice": lambda: Block(lambda b, x: (a := b.conv(x)) + b.norm(a)),
    "read as a view": lambda: Block(lambda b, x: (a := b.conv(x)).mean((2, 3), keepdim=True) + b.norm(a)),
    "written": lambda: Block(scale_in_place),
    "kept": lambda: Block(keep_detached),
    "called twice": lambda: Block(lambda b, x: b.norm(b.conv(x)) + b.conv(x)),
    "norm called twice": lambda: Block(lambda b, x: b.norm(b.norm(b.conv(x)))),
    "read by a module": lambda: Block(lambda b, x: b.relu(a := b.conv(x)) + b.norm(a)),
    "between": lambda: Block(lambda b, x: b.norm(b.relu(b.conv(x)))),
    "statistics of the batch": lambda: Block(
        lambda b, x: b.norm(b.conv(x)), nn.BatchNorm2d(6, track_running_stats=False)
    ),
    "the function": lambda: Block(lambda b, x: b.norm(nn.functional.conv2d(x, b.conv.weight))),
    "wrapped": lambda: nn.Sequential(nn.Sequential(nn.Conv2d(3, 6, 3)), nn.BatchNorm2d(6)),
}  # fmt: skip


def gradient(network: nn.Module, layer: str, is_folded: bool) -> tuple[Tensor, Tensor, int]:
    """The layer's activations, their gradient, and how many pairs are folded."""
    with borrow(network):
        with record_folding(network, [layer]) as folding, torch.no_grad():
            read_activations(network, IMAGES[:1], [layer])
        images = IMAGES.clone().requires_grad_()
        if not is_folded:
            folding.pairs = ()
        with folding.apply():
            a = read_activations(network, images, [layer])[layer]
        return a.detach(), torch.autograd.grad(a.square().sum(), images)[0], len(folding.pairs)


def same(network: nn.Module, layer: str) -> int:
    """Check that both ways agree, and that nothing is left behind; return how many pairs are folded."""
    state, own = copy.deepcopy(network.state_dict()), [set(vars(module)) for module in network.modules()]
    expected, found = gradient(network, layer, False), gradient(network, layer, True)
    torch.testing.assert_close(found[:2], expected[:2], rtol=1e-4, atol=1e-4)
    assert [set(vars(module)) for module in network.modules()] == own
    assert all(value.equal(state[name]) for name, value in network.state_dict().items())
    return found[2]


@pytest.mark.parametrize("build", FOLDED.values(), ids=FOLDED)
def test_folded_networks_have_the_same_activations_and_gradients(build):
    assert same(settle(build()), "") == 1


@pytest.mark.parametrize("build", WHOLE.values(), ids=WHOLE)
def test_a_convolution_that_something_else_reads_is_left_alone(build):
    with warnings.catch_warnings(action="ignore"):  # BatchNorm without statistics lets images influence each other
        assert same(settle(build()), "") == 0


@pytest.mark.parametrize(("layer", "count"), [("0", 0), ("1", 1), ("2", 1), ("1@input", 0), ("2@input", 1), ("3", 1)])
def test_the_layers_at_the_fold_read_right(layer, count):
    assert same(settle(plain()), layer) == count


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("hook", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"])
def test_what_somebody_watches_is_left_alone(hook, place):
    network = settle(plain())
    network[2].inplace = False  # which torch refuses behind a backward hook
    getattr(network[place], hook)(lambda *_: None)
    assert same(network, "3") == 0


def step_by_step(network: nn.Module, change: Callable[[nn.Module], object], layer: str = "3") -> list[Tensor]:
    """The scores of an open loop, beside those of the network itself; it is changed after the first step."""
    found = []
    for step in ascend(Classifier(network, None, 12), channel(layer, 1), transform=None, priors=()):
        own = activations(Classifier(network, None, 12), step.images, layer)[layer][:, 1].mean((1, 2))
        torch.testing.assert_close(step.scores, own, rtol=1e-4, atol=1e-5)
        found.append(step.scores)
        if step.index == 1:
            return found
        change(network)
    raise AssertionError("the loop is open")


def replace_weight(network: nn.Module) -> None:
    network[0].weight = nn.Parameter(torch.full_like(network[0].weight, 0.1))


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.load_state_dict({name: value + 1 for name, value in net.state_dict().items()}),
        lambda net: net[1].running_mean.add_(3),
        lambda net: setattr(net[1], "eps", 1.0),
        lambda net: net[0].register_forward_hook(lambda _module, _inputs, output: output + 1),
        replace_weight,
    ],
    ids=["state", "statistics", "epsilon", "hook", "parameter"],
)
def test_a_network_that_changes_between_steps_is_folded_anew(change):
    step_by_step(settle(plain()), change)


def test_a_network_that_runs_in_another_way_is_run_as_it_is():
    network = settle(nn.Sequential(Block(switch), nn.ReLU()))
    classifier = Classifier(network, None, 12)
    loop = ascend(classifier, channel("1", 1), transform=None, priors=())
    next(loop)
    network[0].is_off = True
    step = next(loop)
    own = activations(classifier, step.images, "1")["1"][:, 1].mean((1, 2))
    torch.testing.assert_close(step.scores, own)


def test_other_threads_run_the_network_as_it_is():
    network, found = settle(plain()), []
    with borrow(network), torch.no_grad():
        expected = network(IMAGES)
        with record_folding(network, [""]) as folding:
            network(IMAGES[:1])
        with folding.apply():
            thread = threading.Thread(target=lambda: found.append(network[1](torch.ones(1, 6, 2, 2))))
            thread.start()
            thread.join()
            torch.testing.assert_close(network(IMAGES), expected, rtol=1e-4, atol=1e-4)
        assert found[0].equal(network[1](torch.ones(1, 6, 2, 2)))


def test_an_image_is_the_same_alone_and_in_a_batch_in_double_precision():
    classifier = Classifier(settle(plain()).double(), None, 12)
    several, alone = (
        render(classifier, channel("3", which), recipe="plain", steps=8, progress=False) for which in ([0, 2], 2)
    )
    assert several.images[1:].equal(alone.images)


def test_the_recipe_says_what_is_folded():
    made = render(Classifier(settle(plain()), None, 12), channel("3", 1), steps=1, progress=False)
    assert made.recipe["folding"] == "1 of BatchNorm"
    made = render(Classifier(nn.Conv2d(3, 4, 3), None, 12), channel("", 1), steps=0, progress=False)
    assert made.recipe["folding"] == f"none: {NO_NORM}"


def test_statistics_of_a_norm_are_read_before_it():
    made = render(
        Classifier(settle(plain()), None, 12), channel("3", 1) - batchnorm_statistics(), steps=2, progress=False
    )
    assert made.recipe["folding"].startswith("none: ")


def test_an_objective_that_runs_the_network_itself_compares_equal_numbers():
    classifier = Classifier(settle(plain()), None, 12)

    def distance(a: Tensor, images: Tensor) -> Tensor:
        own = activations(classifier, images, "3")["3"]
        return (a.detach() - own).flatten(1).abs().amax(1) + 0 * a.flatten(1).sum(1)

    objective = on(["3", IMAGE], distance)
    made = render(classifier, objective, recipe="plain", transform=None, steps=2, progress=False)
    assert made.scores.count_nonzero() == 0
    assert made.recipe["folding"] == f"none: {OWN_FUNCTION}"
