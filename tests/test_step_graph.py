"""The step as a graph, as far as a CPU can tell: what is recorded and when, equal results, and why not."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from optvis import IMAGENET, Classifier
from optvis.objectives import channel, diversity, on, total_variation
from optvis.params import fft_image, phase_image
from optvis.rendering import RECIPES, Prior
from optvis.rendering.ascent import Ascent
from optvis.rendering.optimizers import FAST_ADAM
from optvis.rendering.steps import graph
from optvis.rendering.steps.graph import StepGraphs, find_reason
from optvis.rendering.views import SumOfGradients
from optvis.transforms import COARSE_TO_FINE, STANDARD, Compose, Stages, maco_crops

SEEDS = (0, 1)


class Replayed:
    """A recording on a CPU, as a CUDA graph is one: the operations of a step on the tensors that they read, no Python.

    Only the tensors themselves can be changed between replays.
    """

    count = 0

    def __init__(self, evaluate: Callable[[], Any]) -> None:
        type(self).count += 1
        self.evaluation = evaluate()
        self.operations = make_fx(lambda: list_results(evaluate()))()

    @torch.no_grad()
    def replay(self) -> None:
        for place, value in zip(list_results(self.evaluation), self.operations(), strict=True):
            place.copy_(value)


def list_results(evaluation: Any) -> list[Tensor]:
    step, gradients = evaluation
    return [step.images, step.scores, *step.report.values(), *gradients]


class Frozen(Replayed):
    """A recording that gives the numbers of its first step again, as if draws had been written into it."""

    def replay(self) -> None:
        pass


def refuse(_: Callable[[], Any]) -> Replayed:
    raise RuntimeError("operation not permitted when stream is capturing\nmore")


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 3)).eval()


def build(transform: nn.Module | None = STANDARD, **options: Any) -> Ascent:
    settings = {"objective": channel("3", [1, 2]), "param": fft_image(14, seeds=SEEDS), "redirect_steps": 16} | options
    objective, param, seeds = settings.pop("objective"), settings.pop("param"), settings.pop("seeds", SEEDS)
    return Ascent(Classifier(network(), IMAGENET, 14), objective, param, transform, FAST_ADAM, seeds, **settings)


def run(ascent: Ascent, steps: int, record: Any = None) -> list[Tensor]:
    """The images, scores and gradients of all steps, with recordings or without them."""
    if record is not None:
        device = ascent.classifier.device
        ascent.graphs = StepGraphs(ascent._evaluate, device, ascent.draws, ascent.redirect_steps, "", record)
    found = []
    for step in islice(ascent.steps(), steps):
        found += [step.images, step.scores, *step.report.values()]
    return found


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    assert len(found) == len(expected)
    assert all(one.equal(other) for one, other in zip(found, expected, strict=True))


ASCENTS: dict[str, tuple[Callable[[], Ascent], int]] = {  # with the number of phases
    "standard": (build, 2),
    "no transform": (lambda: build(None), 2),
    "stages": (lambda: build(COARSE_TO_FINE), 3),
    "a stage that begins later": (lambda: build(Stages({0: Compose(), 20: STANDARD}), redirect_steps=0), 2),
    "noise and crops": (lambda: build(maco_crops(14, 0.04), param=phase_image(16, seeds=SEEDS)), 2),
    "a prior": (lambda: build(priors=[Prior(total_variation(), 0.1)]), 2),
    "natural": (lambda: build(RECIPES["natural"].build_transform(Classifier(network(), IMAGENET, 14))), 2),
}


@pytest.mark.parametrize(("build_ascent", "phases"), ASCENTS.values(), ids=ASCENTS)
def test_recorded_steps_are_those_without_a_graph(build_ascent, phases, monkeypatch):
    monkeypatch.setattr(Replayed, "count", 0)
    ascent, steps = build_ascent(), 70
    assert_same(run(ascent, steps, Replayed), run(build_ascent(), steps))
    assert Replayed.count == phases
    assert ascent.graphs.replays == steps
    assert ascent.describe()["step"] == "CUDA graph"


def test_a_recording_with_other_numbers_is_not_used():
    ascent = build()
    assert_same(run(ascent, 20, Frozen), run(build(), 20))
    assert ascent.describe()["step"] == f"without a graph: {graph.DIFFERS}"


def test_what_cannot_be_recorded_runs_without_a_graph():
    ascent = build()
    assert_same(run(ascent, 20, refuse), run(build(), 20))
    assert ascent.describe()["step"] == "without a graph: operation not permitted when stream is capturing"


def test_a_line_search_evaluates_a_step_again():
    def build_search() -> Ascent:
        ascent = build()
        ascent.optimizer = torch.optim.LBFGS(ascent.trainable, lr=0.5, max_iter=3)
        return ascent

    assert_same(run(build_search(), 6, Replayed), run(build_search(), 6))


def hooked() -> Ascent:
    ascent = build()
    ascent.classifier.network[2].register_forward_hook(lambda *_: None)
    return ascent


REASONS = {
    "hook": (hooked, graph.HOOKED),
    "function": (lambda: build(objective=on("3", lambda a: a.flatten(1).sum(1))), graph.OWN_FUNCTION),
    "schedule": (lambda: build(objective=channel("3", 1) * (lambda step: 1 / (1 + step))), graph.SCHEDULE),
    "sum of gradients": (lambda: build(param=SumOfGradients(fft_image(14, seeds=SEEDS))), graph.FOREIGN_PARAM),
    "nothing": (build, ""),
    "diversity": (lambda: build(objective=channel("3", 1) - 0.1 * diversity("2")), ""),
}


@pytest.mark.parametrize(("build_ascent", "reason"), REASONS.values(), ids=REASONS)
def test_why_steps_are_not_recorded(build_ascent, reason):
    ascent = build_ascent()
    assert find_reason(ascent, 64) == graph.ON_CPU
    cuda = SimpleNamespace(device=torch.device("cuda"), network=ascent.classifier.network)
    there = SimpleNamespace(**{**vars(ascent), "classifier": cuda, "chooses_images": False})
    assert find_reason(there, 64) == reason
    there.chooses_images = True
    assert find_reason(there, 64) == graph.CHOSEN_IMAGES
    assert find_reason(there, 4) == graph.FEW_STEPS


def test_an_open_loop_is_not_recorded():
    assert build().describe()["step"] == f"without a graph: {graph.OPEN_LOOP}"


class Waits(TorchDispatchMode):
    """Lists the operations for which a device would be waited: what reads a number, or counts elements."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique", "equal.default")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(word in str(func) for word in self.WAITING):
            self.found.append(str(func))
        return func(*args, **({} if kwargs is None else kwargs))


@pytest.mark.parametrize("name", ["standard", "noise and crops", "a prior", "natural"])
def test_a_recorded_step_waits_for_no_device(name):
    """After the redirected ones, which look at the gradient on a CPU alone."""
    ascent = ASCENTS[name][0]()
    ascent._evaluate(17)
    streams = ascent.draws.drawn
    with Waits() as waits, streams.read_row(torch.tensor([17 - streams.steps[0]])):
        ascent._evaluate(17, streams)
    assert waits.found == []
