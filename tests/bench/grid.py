"""Measure activation grids: similarity of icons with and without groups, memory, and the time of a step.

python tests/bench/grid.py                        all three parts
python tests/bench/grid.py --part memory          one of them: coherence, memory or speed
python tests/bench/grid.py --steps 64 --images 1  a quick run
"""

from __future__ import annotations

import argparse
import copy
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bare_networks import bare_step, network, squeezenet_to
from torch import Tensor

from optvis import IMAGENET, Classifier, load
from optvis.grids import ActivationGrid, IconOptions, SoftSignSGD, activation_grid
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.objectives import direction
from optvis.world import scene

SHARED = Path(__file__).resolve().parents[3] / "shared"
SCENES = ("container ship", "scuba diver", "owl")
MIN_COSINE, MIN_PAIRS = 0.9, 30  # of the activations of similar positions; how many such pairs an image needs
MIN_COHERENCE, MIN_SCORE, MAX_MEMORY, MAX_TIME = 2.0, 0.95, 1.3, 1.15
DEMO_STRIDE = 8  # pixels of the embedded network's input a position of mixed4
SIDE, BATCH_SIZE = 64, IconOptions().batch_size


def correlations(grid: ActivationGrid) -> Tensor:
    """Pearson correlation, over pixels, of the icons of each pair of positions with similar activations."""
    here = grid.present[0]
    vectors = grid.activations[0].movedim(0, -1)[here].double()
    vectors /= torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    icons = grid.icons[0][here].flatten(1).double()
    icons -= icons.mean(1, keepdim=True)
    icons /= torch.linalg.vector_norm(icons, dim=1, keepdim=True)
    first, second = torch.triu_indices(len(icons), len(icons), 1)
    similar = (vectors @ vectors.T)[first, second] > MIN_COSINE
    return (icons @ icons.T)[first, second][similar]


def clean_scores(classifier: Classifier, grid: ActivationGrid, power: float) -> Tensor:
    """The score of each icon for its own direction, without transforms."""
    here = grid.present[0]
    vectors, icons = grid.activations[0].movedim(0, -1)[here], grid.icons[0][here]
    scores = []
    with borrow(classifier.network), torch.no_grad():
        for rows in torch.arange(len(icons)).split(BATCH_SIZE):
            found = read_activations(classifier.network, classifier.preprocess(icons[rows]), [grid.layer])
            scores.append(direction(grid.layer, vectors[rows], power=power)(found))
    return torch.cat(scores)


def cases(count: int) -> Iterator[tuple[str, Classifier, Any, str]]:
    """Networks, images and layers."""
    for label in SCENES[:count]:
        for layer in ("mixed4", "mixed5"):
            yield f"{layer} {label}", load("demo"), scene(label, seed=3).image, layer
    home = Path(os.environ.setdefault("TORCH_HOME", str(SHARED / "torch_home")))
    found = sorted((SHARED / "images").glob("*/*.jpg"))
    if found and list(home.glob("hub/checkpoints/squeezenet1_0-*.pth")):
        for path in found[:: max(1, len(found) // count)][:count]:
            yield f"features.12 {path.parent.name} {path.stem}", load("squeezenet1_0"), path, "features.12"


def coherence(steps: int, count: int, out: Path | None) -> bool:
    """Grids with groups, and naive ones with as many updates of icons."""
    print(f"{steps} steps of {BATCH_SIZE} icons of {SIDE} px; correlation of icons where activations are similar")
    print(f"{'layer and image':<34}{'pairs':>6}{'naive':>8}{'grouped':>9}{'ratio':>7}{'score':>8}{'power 1':>9}")
    totals: list[tuple[float, float, float]] = []
    for name, classifier, image, layer in cases(count):
        make = partial(activation_grid, classifier, image, layer, size=SIDE, steps=steps, progress=False)
        naive, grouped = make(groups=0), make()
        pairs = len(correlations(naive))
        if pairs < MIN_PAIRS:
            print(f"{name:<34}{pairs:>6}  too few pairs", flush=True)
            continue
        means = [float(correlations(grid).mean()) for grid in (naive, grouped)]
        scores = [
            float(clean_scores(classifier, grouped, p).mean() / clean_scores(classifier, naive, p).mean())
            for p in (0.0, 1.0)
        ]
        totals.append((means[0], means[1], scores[0]))
        numbers = f"{means[0]:8.3f}{means[1]:9.3f}{means[1] / means[0]:7.2f}{scores[0]:8.3f}{scores[1]:9.3f}"
        print(f"{name:<34}{pairs:>6}{numbers}", flush=True)
        for kind, grid in (("naive", naive), ("grouped", grouped)) if out is not None else ():
            grid.save(out / f"{name.replace(' ', '_')}_{kind}.png")  # type: ignore[operator]
    naive_mean, grouped_mean, score = (sum(column) / len(totals) for column in zip(*totals, strict=True))
    ratio, worst = grouped_mean / naive_mean, min(row[1] / row[0] for row in totals)
    print(f"coherence, grouped / naive: {ratio:.2f}, the smallest {worst:.2f}; limit: at least {MIN_COHERENCE}")
    lowest = min(row[2] for row in totals)
    print(f"score, grouped / naive: {score:.3f}, the smallest {lowest:.3f}; limit: at least {MIN_SCORE}")
    return worst >= MIN_COHERENCE and lowest >= MIN_SCORE


MEASURED = """
import torch, optvis
from pathlib import Path
positions, steps, size, stride = {arguments}
if positions:
    from optvis import Classifier, activation_grid, load
    net = load("demo")
    larger = Classifier(net.network, net.normalize, positions * stride)
    image = torch.rand(3, positions * stride, positions * stride, generator=torch.Generator().manual_seed(0))
    grid = activation_grid(larger, image, "mixed4", size=size, steps=steps, progress=False)
    assert grid.icons.shape[1:3] == (positions, positions)
status = Path("/proc/self/status").read_text()
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def peak(positions: int, steps: int) -> float:
    """Peak memory in MB of a process that computes a grid of so many rows and columns; with 0 it only imports."""
    code = MEASURED.format(arguments=(positions, steps, SIDE, DEMO_STRIDE))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def memory(steps: int) -> bool:
    """A grid of four times as many icons beside the smaller one."""
    bare, small, large = (peak(positions, steps) for positions in (0, 14, 28))
    ratio = (large - bare) / (small - bare)
    print(f"peak memory above the import ({bare:.0f} MB): 14 × 14 icons {small - bare:.0f} MB, "
          f"28 × 28 {large - bare:.0f} MB: {ratio:.2f}; limit: at most {MAX_MEMORY}")  # fmt: skip
    return ratio <= MAX_MEMORY


class Beside(SoftSignSGD):
    """The grid's optimizer, with a bare step of the same network after each step; both are timed."""

    def __init__(self, params: Iterable[Any], floor: Callable[[], Any], spent: list[float], share: float) -> None:
        super().__init__(params, share=share)
        self.floor, self.spent = floor, spent
        spent.clear()

    def step(self, closure: Any = None) -> Any:
        loss = super().step(closure)
        start = time.perf_counter()
        self.floor()
        self.spent.append(time.perf_counter() - start)
        return loss


def speed(steps: int) -> bool:
    """A whole grid beside the bare network's forward and backward passes of the same batches, in turn."""
    net = network("squeezenet1_0")
    floor, spent = bare_step(squeezenet_to(12)(copy.deepcopy(net)), BATCH_SIZE, SIDE), list[float]()
    maker = partial(Beside, floor=floor, spent=spent, share=BATCH_SIZE / 175)
    image = torch.rand(3, 224, 224, generator=torch.Generator().manual_seed(0))
    options: dict[str, Any] = {"size": SIDE, "icons": IconOptions(optimizer=maker), "progress": False}
    classifier = Classifier(net, IMAGENET, 224)
    activation_grid(classifier, image, "features.12", steps=2, **options)
    start = time.perf_counter()
    grid = activation_grid(classifier, image, "features.12", steps=steps, **options)
    bare = sum(spent)
    ours = time.perf_counter() - start - bare
    print(f"{grid}, {steps} steps, {torch.get_num_threads()} threads: {ours:.1f} s, the bare network {bare:.1f} s: "
          f"{ours / bare:.3f}; limit: at most {MAX_TIME}")  # fmt: skip
    return ours / bare <= MAX_TIME


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["coherence", "memory", "speed"], help="one alone")
    parser.add_argument("--steps", type=int, default=256)
    parser.add_argument("--images", type=int, default=3, help="scenes, and images, of the coherence part")
    parser.add_argument("--out", type=Path, help="folder for the sheets of the coherence part")
    options = parser.parse_args()
    parts: dict[str, Callable[[], bool]] = {
        "memory": lambda: memory(min(8, options.steps)),
        "speed": lambda: speed(options.steps),
        "coherence": lambda: coherence(options.steps, options.images, options.out),
    }
    held = [part() for name, part in parts.items() if options.part in (None, name)]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
