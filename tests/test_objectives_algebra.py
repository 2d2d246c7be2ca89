"""Sums, differences and weights; slices; custom functions."""

from __future__ import annotations

import pickle
import re
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from optvis.objectives import IMAGE, Objective, Term, channel, direction, logit, neuron, on, total_variation

GENERATOR = torch.Generator().manual_seed(4)
A = torch.randn(3, 5, 4, 4, dtype=torch.float64, generator=GENERATOR)
B = torch.randn(3, 6, 2, 2, dtype=torch.float64, generator=GENERATOR)
ACTS = {"a": A, "b": B, IMAGE: torch.rand(3, 3, 8, 8, dtype=torch.float64, generator=GENERATOR)}
ALONE = [{name: a[i : i + 1] for name, a in ACTS.items()} for i in range(3)]

ONE = channel("a", [1, 0, 4])
OTHER = neuron("b", 3)
WEIGHTS = [0.5, -2.0, 3.0]
W = torch.tensor(WEIGHTS, dtype=torch.float64)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: ONE + OTHER, lambda p, q: p + q),
        (lambda: ONE - OTHER, lambda p, q: p - q),
        (lambda: -ONE, lambda p, q: -p),
        (lambda: -(ONE - 2 * OTHER), lambda p, q: 2 * q - p),
        (lambda: 3 * ONE, lambda p, q: 3 * p),
        (lambda: ONE * 3, lambda p, q: 3 * p),
        (lambda: ONE / 4, lambda p, q: p / 4),
        (lambda: ONE / W, lambda p, q: p / W),
        (lambda: W * (ONE + OTHER), lambda p, q: W * p + W * q),
        (lambda: (ONE + OTHER) * WEIGHTS, lambda p, q: W * p + W * q),
        (lambda: WEIGHTS * ONE, lambda p, q: W * p),
        (lambda: np.array(WEIGHTS) * ONE, lambda p, q: W * p),
        (lambda: np.float64(2) * ONE * np.float32(2), lambda p, q: 4 * p),
        (lambda: torch.tensor(2.0) * ONE, lambda p, q: 2 * p),
        (lambda: sum([ONE, OTHER, ONE]), lambda p, q: 2 * p + q),
        (lambda: 0 + ONE + 0, lambda p, q: p),
        (lambda: 0 * ONE + OTHER, lambda p, q: q),
    ],
)
def test_objectives_add_and_scale_as_their_scores_do(build: Any, expected: Any) -> None:
    assert_close(build()(ACTS), expected(ONE(ACTS), OTHER(ACTS)), rtol=1e-12, atol=1e-12)


def test_interpolated_objectives_give_interpolated_scores() -> None:
    t = torch.linspace(0, 1, 3)
    between = (1 - t) * channel("a", 1) + t * channel("b", 4)
    ends = channel("a", 1)(ACTS), channel("b", 4)(ACTS)
    expected = torch.stack([ends[0][0], 0.5 * (ends[0][1] + ends[1][1]), ends[1][2]])
    assert between.batch == 3
    assert_close(between(ACTS), expected)
    assert_close(between[1:2](ALONE[1]), expected[1:2])


def test_positive_and_negative_of_a_channel_are_two_images() -> None:
    both = [1, -1] * channel("a", 2)
    assert both.batch == 2
    pair = {"a": A[:1].repeat(2, 1, 1, 1)}
    assert both(pair)[0] == -both(pair)[1] == A[0, 2].mean()


def test_operators_do_not_change_their_operands() -> None:
    before = repr(ONE), repr(OTHER), ONE(ACTS)
    _ = ONE + OTHER, -ONE, 2 * ONE, ONE[1:], sum([ONE, OTHER]), ONE / 3
    assert (repr(ONE), repr(OTHER)) == before[:2]
    assert torch.equal(ONE(ACTS), before[2])


def test_a_weight_is_copied() -> None:
    weight = W.clone()
    weighted = weight * ONE
    before = weighted(ACTS)
    weight.zero_()
    assert torch.equal(weighted(ACTS), before)


def test_two_thousand_terms_score_print_pickle_and_slice_without_recursion() -> None:
    many = sum(0.5 * channel("a", i % 5) for i in range(2000)) - sum([OTHER] * 2)
    assert isinstance(many, Objective)
    expected = 200 * A.mean((2, 3)).sum(1) - 2 * OTHER(ACTS)
    depth = sys.getrecursionlimit()
    sys.setrecursionlimit(250)
    try:
        again = pickle.loads(pickle.dumps(many))
        text, part = repr(many), many[:2]
        scores = many(ACTS), again(ACTS), part({name: a[:2] for name, a in ACTS.items()})
    finally:
        sys.setrecursionlimit(depth)
    assert_close(scores, (expected, expected, expected[:2]))
    assert text.count("channel") == 2000
    assert len(set(many.term_scores(ACTS))) == 2002


def test_an_empty_sum_is_zero_and_an_objective_without_terms_raises() -> None:
    assert sum([]) + ONE is ONE
    with pytest.raises(ValueError, match="an objective without terms has no score"):
        Objective(())(ACTS)
    assert repr(Objective(())) == "Objective(())"


def test_layers_are_listed_once_in_order() -> None:
    objective = OTHER + ONE - 2 * OTHER + total_variation()
    assert objective.layers == ("b", "a", IMAGE)


def test_term_scores_add_up_to_the_score_and_repeated_names_get_numbers() -> None:
    objective = 2 * ONE - OTHER + ONE
    report = objective.term_scores(ACTS)
    assert list(report) == ["channel a", "neuron b", "channel a #2"]
    assert_close(sum(report.values()), objective(ACTS))
    assert_close(report["channel a"], 2 * report["channel a #2"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: channel("a", [0, 1]) + channel("a", [0, 1, 2]),
        lambda: [1, 2] * channel("a", [0, 1, 2]),
        lambda: [1, 2] * channel("a", 0) - [1, 2, 3] * channel("a", 1),
        lambda: neuron("a", [0, 1], [0, 1, 2], 0),
        lambda: on("a", torch.Tensor.mean, torch.zeros(2, 4), torch.zeros(3)),
    ],
)
def test_targets_and_weights_for_different_numbers_of_images_raise(make: Any) -> None:
    with pytest.raises(ValueError, match=r"mixes targets or weights for 2 and for 3 images"):
        make()


@pytest.mark.parametrize("weight", ["2", None, [1, "a"], object(), 1j], ids=["str", "none", "list", "obj", "j"])
def test_a_wrong_weight_raises(weight: Any) -> None:
    with pytest.raises(TypeError, match="expected a number, or one per image"):
        _ = ONE * weight


@pytest.mark.parametrize("weight", [[], [[1.0, 2.0]], torch.ones(3, 1)], ids=str)
def test_a_weight_of_another_shape_raises(weight: Any) -> None:
    with pytest.raises(ValueError, match=r"expected a number, or one per image, \(B,\)"):
        _ = ONE * weight


@pytest.mark.parametrize("other", ["a", None])
def test_only_objectives_and_numbers_can_be_added(other: Any) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        _ = ONE + other


@pytest.mark.parametrize("number", [1.5, WEIGHTS, W], ids=str)
def test_numbers_can_be_added_and_subtracted_on_either_side(number: Any) -> None:
    scores, added = ONE(ACTS), torch.as_tensor(number, dtype=torch.float64)
    assert torch.allclose((ONE + number)(ACTS), scores + added)
    assert torch.allclose((number + ONE)(ACTS), scores + added)
    assert torch.allclose((ONE - number)(ACTS), scores - added)
    assert torch.allclose((number - ONE)(ACTS), added - scores)


def test_an_objective_takes_slices_and_no_integers() -> None:
    with pytest.raises(TypeError, match=re.escape("for image i write [i:i + 1]")):
        _ = ONE[0]  # type: ignore[index]


def test_an_objective_is_frozen() -> None:
    with pytest.raises(AttributeError):
        ONE.terms = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        ONE.terms[0].weight = W  # type: ignore[misc]


def test_shared_terms_stay_shared_in_a_slice() -> None:
    part = (ONE + OTHER)[1:]
    assert repr(part) == "channel('a', [0, 4]) + neuron('b', 3)"
    assert part.batch == 2
    assert OTHER[5:].batch == 1


# Custom functions


def product(a: Tensor, b: Tensor) -> Tensor:
    return a.flatten(1).mean(1) * b.flatten(1).mean(1)


def above(a: Tensor, level: Tensor) -> Tensor:
    return (a.flatten(1) - level.view(-1, 1)).mean(1)


def spread(a: Tensor) -> Tensor:
    return (a.flatten(1) - a.flatten(1).mean(0)).square().mean(1)


def test_a_function_of_several_layers_takes_them_in_order() -> None:
    objective = on(["b", "a"], lambda b, a: 2 * b.flatten(1).mean(1) + a.flatten(1).amax(1))
    assert objective.layers == ("b", "a")
    assert_close(objective(ACTS), 2 * B.mean((1, 2, 3)) + A.amax((1, 2, 3)))
    assert_close(on(("a", "b"), product)(ACTS), A.mean((1, 2, 3)) * B.mean((1, 2, 3)))


def test_a_function_takes_its_targets_row_by_row() -> None:
    objective = on("a", above, [1.0, 2.0, 3.0])
    assert objective.batch == 3
    expected = A.mean((1, 2, 3)) - torch.tensor([1, 2, 3])
    assert_close(objective(ACTS), expected)
    assert_close(objective[1:2](ALONE[1]), expected[1:2])
    assert_close(on("a", above, 2.0)(ACTS), A.mean((1, 2, 3)) - 2)


def test_a_function_that_compares_images_is_never_split() -> None:
    objective = on("a", spread, couples_images=True)
    assert objective.couples_images
    assert (ONE + objective).couples_images
    assert not ONE.couples_images
    with pytest.raises(ValueError, match=r"couples images.*with no slice or batch_size"):
        _ = (ONE + objective)[:1]


def test_a_custom_term_has_the_name_of_its_function_and_layers_or_the_name_given() -> None:
    assert on("a", spread).names == ("spread a",)
    assert on(["a", "b"], product).names == ("product a b",)
    assert on("a", spread, name="how far").names == ("how far",)
    assert on("a", torch.nn.Flatten(0)).names == ("Flatten a",)


@pytest.mark.parametrize(
    ("fn", "came"),
    [
        (lambda a: a.mean(), "()"),
        (lambda a: a, "(3, 5, 4, 4)"),
        (lambda a: a.flatten(1).mean(1, keepdim=True), "(3, 1)"),
        (lambda a: a.mean((2, 3)), "(3, 5)"),
        (lambda a: a.flatten(1).mean(1)[:1], "(1,)"),
        (lambda a: 1.0, "float"),
        (lambda a: None, "NoneType"),
    ],
)
def test_scores_of_another_shape_raise_with_a_cure(fn: Any, came: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"returned {came}; expected (3,): one score per image")) as caught:
        on("a", fn)(ACTS)
    assert "a.flatten(1).mean(1)" in str(caught.value)


@pytest.mark.parametrize("fn", [3, None, "mean", A])
def test_a_function_that_is_not_callable_raises(fn: Any) -> None:
    with pytest.raises(TypeError, match=r"on: fn must be a function, got \w+"):
        on("a", fn)


@pytest.mark.parametrize("target", ["up", None, object(), [1, None]], ids=["str", "none", "object", "list"])
def test_a_target_without_numbers_raises(target: Any) -> None:
    with pytest.raises(TypeError, match="expected numbers"):
        on("a", above, target)


def test_targets_without_rows_and_no_layers_raise() -> None:
    with pytest.raises(ValueError, match="expected a row per image"):
        on("a", above, [])
    with pytest.raises(ValueError, match="no layers"):
        on([], above)


def test_an_index_error_of_the_function_names_the_term_and_the_shapes() -> None:
    with pytest.raises(IndexError, match=re.escape("reach a: ") + ".*" + re.escape("(3, 5, 4, 4)")):
        on("a", lambda a: a[:, 9].flatten(1).mean(1), name="reach a")(ACTS)


def test_other_errors_of_the_function_do_not_change() -> None:
    def broken(a: Tensor) -> Tensor:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        on("a", broken)(ACTS)


def test_gradients_reach_the_activations_and_not_the_targets() -> None:
    a = A.clone().requires_grad_()
    vector = torch.ones(5, dtype=torch.float64, requires_grad=True)
    (direction("a", vector) + [1, 2, 3] * channel("a", 0))({"a": a}).sum().backward()
    assert a.grad is not None
    assert vector.grad is None
    assert_close(a.grad[:, 0, 0, 0], torch.tensor([2, 3, 4], dtype=torch.float64) / 16)


def test_terms_of_an_objective_are_terms() -> None:
    own = Objective((Term("mine", ("a",), lambda a: a.flatten(1).mean(1)),))
    assert_close(own(ACTS), A.mean((1, 2, 3)))
    assert logit("cat").batch == 1
