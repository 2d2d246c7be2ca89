"""Time of a step of optvis, of the bare network, and of torch-lucent, in one run.

python tests/bench/render.py            both tables of step times
python tests/bench/render.py --quality  time to equal quality on the real SqueezeNet
"""

import argparse
import copy
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bare_networks import ROWS, Row, bare_step, network
from bench_quality import quality_table
from lucent_side import lucent_modules, lucent_step_times

from optvis import IMAGENET, Classifier, ascend
from optvis.objectives import channel
from optvis.rendering.recipes import REDIRECT_STEPS

SIDE = 224
LUCENT_ROUNDS = 3


def optvis_step(row: Row, net: torch.nn.Module, batch: int) -> Callable[[], object]:
    """A step of `ascend` with its defaults, after the steps that redirect ReLU gradients."""
    classifier = Classifier(net, IMAGENET, SIDE)
    loop = ascend(classifier, channel(row.layer, range(batch)), size=SIDE, recipe="plain")
    for _ in range(REDIRECT_STEPS):
        next(loop)
    return lambda: next(loop)


def seconds(step: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    step()
    return clock() - start


def measure(
    row: Row, batch: int, rounds: int, with_lucent: bool, clock: Callable[[], float]
) -> tuple[float, float, float]:
    """Median seconds of the bare network, of a step of optvis, and of a step of Lucent, in interleaved rounds."""
    net = network(row.network)
    bare = bare_step(row.cut(copy.deepcopy(net)), batch, SIDE)
    step = optvis_step(row, net, batch)
    times: dict[str, list[float]] = {"bare": [], "optvis": [], "lucent": []}
    seconds(bare, clock)
    for turn in range(rounds):
        times["bare"].append(seconds(bare, clock))
        times["optvis"].append(seconds(step, clock))
        if with_lucent and turn % max(1, rounds // LUCENT_ROUNDS) == 0:
            hooked = copy.deepcopy(net)  # Lucent never removes its hooks, so each run gets its own network
            times["lucent"] += lucent_step_times(hooked, row.layer, batch, SIDE, clock)
    lucent = statistics.median(times["lucent"]) if times["lucent"] else math.nan
    return statistics.median(times["bare"]), statistics.median(times["optvis"]), lucent


def step_table(rounds: int, batches: list[int], with_lucent: bool, clock: Callable[[], float]) -> None:
    machine = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"median of {rounds} interleaved rounds, {SIDE} px, {machine}")
    print(
        f"{'network':<14}{'layer':<13}{'batch':>5}{'bare s':>9}{'optvis s':>9}{'optvis/bare':>12}{'lucent/optvis':>14}"
    )
    for batch in batches:
        ratios = []
        for row in ROWS:
            bare, step, lucent = measure(row, batch, rounds, with_lucent, clock)
            ratios.append(step / bare)
            times = f"{bare:9.3f}{step:9.3f}{step / bare:12.3f}{lucent / step:14.2f}"
            print(f"{row.network:<14}{row.layer:<13}{batch:>5}{times}", flush=True)
        print(f"{'geometric mean':<32}{'':>18}{statistics.geometric_mean(ratios):12.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 1])
    parser.add_argument("--alone", action="store_true", help="without torch-lucent")
    parser.add_argument("--processor", action="store_true", help="seconds of the processor: other programs run")
    parser.add_argument(
        "--quality", action="store_true", help="time to equal quality, with torch-lucent for comparison"
    )
    parser.add_argument("--out", type=Path, help="with --quality: folder for the images of both")
    options = parser.parse_args()
    if options.quality:
        quality_table(options.out)
    else:
        clock = time.process_time if options.processor else time.perf_counter
        step_table(options.rounds, options.batches, not options.alone and lucent_modules() is not None, clock)


if __name__ == "__main__":
    main()
