"""Jobs that are killed at random moments and started again: do they write the same bytes as undisturbed ones?"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from optvis import build_microscope, render
from optvis.atlas import activation_atlas
from optvis.objectives import channel
from tests.operations import QUIET, Subject

Job = Callable[[Subject, Path], object]


def _atlas(s: Subject, folder: Path) -> None:
    activation_atlas(s.classifier, s.images, s.late, levels=[2, 3], options=s.atlas, **QUIET).save(folder / "atlas")


def _microscope(s: Subject, folder: Path) -> None:
    build_microscope(s.classifier, s.images, s.early, folder / "microscope", **s.folder_options)


def _rendering(s: Subject, folder: Path) -> None:
    render(s.classifier, channel(s.late, [0, 1]), steps=20, **QUIET).save(folder / "rendering.png")


JOBS: dict[str, Job] = {"atlas": _atlas, "microscope": _microscope, "rendering": _rendering}


def count_equal(job: Job, subject: Subject, tries: int, rng: random.Random) -> int:
    """Kill a job at random moments, each time in a new folder, start it again, and count the folders that are equal."""
    torch.set_num_threads(1)  # a child gets no other threads
    with tempfile.TemporaryDirectory() as root:
        job(subject, Path(root) / "warm")
        start = time.perf_counter()
        job(subject, Path(root) / "whole")
        seconds = time.perf_counter() - start
        expected, equal = read_files(Path(root) / "whole"), 0
        for index in range(tries):
            folder = Path(root) / str(index)
            _run_and_kill(job, subject, folder, rng.uniform(0, seconds))
            job(subject, folder)
            equal += read_files(folder) == expected
    return equal


def read_files(folder: Path) -> dict[str, bytes]:
    """All files in a folder, by their path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _run_and_kill(job: Job, subject: Subject, folder: Path, seconds: float) -> None:
    """Run a job in a child process, and kill it after some seconds."""
    child = os.fork()
    if child == 0:
        try:
            job(subject, folder)
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
