"""Schedules: weights that are functions of the step."""

from __future__ import annotations

import math
import pickle
from functools import partial
from itertools import islice
from typing import Any

import pytest
import torch
from torch.testing import assert_close

import optvis.objectives
from optvis import Classifier, ascend, dream, render
from optvis.objectives import After, Decay, Objective, channel, neuron
from optvis.params import pixel_image
from optvis.rendering.optimizers import ADAM

A = torch.randn(3, 5, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
ACTS = {"a": A}
ONE, OTHER = channel("a", [1, 0, 4]), neuron("a", 3)


def ramp(step: int) -> float:
    return min(step / 10, 1)


@pytest.mark.parametrize("step", [0, 1, 2, 7, 100])
def test_a_weight_at_a_step_is_the_value_of_the_schedule(step: int) -> None:
    objective = 2 * ONE * Decay(0.9) - ramp * OTHER * After(2) + ONE
    expected = 2 * 0.9**step * ONE(ACTS) - ramp(step) * (step >= 2) * OTHER(ACTS) + ONE(ACTS)
    assert_close(objective.at_step(step)(ACTS), expected)
    assert not objective.at_step(step).has_schedule


def test_without_a_step_schedules_are_at_step_zero() -> None:
    assert_close((ONE * Decay(0.5) + OTHER * After(1))(ACTS), ONE(ACTS))
    assert_close((OTHER * After(0))(ACTS), OTHER(ACTS))


def test_without_schedules_at_step_returns_the_same_objective() -> None:
    objective = ONE + OTHER
    assert objective.at_step(9) is objective
    assert not objective.has_schedule
    assert (objective * ramp).has_schedule


def test_schedules_of_factors_multiply() -> None:
    product = (ONE * Decay(0.5)) * (OTHER * Decay(0.25))
    assert_close(product.at_step(2)(ACTS), 0.125**2 * ONE(ACTS) * OTHER(ACTS))


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (channel("a", 1) * Decay(0.99), "channel('a', 1) * Decay(rate=0.99)"),
        (After(20) * (-0.1 * channel("a", 1)), "-0.1 * channel('a', 1) * After(step=20)"),
        ([1, -1] * channel("a", 1) * ramp, f"[1.0, -1.0] * channel('a', 1) * {__name__}.ramp"),
        (Decay(2) * channel("a", 1) * After(3), "channel('a', 1) * Decay(rate=2) * After(step=3)"),
    ],
)
def test_schedules_print_pickle_and_slice(objective: Objective, text: str) -> None:
    assert repr(objective) == text
    tests: Any = type("tests", (), {})
    names = {**vars(optvis.objectives), "tests": tests, "test_objectives_schedules": tests}
    tests.ramp, tests.test_objectives_schedules = ramp, tests
    again = eval(text, names)
    assert repr(again) == repr(pickle.loads(pickle.dumps(objective))) == text
    acts = {"a": A[: objective.batch]}
    for step in (0, 5, 30):
        assert torch.equal(again.at_step(step)(acts), objective.at_step(step)(acts))
        assert torch.equal(objective[:1].at_step(step)({"a": A[:1]}), objective.at_step(step)(acts)[:1])


def test_a_schedule_that_cannot_be_imported_is_described() -> None:
    assert repr(ONE * (lambda step: 1.0)).endswith("* <function test_a_schedule_that_cannot_be_imported_is_described" +
                                                   ".<locals>.<lambda>>")  # fmt: skip


@pytest.mark.parametrize("wrong", [None, "one", torch.ones(2), [1.0, 2.0]], ids=str)
def test_a_schedule_that_returns_no_number_raises(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"the weight of channel a is .* at step 3; expected a number"):
        (ONE * (lambda step: wrong)).at_step(3)


@pytest.mark.parametrize("step", [-1, math.nan])
def test_after_raises_for_a_wrong_step(step: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"expected the index of a step|step must be int"):
        After(step)


@pytest.mark.parametrize("rate", [0, -0.5, math.nan])
def test_decay_raises_for_a_wrong_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="expected a rate over 0"):
        Decay(rate)


def test_render_applies_schedules_at_each_step(small: Classifier) -> None:
    objective = channel("conv2", [3, 4]) * ramp
    plain = channel("conv2", [3, 4])
    options: dict[str, Any] = {"size": 16, "transform": None, "optimizer": partial(torch.optim.SGD, lr=0.0)}
    for scheduled, step in zip(
        ascend(small, objective, **options), islice(ascend(small, plain, **options), 4), strict=False
    ):
        assert_close(scheduled.scores, ramp(step.index) * step.scores)


def test_a_term_that_starts_later_does_not_change_earlier_steps(small: Classifier) -> None:
    before, after = channel("conv2", 3), channel("conv1", 5)

    def images(objective: Objective) -> list[torch.Tensor]:
        steps = ascend(small, objective, pixel_image(16).double(), transform=None, optimizer=ADAM)
        return [step.images for step in islice(steps, 6)]

    # A layer that is read is not folded, so both objectives read the same.
    alone, late = images(before + 10 * after * After(100)), images(before + 10 * after * After(3))
    assert all(torch.equal(one, other) for one, other in zip(alone[:4], late[:4], strict=True))
    assert not torch.equal(alone[4], late[4])


def test_each_chunk_starts_at_step_zero(small: Classifier) -> None:
    objective = channel("conv2", [1, 5, 9]) * Decay(0.5)
    whole = render(small, objective, size=16, steps=4, progress=False)
    parts = render(small, objective, size=16, steps=4, batch_size=2, progress=False)
    assert_close(parts.scores, whole.scores, rtol=1e-9, atol=1e-9)
    assert whole.recipe["objective"] == "channel('conv2', [1, 5, 9]) * Decay(rate=0.5)"


def test_dream_applies_schedules_at_each_step(small: Classifier) -> None:
    start = torch.full((1, 3, 24, 24), 0.5, dtype=torch.float64)
    options: dict[str, Any] = {"octaves": 1, "steps": 4, "step_size": 0.0, "progress": False}
    dreamt = dream(small, start, channel("conv2", 3) * ramp, **options)
    plain = dream(small, start, channel("conv2", 3), **options)
    assert_close(dreamt.scores, torch.tensor([[ramp(i)] for i in range(4)]) * plain.scores)
