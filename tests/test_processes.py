"""Processes that run independent tasks: outcomes, errors, Ctrl-C, lost processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from multiprocessing import active_children

import pytest
import torch

from optvis.engines.processes import run_in_processes

INTERRUPTED = """
import os, signal, sys, threading, time
from optvis.engines.processes import run_in_processes
from tqdm import tqdm

def wait(seconds):
    for _ in tqdm([0], disable=True):  # which makes tqdm's lock
        time.sleep(seconds)

if __name__ == "__main__":
    try:
        for index, _ in run_in_processes(wait, [(0.1,), (600,), (600,)], 2):
            print(index, flush=True)
            {interrupt}
    except KeyboardInterrupt:
        print("interrupted")
"""


def children():
    return {process.pid for process in active_children()}


def test_each_outcome_comes_with_the_index_of_its_task():
    before = children()
    assert dict(run_in_processes(pow, [(n, 2) for n in range(5)], 2)) == {n: n * n for n in range(5)}
    assert children() == before
    assert list(run_in_processes(pow, [], 2)) == []


def test_a_process_has_its_threads():
    assert [count for _, count in run_in_processes(torch.get_num_threads, [()], 1, threads=3)] == [3]


def test_zero_processes_are_refused():
    with pytest.raises(ValueError, match="workers is 0; expected 1 or more"):
        next(run_in_processes(pow, [(1, 1)], 0))


def test_an_error_of_a_task_is_raised_here_and_ends_the_others():
    before, start = children(), time.monotonic()
    with pytest.raises(ValueError, match="sleep length must be non-negative"):
        list(run_in_processes(time.sleep, [(-1,), (600,)], 2))
    assert time.monotonic() - start < 300
    assert children() == before


def test_processes_end_where_the_iterator_is_closed():
    before = children()
    outcomes = run_in_processes(time.sleep, [(0,), (600,)], 2)
    assert next(outcomes) == (0, None)
    outcomes.close()
    assert children() == before


def test_a_killed_process_is_an_error_and_no_endless_wait():
    with pytest.raises(RuntimeError, match="killed, perhaps because memory ran out; choose fewer workers"):
        list(run_in_processes(signal.raise_signal, [(signal.SIGKILL,)], 1))


@pytest.mark.parametrize(
    "interrupt", ["os.kill(os.getpid(), signal.SIGINT)", "os.killpg(os.getpgid(0), signal.SIGINT)"]
)
def test_ctrl_c_ends_the_processes_and_leaves_nothing_behind(tmp_path, interrupt):
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED.format(interrupt=interrupt), encoding="utf-8")
    found = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=300, start_new_session=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["0", "interrupted"]
    assert found.stderr == ""
