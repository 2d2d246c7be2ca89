"""Speed of drawing scenes and of loading the embedded network: python tests/bench/world.py"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from optvis import load
from optvis.world.scenes import draw_images

SCENES = 1600


def draw(indices: range) -> int:
    return len(draw_images(indices, 0))


def scenes_per_minute(processes: int) -> float:
    """Scenes a minute, without the start of the processes."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(draw, [range(16)] * processes))
        start = time.perf_counter()
        share = SCENES // processes
        scenes = sum(pool.map(draw, [range(first, first + share) for first in range(0, SCENES, share)]))
        return 60 * scenes / (time.perf_counter() - start)


def load_times(times: int = 20) -> list[float]:
    """Milliseconds of load(), the first call first."""
    milliseconds = []
    for _ in range(times):
        start = time.perf_counter()
        load()
        milliseconds.append(1000 * (time.perf_counter() - start))
    return milliseconds


if __name__ == "__main__":
    first, *later = load_times()
    print(f"load(): {first:.0f} ms the first time, {sorted(later)[len(later) // 2]:.1f} ms after that")
    for processes in (1, 2):
        print(
            f"{processes} process{'es' if processes > 1 else ''}: {scenes_per_minute(processes):,.0f} scenes a minute"
        )
