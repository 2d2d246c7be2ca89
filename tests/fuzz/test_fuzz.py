"""Whatever is handed in: a result, or one sentence. The same law as `python -m tests.fuzz`, on few examples."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .outcomes import outcome_of
from .targets import TARGETS

# Two minutes together on one core.
EXAMPLES = {"parts": 300, "operations": 60, "networks": 40, "files": 60, "images": 60, "commands": 30}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", TARGETS)
def test_each_input_gives_a_result_or_one_sentence(kind, tmp_path_factory, monkeypatch):
    @settings(
        max_examples=EXAMPLES[kind], deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.data())
    def law(data):
        with monkeypatch.context() as place, warnings.catch_warnings():
            place.chdir(tmp_path_factory.mktemp(kind))
            warnings.simplefilter("ignore")
            call, text = TARGETS[kind](data)
            found = outcome_of(call)
        assert not found.is_raw, f"{text}: {found}"

    law()


@pytest.mark.parametrize(
    "raw",
    [
        lambda: "a" < 1,
        lambda: [].missing,
        lambda: next(iter([])),
        lambda: {}["key"],
        lambda: (_ for _ in ()).throw(ValueError("x\ny")),
        lambda: int("x"),
    ],
)
def test_an_error_from_the_inside_is_found(raw):
    assert outcome_of(raw).is_raw
