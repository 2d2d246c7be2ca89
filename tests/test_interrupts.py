"""Ctrl-C at any moment leaves networks and torch as they were. `python -m tests.torture interrupts` is the long run."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from torch import nn

from optvis.ablation import blinded
from optvis.features import Channels
from optvis.interrupts import hold_interrupts, hold_lock
from optvis.models.borrow import borrow, lock
from optvis.models.hooks import intercept
from optvis.models.jvp import math_attention
from optvis.models.overrides.linear import linearize
from optvis.models.overrides.max_pool import smooth_max_pool
from optvis.models.overrides.relu import open_relu, redirect_relu
from optvis.models.overrides.replace import replace_output
from tests.operations import OPERATIONS, tiny, tiny_network
from tests.torture.interrupts import AtInstruction, AtTime, Trial, interrupt
from tests.torture.state import is_free, state_of

CONTEXTS: dict[str, Callable[[nn.Module], AbstractContextManager[object]]] = {
    "borrow": borrow,
    "lock": lock,
    "intercept": lambda net: intercept(net, {(net.conv1, 0): lambda output: None}, required={(net.conv1, 0): "conv1"}),
    "replace_output": lambda net: replace_output(net, "relu1", lambda a: a),
    "blinded": lambda net: blinded(net, Channels("relu1", [0])),
    "redirect_relu": lambda net: redirect_relu(),
    "open_relu": lambda net: open_relu(),
    "smooth_max_pool": lambda net: smooth_max_pool(),
    "linearize": lambda net: linearize(),
    "math_attention": lambda net: math_attention(),
    "no_grad of torch in a block": lambda net: in_a_block(torch.no_grad()),
}


@contextmanager
def in_a_block(inner: AbstractContextManager[object]):
    with hold_interrupts(), inner:
        yield


@pytest.mark.parametrize("make", CONTEXTS.values(), ids=CONTEXTS)
def test_a_context_is_left_at_every_moment_of_an_interrupt(make) -> None:
    """All moments in which Python looks for signals, from before it is entered until after it is left."""
    network = tiny_network()
    before = state_of(network)

    def use() -> None:
        with make(network):
            len("inside")

    use()
    moments = min(count_moments(use) for _ in range(5))
    caught = 0
    for number in range(1, moments + 1):
        caught += interrupt(use, AtInstruction(number))
        assert state_of(network) == before, f"moment {number} of {moments}"
        assert is_free(network)
    assert caught >= moments - 10  # the last ones belong to the alarm


def count_moments(use: Callable[[], object]) -> int:
    """How many moments there are; more where Python collects garbage meanwhile."""
    counter = AtInstruction(-1)
    interrupt(use, counter)
    return counter.count


def test_what_is_restored_is_restored_though_interrupted_twice() -> None:
    network = tiny_network()
    before = state_of(network)

    class Twice(AtInstruction):
        def look(self, _frame, event, _argument):
            self.count += 1
            if self.count == self.number + 1:
                sys.setprofile(None)
            if self.count in (self.number, self.number + 1):
                signal.raise_signal(signal.SIGINT)

    def use() -> None:
        with borrow(network), redirect_relu():
            raise KeyboardInterrupt

    for number in range(1, 400, 5):
        assert interrupt(use, Twice(number))
        assert state_of(network) == before, f"moment {number}"


def test_an_interrupt_is_delivered_soon_after_it_waited() -> None:
    class Slow:
        def __enter__(self):
            signal.raise_signal(signal.SIGINT)
            self.is_entered = True

        def __exit__(self, *error):
            self.is_left = True

    @hold_interrupts()
    def use() -> None:
        with slow:
            time.sleep(20)

    slow, start = Slow(), time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        use()
    assert slow.is_entered
    assert slow.is_left
    assert time.perf_counter() - start < 10


def test_an_import_is_not_cut_short(tmp_path, monkeypatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)

    @hold_interrupts()
    def use() -> None:
        import slow_to_import  # noqa: F401

        time.sleep(20)

    with pytest.raises(KeyboardInterrupt):
        use()
    assert sys.modules.pop("slow_to_import").whole


def test_work_in_a_block_stops_at_once() -> None:
    """Also of an operation that runs while something of the user's is entered."""

    @hold_interrupts()
    def operate() -> None:
        time.sleep(20)

    class Outer:
        def __enter__(self):
            operate()

        def __exit__(self, *error):
            pytest.fail("it was never entered")

    def use() -> None:
        with Outer():
            pass

    start = time.perf_counter()
    assert interrupt(use, AtTime(0.05))
    assert time.perf_counter() - start < 10


def test_the_handler_of_before_is_called_and_set_again(monkeypatch) -> None:
    calls = []
    own = signal.signal(signal.SIGINT, lambda *_: calls.append(1))
    try:
        handler = signal.getsignal(signal.SIGINT)
        with hold_interrupts():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with hold_interrupts():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, own)
    assert calls == [1]


def test_ctrl_c_ends_the_waiting_for_another_thread() -> None:
    network = tiny_network()
    before = state_of(network)
    taken, done = threading.Event(), threading.Event()

    def keep() -> None:
        with lock(network):
            taken.set()
            done.wait(30)

    thread = threading.Thread(target=keep)
    thread.start()
    taken.wait()

    def use() -> None:
        with borrow(network):
            pytest.fail("the lock is held twice")

    try:
        assert interrupt(use, AtTime(0.1))
    finally:
        done.set()
        thread.join()
    assert state_of(network) == before


def test_a_lock_is_released_on_any_exit() -> None:
    own = threading.RLock()
    with pytest.raises(KeyboardInterrupt), hold_lock(own):
        raise KeyboardInterrupt
    assert own.acquire(blocking=False)


QUICK = ("activations", "attribute by grad_x_activation", "ascend", "bake", "blinded with a measured fill", "dream",
         "measure_effects", "sample_activations", "try_patch", "Tail")  # fmt: skip


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Ctrl-C while a generator is dropped
def test_an_operation_survives(name) -> None:
    assert Trial(OPERATIONS[name], tiny()).run(8, random.Random(name)) == []
