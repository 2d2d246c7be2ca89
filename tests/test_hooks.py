"""Hooks count calls, replace outputs, and are gone on any exit."""

import pytest
import torch
from torch import nn

from optvis.models.hooks import hook_modules, intercept, is_intercepted


class Twice(nn.Module):
    """Calls one module twice."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.relu(x) - 1)


@pytest.fixture
def twice():
    return Twice()


def hooks_of(network):
    return [hook for m in network.modules() for hook in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]


@pytest.mark.parametrize(("call", "expected"), [(0, 9.0), (1, 10.0)])
def test_a_call_is_found_by_its_number(twice, call, expected):
    with intercept(twice, {(twice.relu, call): lambda output: torch.full_like(output, 10)}):
        assert float(twice(torch.tensor(5.0))) == expected
    assert float(twice(torch.tensor(5.0))) == 4


def test_none_leaves_the_output_as_it_is(twice):
    seen = []
    with intercept(twice, {(twice.relu, 0): seen.append}):
        assert float(twice(torch.tensor(5.0))) == 4
    assert [float(value) for value in seen] == [5]


def test_calls_are_counted_anew_in_each_pass_even_after_one_that_was_cut_short(twice):
    def stop(_output):
        raise KeyError("stop")

    seen = []
    with intercept(twice, {(twice.relu, 1): seen.append}):
        with pytest.raises(KeyError), intercept(twice, {(twice.relu, 0): stop}):
            twice(torch.tensor(5.0))
        twice(torch.tensor(7.0))
    assert [float(value) for value in seen] == [6]


def test_hooks_are_removed_on_success_and_error(twice):
    with intercept(twice, {(twice.relu, 0): lambda output: output}):
        assert hooks_of(twice)
    assert not hooks_of(twice)
    with pytest.raises(KeyboardInterrupt), intercept(twice, {(twice.relu, 0): lambda output: output}):
        raise KeyboardInterrupt
    assert not hooks_of(twice)


def test_an_error_while_hooks_are_registered_leaves_none_behind(twice):
    with pytest.raises(AttributeError), hook_modules([twice.relu, object()], after=lambda *_: None):
        pass
    assert not hooks_of(twice)


def test_a_purpose_is_seen_while_it_is_open(twice):
    assert not is_intercepted(twice, "ablation")
    with intercept(twice, {}, purpose="other"):
        assert not is_intercepted(twice, "ablation")
        with intercept(twice, {}, purpose="ablation"):
            assert is_intercepted(twice, "ablation")
    assert not is_intercepted(twice, "ablation")
