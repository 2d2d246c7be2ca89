"""Time of a step on a GPU, beside the bare network with and without a CUDA graph; memory; and 5,488 channels.

python tests/bench/gpu.py               the tables; it ends within four minutes, and at once without CUDA
python tests/bench/gpu.py --quick       batches of 1 and 8 alone
python tests/bench/gpu.py --compile     optvis with compile=True, which takes a minute a row
python tests/bench/gpu.py --check       whether recorded steps give the pictures of others, and the same twice

The bare network is cut at the layer, with random weights and BatchNorm as it is, channels last; it runs forward, and
backward to its input. Its products are TF32, as those of optvis are by default, and bfloat16 in rows that say so. A
step of optvis is the difference between renderings of many and of few steps; "first" is what a rendering takes beside
its steps, when the network was rendered before.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import count

import torch
from bare_networks import ROWS, Row, network
from torch import Tensor, nn

from optvis import IMAGENET, Classifier, Rendering, render
from optvis.models.adapted.precision import PRECISIONS, Precision, multiply_in
from optvis.objectives import channel
from optvis.rendering import free_kept_steps
from optvis.rendering.steps import graph

CUDA = torch.device("cuda")
STEPS = 64
ROUNDS = 10
SMALL = 8  # images
SECONDS = 200  # after which no further row is begun
PICTURES: tuple[Precision, ...] = ("tf32", "bf16")  # of pictures
SIZES = ((1, 224), (8, 224), (64, 128), (256, 128), (512, 128))
#: GoogLeNet's inception blocks: 5,488 channels.
BLOCKS = {"3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024}


def milliseconds(run: Callable[[], object], rounds: int = ROUNDS, warm_up: int = 2) -> float:
    """Median time of a run, each waited for, after some that warm up."""
    times = []
    for turn in range(rounds + warm_up):
        torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times += [time.perf_counter() - start] if turn >= warm_up else []
    return 1000 * statistics.median(times)


def bare_step(cut: nn.Module, batch: int, side: int, precision: str) -> Callable[[], Tensor]:
    """Forward and backward to the input of a cut network."""
    cut = cut.to(CUDA, memory_format=torch.channels_last).requires_grad_(False)
    images = torch.rand(batch, 3, side, side, device=CUDA).contiguous(memory_format=torch.channels_last)
    images.requires_grad_()

    def step() -> Tensor:
        with torch.autocast("cuda", torch.bfloat16) if precision == "bf16" else nullcontext():
            scores = cut(images).sum()
        return torch.autograd.grad(scores, images)[0]

    return step


def record(step: Callable[[], Tensor]) -> Callable[[], None]:
    """The same step as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def own_step(
    row: Row, net: nn.Module, batch: int, side: int, precision: Precision, compile: bool
) -> tuple[float, float, str]:
    """Milliseconds of a step of `render` with the recipe "plain", those before the first, and how it is evaluated."""
    classifier = Classifier(net.to(CUDA), IMAGENET, side)
    objective = channel(row.layer, [place % 256 for place in range(batch)])

    def run(steps: int) -> str:
        options = {"precision": precision, "compile": compile, "progress": False}
        made = render(classifier, objective, recipe="plain", steps=steps, **options)
        return " ".join(made.recipe.get(name, "") for name in ("step", "compile"))

    run(STEPS // 4)
    rounds = 3 if batch <= SMALL else 1  # of large batches a rendering takes seconds
    few, many = (milliseconds(partial(run, steps), rounds, warm_up=1) for steps in (STEPS, 2 * STEPS))
    step = (many - few) / STEPS
    return step, few - STEPS * step, run(STEPS // 4)


def step_table(sizes: tuple[tuple[int, int], ...], start: float, compile: bool) -> None:
    """Print a row for each network, batch and precision."""
    times = f"{'eager':>8}{'graph':>8}{'optvis':>8}{'/graph':>7}{'first':>8}"
    print(f"{'network':<11}{'batch':>6}{'px':>5}{'precision':>10}{times}{'GB':>6}")
    for row in ROWS[2:]:
        net = network(row.network)
        for batch, side in sizes:
            for precision in PICTURES:
                if time.perf_counter() - start > SECONDS:
                    print("out of time")
                    return
                torch.cuda.reset_peak_memory_stats()
                with multiply_in(precision, CUDA):
                    step = bare_step(row.cut(copy.deepcopy(net)), batch, side, precision)
                    eager, graph = milliseconds(step), milliseconds(record(step))
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
                own, first, how = own_step(row, net, batch, side, precision, compile)
                free_kept_steps()
                memory = torch.cuda.max_memory_allocated() / 2**30
                times = f"{eager:8.2f}{graph:8.2f}{own:8.2f}{own / graph:7.2f}{first:8.1f}"
                print(f"{row.network:<11}{batch:>6}{side:>5}{precision:>10}{times}{memory:6.1f}  {how}", flush=True)


def picture(start: float) -> None:
    """Print the time of one picture of 64 steps at 224 px, and of all channels of GoogLeNet at 128 px."""
    classifier = Classifier(network("googlenet").to(CUDA), IMAGENET, 224)

    places = count(1)

    def one() -> object:  # another channel each time
        return render(classifier, channel("inception4a", next(places)), recipe="plain", steps=STEPS, progress=False)

    print(f"one picture of {STEPS} steps at 224 px, warm: {milliseconds(one, rounds=3) / 1000:.3f} s")
    torch.cuda.reset_peak_memory_stats()
    begin, made = time.perf_counter(), 0
    for block, channels in BLOCKS.items():
        if time.perf_counter() - start > SECONDS:
            break
        render(
            classifier,
            channel(f"inception{block}", range(channels)),
            size=128,
            recipe="plain",
            steps=STEPS,
            progress=False,
        )
        made += channels
    memory = torch.cuda.max_memory_allocated() / 2**30
    print(f"{made:,} channels at 128 px: {time.perf_counter() - begin:.1f} s, {memory:.1f} GB")


def check() -> None:
    """Print how far recorded steps are from steps that are not recorded, and two calls from each other."""
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Conv2d(3, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.ReLU()).eval()
    for name, net, layer, steps in (
        ("no max pooling", flat, "4", 16),
        ("GoogLeNet", network("googlenet"), "inception4a", STEPS),
    ):
        classifier = Classifier(net.to(CUDA), IMAGENET, 96)
        for precision in PRECISIONS:
            options = {"recipe": "plain", "steps": steps, "precision": precision, "progress": False}
            once, again, other = (render(classifier, channel(layer, [1, 2]), **options) for _ in range(3))
            with without_recording():
                plain = render(classifier, channel(layer, [1, 2]), **options)
            scores = ((once.scores - plain.scores) / plain.scores).abs().max()
            twice, thrice = gap(once, again), gap(once, other)
            print(
                f"{name}, {steps} steps, {precision}: recorded or not, pixels differ by {gap(once, plain):.1e} and "
                f"scores by {float(scores):.1e}; two calls by {twice:.1e}, and by {thrice:.1e} ({once.recipe['step']})"
            )


def gap(one: Rendering, other: Rendering) -> float:
    """The largest difference of pixels."""
    return float((one.images - other.images).abs().max())


@contextmanager
def without_recording() -> Iterator[None]:
    """Inside, no step is recorded."""
    free_kept_steps()
    fewest, graph.FEWEST_STEPS = graph.FEWEST_STEPS, 10**9
    try:
        yield
    finally:
        graph.FEWEST_STEPS = fewest
        free_kept_steps()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="batches of 1 and 8 alone")
    parser.add_argument("--compile", action="store_true", help="optvis with compile=True")
    parser.add_argument("--check", action="store_true", help="compare pictures instead")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA here: nothing is measured")
        return
    start = time.perf_counter()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, milliseconds a step")
    if options.check:
        check()
        return
    picture(start)
    step_table(SIZES[:2] if options.quick else SIZES, start, options.compile)


if __name__ == "__main__":
    main()
