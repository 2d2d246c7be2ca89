"""How well linear probes read a class from a layer after linear erasure, for each class of an embedded network.

python tests/bench/erasure.py                                  mixed4 of the embedded network, LEACE and INLP
python tests/bench/erasure.py --network demo-vit               the last block of the embedded transformer
python tests/bench/erasure.py --fit 1000 --scenes 1000 --groups 2

Erasure is fitted to `--fit` scenes of each of the sixteen classes. The probes see `--scenes` others of each class, in
`--groups` of as many scenes each: in each group a probe is fitted to one half and tested on the other, and the reverse.
So each of `--groups` figures comes from scenes of its own, and shows how much one probe differs from the next. A line
for each class: the balanced accuracy of each group and their mean, in %; 50 % is chance.

Erasure is an affine map, so the mean over positions of what it returns is what it returns for the mean. So the network
runs once over all scenes, and not once for each class and method.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import mean, stdev

import torch
from inside import BATCH, ERASERS, JUDGING, LAYERS, Task, divide, draw, measure, solve
from torch import Tensor

from optvis import Classifier, load
from optvis.ablation.evaluation.readout import probe_linearly
from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.objectives.layout import positions
from optvis.world import LABELS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=LAYERS, default="demo")
    parser.add_argument("--methods", nargs="+", default=["leace", "inlp"], choices=ERASERS)
    parser.add_argument("--fit", type=int, default=16_000, help="scenes of each class")
    parser.add_argument("--scenes", type=int, default=12_000, help="scenes of each class for probes")
    parser.add_argument("--groups", type=int, default=4, help="of these scenes, with probes of their own")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()
    start, layer = time.perf_counter(), LAYERS[options.network][0]
    torch.set_num_threads(1)
    with ProcessPoolExecutor(options.workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        moments = measure(pool, options.network, layer, (), divide(dict.fromkeys(LABELS, options.fit)))
        means = read_means(pool, options.network, layer, options.scenes)
        print(f"{options.network}, {layer}: {time.perf_counter() - start:.0f} s", flush=True)
        for method in options.methods:
            units = [solve(method, moments, label, layer) for label in LABELS]
            probes = [partial(probe_class, means, place, options.groups) for place in range(len(LABELS))]
            print_table(method, units, [probe(own) for probe, own in zip(probes, units, strict=True)])


def read_means(pool: ProcessPoolExecutor, network: str, layer: str, count: int) -> Tensor:
    """The means over positions of a layer's activations, on so many scenes of each class, (16, N, C)."""
    parts = pool.map(partial(read_means_of, network, layer), divide(dict.fromkeys(LABELS, count)))
    return torch.cat(list(parts)).unflatten(0, (len(LABELS), count))


def read_means_of(network: str, layer: str, task: Task) -> Tensor:
    label, start, stop = task
    net = load(network)
    with borrow(net.network), torch.no_grad():
        return torch.cat(list(read_batches(net, layer, label, start, stop)))


def read_batches(net: Classifier, layer: str, label: str, start: int, stop: int) -> Iterator[Tensor]:
    for first in range(start, stop, BATCH):
        images = draw(label, min(BATCH, stop - first), JUDGING + first)
        activations = read_activations(net.network, net.preprocess(images), [layer])[layer]
        yield positions(activations).double().mean(2).float()


def probe_class(means: Tensor, target: int, groups: int, units: Units) -> list[float]:
    """The balanced accuracy of linear probes without some units, in each group of scenes.

    Args:
        means: a layer's activations, (16, N, C).
        target: index of the class that the probes look for.
        groups: number of groups, each with as many scenes of each class.
        units: what is erased.
    """
    is_target = (torch.arange(len(means)) == target).repeat_interleave(means.shape[1] // groups)
    rows = means.shape[1] // groups * groups
    return [
        probe_linearly(units.replace(part.flatten(0, 1).double()), is_target)
        for part in means[:, :rows].chunk(groups, dim=1)
    ]


def print_table(method: str, units: Sequence[Units], accuracies: Sequence[Sequence[float]]) -> None:
    for label, own, found in zip(LABELS, units, accuracies, strict=True):
        each = "".join(f"{100 * accuracy:7.1f}" for accuracy in found)
        print(f"{method:<8}{label:<16}{len(own):4}{each}   mean {100 * mean(found):5.1f}")
    averages = [100 * mean(found) for found in accuracies]
    within = sum(average <= 52 for average in averages)
    print(
        f"{method:<8}all: mean {mean(averages):.2f}, standard deviation over classes {stdev(averages):.2f}, "
        f"{min(averages):.1f} to {max(averages):.1f}; 52 or less in {within} of {len(averages)}",
        flush=True,
    )


if __name__ == "__main__":
    main()
