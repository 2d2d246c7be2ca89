"""Renderings that go on with what an earlier one has recorded or compiled: equal pictures, and when they may."""

from __future__ import annotations

import gc
import shutil
import sysconfig
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from optvis import IMAGENET, Classifier, Rendering, render
from optvis.models.overrides import linearize, open_relu
from optvis.objectives import Objective, channel, direction, diversity, logit, on
from optvis.params import fft_image
from optvis.rendering import RECIPES, Prior, free_kept_steps, job, kept
from optvis.rendering.ascent import Ascent
from optvis.rendering.kept import KEPT, describe_ascent, read_state
from optvis.rendering.optimizers import FAST_ADAM
from optvis.rendering.steps import compiled, graph
from optvis.transforms import COARSE_TO_FINE, STANDARD, Jitter

from .test_step_graph import Replayed, assert_same, build, network, run

HAS_COMPILER = shutil.which("g++") is not None and Path(sysconfig.get_paths()["include"], "Python.h").exists()
DRAWN = {"recipe": "plain", "transform": None, "redirect_steps": 0, "steps": 9, "size": 14, "progress": False}


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    free_kept_steps()
    yield
    free_kept_steps()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Record steps on the CPU; returns the number of recordings so far."""
    monkeypatch.setattr(graph, "CudaRecorder", lambda: Replayed)
    monkeypatch.setattr(Replayed, "count", 0)
    for module in (graph, job):
        monkeypatch.setattr(module, "may_record", lambda _: True)
    return lambda: Replayed.count


def ascent_of(objective: Objective, seeds: tuple[int, int], transform: nn.Module | None = STANDARD) -> Ascent:
    return build(transform, objective=objective, param=fft_image(14, seeds=seeds), seeds=seeds)


OBJECTIVES = {
    "targets": (channel("3", [1, 2]), channel("3", [0, 3])),
    "weights": (channel("3", [1, 2]) * [1.0, 2.0], channel("3", [1, 2]) * [-0.5, 0.1]),
    "directions": (direction("3", torch.eye(4)[:2]), direction("3", -torch.ones(2, 4))),
    "sums": (channel("3", 1) - 0.1 * diversity("2"), channel("3", 2) - 0.4 * diversity("2")),
}


@pytest.mark.parametrize(
    ("name", "transform"),
    [*((name, STANDARD) for name in OBJECTIVES), ("targets", COARSE_TO_FINE), ("targets", None)],
    ids=[*OBJECTIVES, "stages", "no transform"],
)
def test_an_ascent_that_is_restarted_is_one_of_its_own(name, transform):
    first, second = OBJECTIVES[name]
    ascent, steps = ascent_of(first, (0, 1), transform), 66 if transform is COARSE_TO_FINE else 20  # 64 drawn at once
    run(ascent, steps, Replayed)
    before = Replayed.count
    ascent.restart(second, fft_image(14, seeds=(7, 9)), (7, 9))
    assert_same(run(ascent, steps), run(ascent_of(second, (7, 9), transform), steps))
    assert Replayed.count == before
    assert ascent.graphs.replays == steps


def test_targets_that_do_not_fit_are_refused_before_anything_changes():
    ascent = ascent_of(channel("3", [1, 2]), (0, 1))
    with pytest.raises(IndexError, match="index 9"):
        ascent.restart(channel("3", [1, 9]), fft_image(14, seeds=(7, 9)), (7, 9))
    assert ascent.objective.tensors[0].tolist() == [1, 2]


def test_a_restart_leaves_the_given_objective_alone():
    given = channel("3", [1, 2])
    ascent = ascent_of(given, (0, 1))
    ascent.restart(channel("3", [0, 3]), fft_image(14, seeds=(0, 1)), (0, 1))
    assert given.tensors[0].tolist() == [1, 2]


def classifier_of(net: nn.Module) -> Classifier:
    return Classifier(net, IMAGENET, 14)


def draw(net: nn.Module, channels: list[int], **options: Any) -> Rendering:
    return render(classifier_of(net), channel("3", channels), **(DRAWN | options))


def test_renderings_of_other_channels_and_seeds_go_on_with_recorded_steps(recorded):
    net = network()
    draw(net, [1, 2], seed=(0, 1))
    assert recorded() == 1
    found = draw(net, [3, 0], seed=(5, 6))
    assert recorded() == 1
    assert found.recipe["step"] == "CUDA graph"
    expected = draw(network(), [3, 0], seed=(5, 6))
    assert found.images.equal(expected.images)
    assert found.scores.equal(expected.scores)


CHANGES: dict[str, Callable[[nn.Sequential], Any]] = {
    "a weight": lambda net: net[0].weight.mul_(1.1),
    "a weight, uncounted": lambda net: net[0].weight.data.mul_(1.1),
    "a weight that is not folded, uncounted": lambda net: net[3].weight.data[1].neg_(),
    "another weight": lambda net: setattr(net[3], "weight", nn.Parameter(1.2 * net[3].weight.detach())),
    "a buffer": lambda net: net[1].running_mean.add_(0.1),
    "a setting": lambda net: setattr(net[0], "stride", (2, 2)),
    "a table": lambda net: net.table.update(scale=3.0),
    "a tensor": lambda net: net.shift.add_(0.2),
    "a private setting": lambda net: setattr(net, "_power", 2.0),
    "a module": lambda net: net.__setitem__(2, nn.Tanh()),
    "a hook": lambda net: net[2].register_forward_hook(lambda *_: None),
    "a function": lambda net: setattr(net[2], "forward", torch.tanh),
}


class Settings(nn.Sequential):
    """A network with settings of its own: a table, a tensor that is no buffer, a private number."""

    def __init__(self) -> None:
        super().__init__(*network())
        self.table, self.shift, self._power = {"scale": 1.0}, torch.zeros(1), 1.0

    def forward(self, images: Tensor) -> Tensor:
        return super().forward((self.table["scale"] * images + self.shift).abs() ** self._power)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_network_that_has_changed_is_recorded_anew(change, recorded):
    net, other = Settings().eval(), Settings().eval()
    before = draw(net, [1, 2])
    with torch.no_grad():
        change(net), change(other)
    found = draw(net, [1, 2])
    assert found.images.equal(draw(other, [1, 2]).images)
    assert change is CHANGES["a hook"] or not found.images.equal(before.images)


MODES = {"linear": linearize, "open": open_relu}


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_a_mode_around_a_rendering_counts(mode, recorded):
    net = network()
    draw(net, [1, 2])
    with mode():
        found, expected = draw(net, [1, 2]), draw(network(), [1, 2])
    assert found.images.equal(expected.images)


def test_a_transform_that_is_changed_later_is_not_the_one_that_was_kept(recorded):
    net, transform = network(), Jitter(2)
    draw(net, [1, 2], transform=transform)
    transform.pixels = 6
    assert draw(net, [1, 2], transform=Jitter(2)).images.equal(draw(network(), [1, 2], transform=Jitter(2)).images)


def test_a_prior_reads_the_labels_of_its_own_classifier(recorded):
    def build() -> nn.Module:
        return nn.Sequential(*network(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()

    def draw_with(net: nn.Module, labels: tuple[str, ...]) -> Rendering:
        priors = [Prior(logit("cat"), 0.8)]
        return render(Classifier(net, IMAGENET, 14, labels=labels), channel("3", 1), priors=priors, **DRAWN)

    net = build()
    draw_with(net, ("cat", "dog", "owl", "fox"))
    assert draw_with(net, ("dog", "cat", "fox", "owl")).images.equal(
        draw_with(build(), ("dog", "cat", "fox", "owl")).images
    )


@pytest.mark.parametrize("inside", ["inference buffer", "sparse buffer", "tuple of tensors"])
def test_a_network_whose_state_cannot_be_compared_is_rendered_all_the_same(inside, recorded):
    net = network()
    if inside == "inference buffer":
        with torch.inference_mode():
            net.register_buffer("own", torch.ones(2))
    elif inside == "sparse buffer":
        net.register_buffer("own", torch.eye(3).to_sparse())
    else:
        net.pair = (torch.ones(2), torch.zeros(2))
    for _ in range(2):
        assert draw(net, [1, 2]).images.equal(draw(network(), [1, 2]).images)


def test_a_network_of_one_size_is_drawn_twice_at_another(recorded):
    net = nn.Sequential(network(), nn.Flatten(), nn.Linear(4 * 10 * 10, 3)).eval()
    found = [render(classifier_of(net), logit(0), **(DRAWN | {"size": 20})) for _ in range(2)]
    assert found[0].images.equal(found[1].images)


def test_the_same_call_gives_the_same_bits_with_what_was_kept(recorded):
    net = network()
    assert draw(net, [1, 2]).images.equal(draw(net, [1, 2]).images)
    assert recorded() == 1


def my_optimizer(params: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(params, lr=0.05)


def test_a_function_of_the_users_own_is_not_compared_by_its_name(recorded):
    net = network()
    draw(net, [1, 2], optimizer=my_optimizer)
    assert not KEPT.kept


def test_ctrl_c_while_an_ascent_is_kept_leaves_the_images(recorded, monkeypatch):
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(KEPT, "keep", interrupt)
    found = draw(network(), [1, 2], batch_size=1)
    assert len(found) == 1
    assert found.recipe["interrupted"]


@pytest.mark.parametrize(
    "options",
    [
        {"size": 16},
        {"redirect_steps": 3},
        {"transform": Jitter(2)},
        {"precision": "bf16"},
        {"views": 2},
        {"seed": (3, 3)},
    ],
    ids=str,
)
def test_other_settings_are_recorded_anew(options, recorded):
    net = network()
    draw(net, [1, 2], seed=(0, 1))
    before = recorded()
    draw(net, [1, 2], **({"seed": (0, 1)} | options))
    assert recorded() > before


def test_a_ceiling_or_a_label_changes_nothing_in_what_is_kept(recorded):
    net = nn.Sequential(*network(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    first = render(classifier_of(net), logit([0, 1]), **DRAWN)
    second = render(classifier_of(net), logit([2, 3]), **DRAWN)
    assert recorded() == 1
    assert first.recipe["step"] == second.recipe["step"] == "CUDA graph"
    fresh = nn.Sequential(*network(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    assert second.images.equal(render(classifier_of(fresh), logit([2, 3]), **DRAWN).images)


def test_what_is_kept_goes_with_the_network(recorded):
    net = network()
    draw(net, [1, 2])
    graphs = KEPT.kept[0].ascent.graphs
    assert graphs.phases
    gone = weakref.ref(net)
    del net
    gc.collect()
    assert gone() is None
    assert KEPT.kept == []
    assert not graphs.phases


def test_few_are_kept_and_all_can_be_freed(recorded):
    net = network()
    for size in range(14, 14 + kept.MOST_KEPT + 2):
        draw(net, [1, 2], size=size, steps=8)
    assert len(KEPT.kept) == kept.MOST_KEPT
    free_kept_steps()
    assert not KEPT.kept


def test_a_parameterization_of_the_users_own_is_not_kept(recorded):
    net = network()
    render(classifier_of(net), channel("3", 1), fft_image(14), recipe="plain", steps=10, progress=False)
    assert not KEPT.kept


def test_what_cannot_be_compared_has_no_key():
    classifier = Classifier(network(), lambda images: images - 0.5, 14)
    assert describe_ascent(classifier, channel("3", 1), (0,)) is None
    own = classifier_of(network())
    key = describe_ascent(own, channel("3", [1, 2]), (0, 0), STANDARD, FAST_ADAM, RECIPES["natural"].priors)
    assert key is not None
    assert key == describe_ascent(own, channel("3", [3, 0]), (4, 4), STANDARD, FAST_ADAM, RECIPES["natural"].priors)
    others = [
        describe_ascent(own, channel("3", [1, 2]), (0, 1), STANDARD, FAST_ADAM, RECIPES["natural"].priors),
        describe_ascent(own, channel("3", 1), (0, 0), STANDARD, FAST_ADAM, RECIPES["natural"].priors),
        describe_ascent(own, channel("2", [1, 2]), (0, 0), STANDARD, FAST_ADAM, RECIPES["natural"].priors),
        describe_ascent(own, channel("3", [1, 2]), (0, 0), None, FAST_ADAM, RECIPES["natural"].priors),
    ]
    assert key not in others


def test_the_state_of_a_network_is_the_same_while_nothing_changes():
    net = network()
    before = read_state(net)
    assert before is not None
    with torch.no_grad():
        net(torch.rand(1, 3, 14, 14))
    assert before.is_same(net.train())


@pytest.mark.skipif(not HAS_COMPILER, reason="torch's compiler needs g++ and Python's headers")
def test_a_compiled_network_draws_the_same_pictures():
    net = network()
    found = draw(net, [1, 2], seed=(0, 1), redirect_steps=3, compile=True)
    assert found.recipe["compile"] == "yes"
    torch.testing.assert_close(found.images, draw(net, [1, 2], seed=(0, 1), redirect_steps=3).images, rtol=0, atol=1e-3)
    functions = KEPT.kept[0].ascent.compiled.functions
    assert len(functions) == 2  # with redirected gradients and without
    again = draw(net, [3, 0], seed=(5, 6), redirect_steps=3, compile=True)
    assert KEPT.kept[0].ascent.compiled.functions is functions
    torch.testing.assert_close(again.images, draw(net, [3, 0], seed=(5, 6), redirect_steps=3).images, rtol=0, atol=1e-3)


def fail(*_: Any) -> Any:
    raise RuntimeError("no compiler here\nmore")


def give_zeros(*_: Any) -> Any:
    return lambda roots: [torch.zeros(len(roots)), torch.zeros_like(roots)]


@pytest.mark.parametrize(
    ("compile_pass", "reason"),
    [(fail, "RuntimeError: no compiler here"), (give_zeros, compiled.DIFFERS)],
    ids=["fails", "differs"],
)
def test_what_cannot_be_compiled_runs_as_it_is(compile_pass, reason, monkeypatch):
    monkeypatch.setattr(compiled, "compile_pass", compile_pass)
    found = draw(network(), [1, 2], compile=True)
    assert found.recipe["compile"] == f"no: {reason}"
    assert found.images.equal(draw(network(), [1, 2]).images)


def test_an_objective_with_a_function_of_its_own_is_not_compiled(monkeypatch):
    monkeypatch.setattr(compiled, "compile_pass", fail)
    found = render(
        classifier_of(network()), on("3", lambda a: a.flatten(1).sum(1)), compile=True, **(DRAWN | {"steps": 2})
    )
    assert found.recipe["compile"] == f"no: {graph.OWN_FUNCTION}"
