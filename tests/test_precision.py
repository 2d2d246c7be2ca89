"""Precision: of pictures as asked for, of compared numbers always the highest; torch's flags are left as they were."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from optvis import maco, render
from optvis.models.adapted import precision
from optvis.models.adapted.precision import PRECISIONS, multiply_in
from optvis.models.borrow import borrow
from optvis.objectives import channel
from optvis.rendering import accentuate

CUDA = torch.device("cuda")
DRAWN = {"steps": 2, "progress": False}


def flags() -> list[Any]:
    """Torch's own flags on CUDA: of reproducible bits, and of float32."""
    return [getattr(*flag) for flag in precision._list_flags()]


@pytest.fixture(params=["tf32", "ieee"], autouse=True)
def before(request: pytest.FixtureRequest) -> Iterator[list[Any]]:
    """Flags that somebody has set."""
    own = flags()
    chosen = [False, *precision._choose_flags(request.param == "tf32")[1:]]
    precision._set_flags(chosen)
    yield flags()
    assert flags() == chosen
    precision._set_flags(own)


@pytest.mark.parametrize("outer", PRECISIONS)
@pytest.mark.parametrize("inner", PRECISIONS)
def test_the_innermost_context_counts_and_the_flags_come_back(outer, inner, before):
    with multiply_in(outer, CUDA):
        with pytest.raises(ZeroDivisionError), multiply_in(inner, CUDA):
            raise ZeroDivisionError(assert_flags(inner))
        assert_flags(outer)


def assert_flags(wanted: str) -> None:
    assert flags() == precision._choose_flags(wanted != "highest")
    assert torch.backends.cudnn.deterministic


def test_a_context_that_ends_before_one_of_another_thread_leaves_that_alone(before):
    entered, go_on = threading.Event(), threading.Event()

    def other() -> None:
        with multiply_in("highest", CUDA):
            entered.set()
            go_on.wait(10)

    thread = threading.Thread(target=other)
    with multiply_in("tf32", CUDA):
        thread.start()
        entered.wait(10)
    assert_flags("highest")
    go_on.set()
    thread.join()
    assert flags() == before


def test_on_a_cpu_no_flag_is_touched(small, monkeypatch):
    monkeypatch.setattr(precision, "_set_flags", lambda _: pytest.fail("a flag was set"))
    with borrow(small.network), multiply_in("tf32", small.device):
        pass


def test_a_borrowed_network_computes_at_the_highest_precision(small, before, monkeypatch):
    """As on CUDA: every analysis borrows its network."""
    devices = []
    monkeypatch.setattr(
        "optvis.models.borrow.multiply_in", lambda what, _: devices.append(what) or multiply_in(what, CUDA)
    )
    with borrow(small.network):
        assert_flags("highest")
    assert devices == ["highest"]


def test_tf32_changes_nothing_on_a_cpu_and_bfloat16_only_what_the_network_computes(random_squeezenet):
    made = {
        one: render(random_squeezenet, channel("features.3", [1, 2]), size=64, precision=one, **DRAWN)
        for one in PRECISIONS
    }
    assert made["tf32"].images.equal(made["highest"].images)
    assert made["bf16"].images.dtype == made["bf16"].scores.dtype == torch.float32
    assert not made["bf16"].scores.equal(made["highest"].scores)
    torch.testing.assert_close(made["bf16"].scores[0], made["highest"].scores[0], rtol=0.05, atol=1e-3)
    assert [one.recipe["precision"] for one in made.values()] == list(PRECISIONS)


def test_the_start_of_an_accentuation_is_no_distance_away_in_bfloat16(random_squeezenet):
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    made = accentuate(random_squeezenet, image, channel("features.3", 1), "features.0", precision="bf16", **DRAWN)
    assert made.images.isfinite().all()
    assert (
        maco(random_squeezenet, channel("features.3", 1), size=64, precision="bf16", **DRAWN).recipe["precision"]
        == "bf16"
    )


def test_another_precision_is_refused(small):
    with pytest.raises(ValueError, match="no precision 'bf61'; nearest: 'bf16'"):
        render(small, channel("conv2", 1), precision="bf61", **DRAWN)


@pytest.mark.parametrize("make", [render, maco])
def test_a_network_in_half_precision_is_not_cast_to_bfloat16(small, make):
    half = copy.deepcopy(small.network).half()
    with pytest.raises(ValueError, match=r"'bf16' for a network of float16.*; leave it out, or .*network.float\(\)"):
        make(replace(small, network=half), channel("conv2", 1), precision="bf16", **DRAWN)
