"""`python -m tests.torture.sweeps`: a microscope by parts, by Ray, with killed workers and drivers; bytes and times.

Each way writes the microscope of channels of three layers of the embedded network into a new folder. The table says
whether its files are those of one process, and how long it took.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
import torch

from optvis import build_microscope, load
from optvis.engines import RayEngine, run_tasks
from optvis.microscope import MicroscopeOptions
from optvis.world import Scenes
from tests.torture.kills import read_files

LAYERS = ["mixed3", "mixed4", "mixed5"]
WORKERS, MAX_SHARE, MAX_OVERHEAD = 2, 0.6, 0.05  # of one process's time; seconds a group
DRIVER = "import sys; from tests.torture.sweeps import build; build(sys.argv[1], int(sys.argv[2]), engine='ray')"


def build(folder: str | Path, channels: int, **how: Any) -> None:
    """Build the microscope; all channels where `channels` is 0."""
    torch.set_num_threads(1)
    options = {"size": 32, "steps": 4, "options": MicroscopeOptions(8, 9, 32), "progress": False}
    chosen = range(channels) if channels else None
    build_microscope(load(), Scenes(64), LAYERS, folder, channels=chosen, **options, **how)


def build_parts(folder: Path, channels: int, rng: random.Random) -> None:
    """Build four parts in a random order, and the pages."""
    for part in rng.sample(range(1, 5), 4):
        build(folder, channels, part=(part, 4))
    build(folder, channels, part="finish")


def worker_processes() -> list[int]:
    """The processes of the actors on this machine."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::Worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@contextmanager
def killer(rng: random.Random, count: int, seconds: float) -> Iterator[list[int]]:
    """Inside, a worker is killed at so many random moments."""
    killed: list[int] = []
    moments = sorted(rng.uniform(0, seconds) for _ in range(count))
    start = time.perf_counter()

    def kill() -> None:
        for moment in moments:
            time.sleep(max(0, start + moment - time.perf_counter()))
            while not (alive := worker_processes()):
                time.sleep(0.05)
            os.kill(rng.choice(alive), signal.SIGKILL)
            killed.append(1)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    yield killed


def build_and_kill_driver(folder: Path, channels: int, seconds: float) -> None:
    """Start a driver with a cluster of its own, kill it, and start it again until it ends."""
    for wait in (seconds, None):
        driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(folder), str(channels)])
        try:
            driver.wait(wait)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()


def time_alone(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def time_group(folder: Path, channels: int, **how: Any) -> float:
    """The seconds from group to group, from the second one on: without the start of workers."""
    moments: list[float] = []

    def run(*arguments: Any, **options: Any) -> Iterator[tuple[int, Any]]:
        for outcome in run_tasks(*arguments, **options):
            moments.append(time.perf_counter())
            yield outcome

    with patch("optvis.microscope.builder.run_tasks", run):
        build(folder, channels, **how)
    return (moments[-1] - moments[1]) / (len(moments) - 2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.sweeps", description=__doc__)
    parser.add_argument("--channels", type=int, default=0, help="of each layer; all by default")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="of timing")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, engine, count = random.Random(options.seed), RayEngine(workers=WORKERS), options.channels
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as root:
        folders = (Path(root) / str(n) for n in range(1000))
        whole = next(folders)
        alone = time_alone(partial(build, whole, count))
        expected = read_files(whole)
        print(f"{len(expected)} files; one process {alone:.1f} s")

        def report(name: str, run: Callable[[Path], object]) -> float:
            folder = next(folders)
            seconds, is_same = time_alone(partial(run, folder)), read_files(folder) == expected
            print(f"{name:<40} {'same' if is_same else 'OTHER'}  {seconds:6.1f} s", flush=True)
            failures.extend([] if is_same else [f"{name}: other files"])
            return seconds

        report("four parts in a random order", lambda folder: build_parts(folder, count, rng))
        report("driver killed and restarted", lambda folder: build_and_kill_driver(folder, count, 8 + alone / 3))
        ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
        together = report("two workers", lambda folder: build(folder, count, engine=engine))
        with killer(rng, options.kills, 0.8 * together) as killed:
            report(f"two workers, {options.kills} kills", lambda folder: build(folder, count, engine=engine))
            in_time = len(killed)
        if in_time < options.kills:
            failures.append(f"{in_time} of {options.kills} kills came before the end")
        one, two = [], []
        for _ in range(options.rounds):
            one.append(time_group(next(folders), count))
            two.append(time_group(next(folders), count, engine=engine))
        share = statistics.median(two) / statistics.median(one)
        print(f"seconds a group, two workers / one process: {share:.2f}, at most {MAX_SHARE}: {one} {two}")
        seconds = time_alone(lambda: list(run_tasks(abs, list(range(500)), RayEngine(workers=1))))
        start = time_alone(lambda: list(run_tasks(abs, [0], RayEngine(workers=1))))
        print(f"overhead of a task: {1000 * (seconds - start) / 499:.2f} ms, at most {1000 * MAX_OVERHEAD:.0f}")
    if failures:
        sys.exit("; ".join(failures))


if __name__ == "__main__":
    main()
