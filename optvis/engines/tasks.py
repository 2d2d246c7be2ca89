"""Run independent tasks: in this process, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from optvis.engines.ray_cluster import RayEngine
from optvis.engines.ray_engine import run_on_ray
from optvis.errors import suggest

Task = TypeVar("Task")
Outcome = TypeVar("Outcome")

#: What runs tasks: "process", this process; "ray", a local Ray cluster on all cores or cards; or a `RayEngine`.
EngineLike: TypeAlias = str | RayEngine

PROCESS, RAY = "process", "ray"


def run_tasks(
    function: Callable[[Task], Outcome],
    tasks: Sequence[Task],
    engine: EngineLike = PROCESS,
    *,
    on_gpu: bool = False,
) -> Generator[tuple[int, Outcome], None, None]:
    """Run independent tasks, and give the outcome of each as soon as it is there.

    The function may be an object that holds what all tasks share, such as the network. On a cluster it is sent once,
    and each worker calls its own copy. A task whose worker is lost runs again on another. On Ctrl-C, and where the
    generator is closed, the workers end.

    Args:
        function: of a task; for a cluster it can be pickled.
        tasks: what the function takes, one each.
        engine: "process", "ray" or a `RayEngine`.
        on_gpu: whether each worker of a cluster gets a card.

    Yields:
        The index of a task and its outcome; in this process in order, on a cluster as they end.

    Raises:
        ValueError: an unknown engine.
        ImportError: Ray is not installed; the message names the extra.
        RuntimeError: a task whose workers are lost again and again.
        Exception: of a task, as it was raised there.

    Example:
        >>> list(run_tasks(abs, [-1, 2, -3]))
        [(0, 1), (1, 2), (2, 3)]
    """
    found = resolve_engine(engine)
    if found is None:
        return _run_here(function, tasks)
    return run_on_ray(function, tasks, found, on_gpu)


def resolve_engine(engine: EngineLike) -> RayEngine | None:
    """The engine of a name; None for this process.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> resolve_engine("ray"), resolve_engine("process")
        (RayEngine(address=None, workers=None, cores=1), None)
    """
    if isinstance(engine, RayEngine):
        return engine
    if engine not in (PROCESS, RAY):
        expected = f"expected {PROCESS!r}, {RAY!r} or a RayEngine"
        raise ValueError(f"engine is {engine!r}; {expected}; {suggest(engine, (PROCESS, RAY), 'see run_tasks')}")
    return RayEngine() if engine == RAY else None


def merge_in_order(outcomes: Iterable[tuple[int, Outcome]]) -> Iterator[Outcome]:
    """Sort outcomes by the index of their task as they arrive; only those are kept that came too early.

    Example:
        >>> list(merge_in_order([(1, "b"), (0, "a"), (2, "c")]))
        ['a', 'b', 'c']
    """
    early: dict[int, Outcome] = {}
    following = 0
    for index, outcome in outcomes:
        early[index] = outcome
        while following in early:
            yield early.pop(following)
            following += 1


def _run_here(function: Callable[[Task], Outcome], tasks: Sequence[Task]) -> Generator[tuple[int, Outcome], None, None]:
    for index, task in enumerate(tasks):
        yield index, function(task)
