"""The workers of a Ray cluster: actors that hold the function of tasks, and are replaced where they are lost."""

from __future__ import annotations

import math
import pickle
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import torch

from optvis.engines.ray_cluster import RayEngine, connect, import_ray
from optvis.errors import warn_user
from optvis.formatting.version import __version__

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

MAX_LOST = 10  # workers that one task may lose
SECONDS_BETWEEN_LOOKS = 0.5  # for Ctrl-C, while workers work
SECONDS_TO_BEGIN = 60  # for a first worker, which imports torch; after that the cluster seems full


class Worker:
    """What runs in an actor: its own copy of the function of tasks.

    Args:
        function: of a task.
        threads: of torch.
        versions: of packages that the driver has.
    """

    def __init__(self, function: Callable[[Any], Any], threads: int, versions: str) -> None:
        torch.set_num_threads(threads)
        self.function, self.versions = function, versions

    def run(self, task: Any) -> Any:
        """Run a task."""
        own = read_versions()
        if self.versions != own:
            raise RuntimeError(f"a worker has {own}, and this process {self.versions}; install the same")
        return self.function(task)


def read_versions() -> str:
    """The versions of the packages on which numbers depend."""
    return f"optvis {__version__} and torch {torch.__version__}"


def run_on_ray(
    function: Callable[[Task], Outcome], tasks: Sequence[Task], engine: RayEngine, on_gpu: bool
) -> Generator[tuple[int, Outcome], None, None]:
    """Run tasks on a Ray cluster; see `run_tasks`."""
    ray = import_ray()
    if not tasks:
        return
    with connect(ray, engine, on_gpu), _Pool(ray, function, engine, on_gpu) as pool:
        yield from pool.run(tasks)


class _Pool:
    """Actors, and which of them runs which task.

    Args:
        ray: the package.
        function: of a task.
        engine: how many actors, and of how many cores.
        on_gpu: whether each gets a card.
    """

    def __init__(self, ray: Any, function: Callable[[Any], Any], engine: RayEngine, on_gpu: bool) -> None:
        self.ray, self.engine = ray, engine
        self.resources = {"num_cpus": engine.cores, "num_gpus": int(on_gpu)}
        self.actor = ray.remote(Worker).options(**self.resources, max_restarts=0, max_task_retries=0)
        self.shared = _send(ray, function)
        self.running: dict[Any, tuple[int, Any]] = {}  # of each result to come the task's index and the actor

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for _, actor in self.running.values():
            self.ray.kill(actor)
        self.running.clear()

    def run(self, tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Run tasks; a task whose actor is lost runs again on a new one."""
        left, lost = deque(range(len(tasks))), [0] * len(tasks)
        actors = [self._start_actor() for _ in range(min(self._count_workers(), len(tasks)))]
        room = _Room(self.ray, actors)
        for actor in actors:
            self._start(actor, left.popleft(), tasks)
        while self.running:
            ready, _ = self.ray.wait(list(self.running), timeout=SECONDS_BETWEEN_LOOKS)
            room.look()
            for result in ready:
                index, actor = self.running.pop(result)
                try:
                    outcome = self.ray.get(result)
                except self.ray.exceptions.RayTaskError as error:
                    self.ray.kill(actor)
                    raise _original(error) from None
                except self.ray.exceptions.RayError as error:
                    lost[index] += 1
                    if lost[index] == MAX_LOST:
                        raise RuntimeError(f"task {index} lost {MAX_LOST} workers; the last: {error}") from error
                    left.appendleft(index)
                    actor = self._start_actor()
                else:
                    yield index, outcome
                if left:
                    self._start(actor, left.popleft(), tasks)
                else:
                    self.ray.kill(actor)

    def _start(self, actor: Any, index: int, tasks: Sequence[Any]) -> None:
        self.running[actor.run.remote(tasks[index])] = index, actor

    def _start_actor(self) -> Any:
        return self.actor.remote(self.shared, self.engine.cores, read_versions())

    def _count_workers(self) -> int:
        """How many workers the cluster has room for.

        Raises:
            RuntimeError: none.
        """
        has = self.ray.cluster_resources()
        room = int(has.get("CPU", 0)) // self.engine.cores
        if self.resources["num_gpus"]:
            room = min(room, int(has.get("GPU", 0)))
        if not room:
            what = " and a card" if self.resources["num_gpus"] else ""
            raise RuntimeError(f"the Ray cluster has no room for a worker of {self.engine.cores} cores{what}: {has}")
        return min(room, self.engine.workers or room)


class _Room:
    """Whether a cluster has room for any of some actors; a warning says once that it has none for long.

    Args:
        ray: the package.
        actors: have no tasks yet.
    """

    def __init__(self, ray: Any, actors: Sequence[Any]) -> None:
        self.ray, self.begins = ray, [actor.__ray_ready__.remote() for actor in actors]
        self.deadline = time.monotonic() + SECONDS_TO_BEGIN

    def look(self) -> None:
        """Warn where no actor has begun in time."""
        if time.monotonic() < self.deadline:
            return
        self.deadline = math.inf
        if not self.ray.wait(self.begins, timeout=0)[0]:
            free, has = self.ray.available_resources(), self.ray.cluster_resources()
            warn_user(
                f"no worker has begun in {SECONDS_TO_BEGIN} s: of the Ray cluster's {has.get('CPU', 0):g} cores "
                f"{free.get('CPU', 0):g} are free; this call waits for room"
            )


def _send(ray: Any, function: Callable[[Any], Any]) -> Any:
    """Put the function of tasks, with all that it holds, where workers find it.

    Raises:
        TypeError: the network or the source of images cannot be pickled.
    """
    try:
        return ray.put(function)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        reason = str(error.__cause__ or error).split("\n", 1)[0]
        raise TypeError(
            f"the workers of Ray get the network and the source of images by pickle, which cannot take one of them: "
            f"{reason}; give images as files or shards, and define classes in a module"
        ) from error


def _original(error: Any) -> BaseException:
    """The error that a task raised, with the worker's traceback as a note."""
    cause = error.cause
    if not isinstance(cause, BaseException):
        return RuntimeError(str(error))
    cause.add_note(f"in a worker of Ray:\n{error}")
    return cause
