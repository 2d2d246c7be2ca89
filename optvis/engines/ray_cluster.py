"""A Ray cluster: which one, with how many workers, and the connection to it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from optvis.arguments import check_minimum

TERMINATED = 128 + signal.SIGTERM  # the exit code after SIGTERM, as shells have it
SECONDS_TO_ANSWER = 20  # for a cluster's address
ENVIRONMENT = {  # in which a cluster starts
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Where an address answers that is not Ray's, such as that of its own dashboard, each try takes 40 s, and by default
    # there are twenty.
    "RAY_NUM_REDIS_GET_RETRIES": "2",
    # Where a worker is lost, its task runs again, and Ray prints a line to standard output that starts so.
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^A worker died or was killed while executing a task",
    # glibc gives threads arenas of their own, eight a core. With two in all, the memory of a worker that reads images
    # stays as it is after a few shards of a survey; with sixteen it grew by 11 MB with each.
    "MALLOC_ARENA_MAX": "2",
    # By default Ray's workers have a lower priority, a niceness of 15. Six channels of a microscope took 32 s on two
    # idle cores, and beside three busy processes 513 s with that priority, and 71 s with the usual one.
    "RAY_worker_niceness": "0",
}
MISSING = "the engine needs Ray, which is not installed; install it with: pip install 'optvis[ray]'"


@dataclass(frozen=True)
class RayEngine:
    """Workers of a Ray cluster. `pip install 'optvis[ray]'` installs what it needs.

    The workers of a local cluster use this process's packages. On other machines the same versions of optvis and torch
    are needed, and files under the same paths.

    Args:
        address: of a running cluster, such as "auto" or "10.0.0.5:6379"; None starts one on this machine, which ends
            with the call. A cluster that this process has connected to already is used, and stays.
        workers: how many at most; by default as many as the cluster has cards, for a network on one, or else cores.
        cores: of each worker; its number of threads. Numbers computed with as many threads are equal bit for bit.

    Raises:
        ValueError: workers or cores below 1.

    Example:
        >>> RayEngine(workers=2)
        RayEngine(address=None, workers=2, cores=1)
    """

    address: str | None = None
    workers: int | None = None
    cores: int = 1

    def __post_init__(self) -> None:
        check_minimum(1, workers=self.workers, cores=self.cores)


def import_ray() -> Any:
    """Import Ray, which reads once what it does not print: lines of lost workers, if this is its first import.

    Raises:
        ImportError: it is not installed; the message names the extra.
    """
    with _own_environment():
        try:
            import ray
        except ImportError as error:
            raise ImportError(MISSING) from error
    return ray


@contextmanager
def _own_environment() -> Iterator[None]:
    """Inside, Ray finds its options in the environment; what it adds there is removed."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def connect(ray: Any, engine: RayEngine, on_gpu: bool) -> Iterator[None]:
    """Inside, this process is connected to the cluster."""
    if ray.is_initialized():
        yield
        return
    if engine.address is not None:
        _check_address(engine.address)
    options: dict[str, Any] = {"address": engine.address or "local"}
    if engine.address is None:
        options["include_dashboard"] = False
        if not on_gpu:
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            options["num_cpus"] = max(cores, engine.cores * (engine.workers or 1))
    with _own_environment(), _end_on_sigterm() as set_handler:
        try:
            try:
                ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError) as error:  # of an address that is none, too
                raise ConnectionError(f"no Ray cluster at {engine.address!r}: {error}") from error
            set_handler()
            yield
        finally:
            ray.shutdown()


@contextmanager
def _end_on_sigterm() -> Iterator[Callable[[], object]]:
    """Inside, SIGTERM ends the process through all `finally` blocks, unless it had a handler; afterwards it has that.

    `ray.init` sets a handler of Python, and one of C++ over it that aborts the process. Call the function of this
    context after it. Ray replaces the exit code of what a handler raises while Ray waits.
    """
    previous = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or previous is None:  # None: it is not Python's
        yield lambda: None
        return
    came: list[int] = []

    def end(number: int, _frame: object) -> None:
        came.append(number)
        sys.exit(TERMINATED)

    inside = end if previous is signal.SIG_DFL else previous
    try:
        yield lambda: signal.signal(signal.SIGTERM, inside)
    except SystemExit as error:
        if came or error.code == signal.SIGTERM:  # the code of Ray's own handler
            raise SystemExit(TERMINATED) from error
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)


def _check_address(address: str) -> None:
    """Raise ConnectionError where nobody answers: Ray itself would try again for a quarter of an hour."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):  # such as "auto"
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError, ValueError) as error:
        raise ConnectionError(f"no Ray cluster at {address!r}: {error}; expected its HOST:PORT, or 'auto'") from error
