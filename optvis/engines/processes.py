"""Processes of this machine that run independent tasks."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

import torch

from optvis.arguments import check_minimum
from optvis.progress import use_thread_lock

Outcome = TypeVar("Outcome")


def run_in_processes(
    function: Callable[..., Outcome], tasks: Sequence[tuple[Any, ...]], workers: int, threads: int = 1
) -> Iterator[tuple[int, Outcome]]:
    """Run a function with each task's arguments in processes, and give each outcome as soon as it is there.

    The processes end with the iterator: after the last outcome, after an error or Ctrl-C, and where it is closed. They
    import the main module anew, which therefore must not compute anything where it is imported.

    Args:
        function: can be pickled, as its arguments and its outcome can.
        tasks: arguments of the function, one tuple each.
        workers: processes.
        threads: of torch, in each.

    Yields:
        The index of a task and its outcome, as they end.

    Raises:
        ValueError: fewer than one process.
        RuntimeError: a process was killed, such as for its memory.
        Exception: of a task, as it was raised there.

    Example:
        >>> sorted(run_in_processes(pow, [(2, 3), (3, 2)], workers=1))
        [(0, 8), (1, 9)]
    """
    check_minimum(1, workers=workers)
    others = set(active_children())
    # Ctrl-C reaches all processes of a terminal: these ignore it, and this one ends them.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        indices = {pool.submit(_run, threads, function, task): index for index, task in enumerate(tasks)}
        for future in as_completed(indices):
            yield indices[future], future.result()
    except BrokenProcessPool as error:
        raise RuntimeError("a process was killed, perhaps because memory ran out; choose fewer workers") from error
    except BaseException:
        for process in set(active_children()) - others:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _run(threads: int, function: Callable[..., Outcome], task: tuple[Any, ...]) -> Outcome:
    use_thread_lock()
    torch.set_num_threads(threads)
    return function(*task)
