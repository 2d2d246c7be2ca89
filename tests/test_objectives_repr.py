"""The repr of objectives: code that evaluates to an equal one, or a text that clearly is no code."""

from __future__ import annotations

import functools
import pickle
import re
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

import optvis.objectives
from optvis.objectives import Objective, channel, direction, gram_distance, l2, layer_norm, logit, on, total_variation

ACTS = {
    "a": torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
    "": torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
}


def shifted(a: Tensor, by: Tensor) -> Tensor:
    return a.flatten(1).sum(1) + by.reshape(len(by), -1).double().sum(1)


class Family:
    @staticmethod
    def shifted(a: Tensor, by: Tensor) -> Tensor:
        return 2 * shifted(a, by)


def evaluate_repr(objective: Objective) -> Objective:
    names = {**vars(optvis.objectives), "torch": torch, "tests": sys.modules[__name__.partition(".")[0]]}
    found = eval(repr(objective), names)
    assert isinstance(found, Objective)
    return found


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (channel("a", 1), "channel('a', 1)"),
        (channel("a", range(3)), "channel('a', [0, 1, 2])"),
        (channel("a", [1]), "channel('a', 1)"),
        (channel("it's", 1, channel_axis=-1), """channel("it's", 1, channel_axis=-1)"""),
        (logit("tench"), "logit('tench')"),
        (logit(["cat", "dog"]), "logit(['cat', 'dog'])"),
        (logit(["cat"]) - logit(3), "logit('cat') - logit(3)"),
        (-channel("a", 1), "-channel('a', 1)"),
        (-2 * channel("a", 1) - 0.1 * channel("a", 2), "-2.0 * channel('a', 1) - 0.1 * channel('a', 2)"),
        ([-1, 1] * channel("a", 1), "[-1.0, 1.0] * channel('a', 1)"),
        (direction("a", [0.1, 1, -2]), "direction('a', [0.1, 1.0, -2.0])"),
        (direction("a", torch.tensor([0.1, 1, -2], dtype=torch.float64), power=2),
         "direction('a', torch.tensor([0.1, 1.0, -2.0], dtype=torch.float64), power=2)"),
        (direction("a", torch.tensor([0.5, 1, -2], dtype=torch.float16)),
         "direction('a', torch.tensor([0.5, 1.0, -2.0], dtype=torch.float16))"),
        (layer_norm("a", p=float("inf")), "layer_norm('a', p=float('inf'))"),
        (l2(constant=0.5), "l2('<image>', constant=0.5)"),
        (total_variation(), "total_variation()"),
        (total_variation("a"), "total_variation('a')"),
        (on("a", shifted, 1), f"on('a', {__name__}.shifted, 1)"),
        (on(("a", "b"), shifted, name="x"), f"on(('a', 'b'), {__name__}.shifted, name='x')"),
        (on("a", shifted, couples_images=True), f"on('a', {__name__}.shifted, couples_images=True)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_repr_is_the_constructor_call(objective: Objective, text: str) -> None:
    assert repr(objective) == text


@pytest.mark.parametrize(
    "target",
    [
        3,
        2.5,
        float("inf"),
        [1, 2],
        [0.1, 0.2],
        torch.tensor([0.1, 0.2], dtype=torch.float64),
        torch.tensor([0.1, 0.2], dtype=torch.float32),
        torch.tensor([0.1, 0.2], dtype=torch.bfloat16),
        torch.tensor(0.1, dtype=torch.float64),
        torch.tensor([1, 2], dtype=torch.int32),
        torch.tensor([True, False]),
        torch.ones(1, 3),
        torch.ones(1, 1),
        torch.ones(2, 3, dtype=torch.float64),
        torch.tensor([[1e-30, 1e30], [1 / 3, -1 / 7]]),
        torch.tensor([[1, 2, 3]]),
    ],
    ids=repr,
)
@pytest.mark.parametrize("fn", [shifted, Family.shifted], ids=["function", "static method"])
def test_the_repr_of_a_custom_objective_evaluates_to_an_equal_one(fn: Any, target: Any) -> None:
    objective = on("a", fn, target)
    evaluated = evaluate_repr(objective)
    assert torch.equal(evaluated(ACTS), objective(ACTS))
    old, new = objective.terms[0].targets[0], evaluated.terms[0].targets[0]
    assert isinstance(old, Tensor)
    assert isinstance(new, Tensor)
    assert (new.dtype, new.shape) == (old.dtype, old.shape)
    assert torch.equal(pickle.loads(pickle.dumps(objective))(ACTS), objective(ACTS))


@pytest.mark.usefixtures("dtype")
@pytest.mark.parametrize("own", [torch.float32, torch.float64], ids=str)
def test_the_repr_evaluates_to_an_equal_one_under_either_default_dtype(own: torch.dtype) -> None:
    objective = [1 / 3, 2 / 3] * direction("a", torch.tensor([0.1, 1 / 3, -1e-20], dtype=own))
    assert torch.equal(evaluate_repr(objective)(ACTS), objective(ACTS))


def test_the_repr_of_a_float32_has_the_fewest_digits() -> None:
    assert (
        repr(direction("a", torch.tensor([0.1, 1 / 3, 16777216.0]))) == "direction('a', [0.1, 0.33333334, 16777216.0])"
    )


@pytest.mark.parametrize("count", [64, 65, 1000])
def test_more_than_64_numbers_are_shown_by_shape_and_digest(count: int) -> None:
    vector = torch.arange(count, dtype=torch.float32)
    text = repr(direction("a", vector))
    if count == 64:
        assert text.count(",") == 64
        return
    assert re.fullmatch(rf"direction\('a', <\(1, {count}\) float32 sha256 [0-9a-f]{{12}}>\)", text)
    assert text == repr(direction("a", vector.clone()))
    vector[-1] += 1
    assert text != repr(direction("a", vector))


def test_digests_differ_for_different_dtypes_layouts_and_weights() -> None:
    wide = torch.arange(144.0).view(12, 12)
    texts = [repr(gram_distance("a", m)) for m in (wide, wide.mT, wide.double(), wide.to(torch.bfloat16))]
    texts += [repr(torch.linspace(0, end, 100) * channel("a", 1)) for end in (1, 2)]
    assert len(set(texts)) == len(texts)
    assert repr(gram_distance("a", wide.mT)) == repr(gram_distance("a", wide.mT.contiguous()))


def test_long_targets_can_be_pickled() -> None:
    objective = direction("a", torch.randn(2, 3)) + gram_distance("a", torch.randn(9, 3, 3)[:2])
    assert torch.equal(pickle.loads(pickle.dumps(objective))(ACTS), objective(ACTS))


@pytest.mark.parametrize(
    ("fn", "text"),
    [
        (lambda a: a, "<function <lambda>>"),
        (functools.partial(shifted), "<function partial>"),
        (torch.nn.Flatten(1), "<function Flatten>"),
    ],
    ids=["lambda", "partial", "module"],
)
def test_a_function_that_cannot_be_imported_is_described(fn: Any, text: str) -> None:
    described = repr(on("a", fn))
    assert described == f"on('a', {text})"
    with pytest.raises(SyntaxError):
        compile(described, "evaluate_repr", "eval")


def test_a_function_whose_module_cannot_be_imported_is_described() -> None:
    def orphan(a: Tensor) -> Tensor:
        return a

    orphan.__module__, orphan.__qualname__ = "no.such.module", "orphan"
    assert repr(on("a", orphan)) == "on('a', <function no.such.module.orphan>)"


def test_a_function_that_was_replaced_in_its_module_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = on("a", shifted, 1)
    monkeypatch.setattr(sys.modules[__name__], "shifted", Family.shifted)
    assert repr(objective) == f"on('a', <function {__name__}.shifted>, 1)"
