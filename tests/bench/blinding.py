"""Each of the sixteen classes removed in turn: selected on some scenes, evaluated on others, against random units.

python tests/bench/blinding.py                         all tables
python tests/bench/blinding.py channels                one of: channels, directions, noodles
python tests/bench/blinding.py channels --scenes 50    fewer fresh scenes a class
python tests/bench/blinding.py directions --network demo-vit    in the last block of the embedded transformer
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from optvis import load
from optvis.ablation import Contrast, GreedySearch, MostFrequent, Subspace, TopNorm, find_directions, find_units
from optvis.ablation.evaluation.metrics import p_value
from optvis.ablation.evaluation.random_units import random_channels, random_directions
from optvis.ablation.selection.cached_network import CachedNetwork, ablate
from optvis.features.units import Channels, Directions, Units
from optvis.models.borrow import borrow
from optvis.objectives.layout import positions
from optvis.world import LABELS, dataset, scene

LAYERS = {"demo": "mixed4", "demo-vit": "blocks.5@all"}  # of a transformer in all tokens
CHANNELS = 12  # of 128
DIMENSIONS = 3
FINDING, JUDGING = 41, 42  # seeds; no setting was chosen on these scenes
OWN, OTHERS = 48, 4  # scenes of the target, and of each other class, that a search sees
QUICK = 25  # fresh scenes a class for the curves and the old recipes
CHANCE_SCENES, SETS = 12, 250
NOODLES = "mixed3"


@dataclass(frozen=True)
class CachedScenes:
    """Fresh scenes of each class, cached at the layer.

    Args:
        classes: a CachedNetwork per class.
    """

    classes: Sequence[CachedNetwork]

    def recalls(self, units: Sequence[Units]) -> Tensor:
        """The share of each class's scenes that are called so, (16,)."""
        return torch.tensor([recall(cached, index, units) for index, cached in enumerate(self.classes)])


def recall(cached: CachedNetwork, index: int, units: Sequence[Units]) -> float:
    changes = {cached.layers[0]: partial(ablate, units)} if units else {}
    with torch.inference_mode():
        return float((cached.logits(changes).argmax(1) == index).float().mean())


def cache_scenes(net, layer: str, images: Tensor, labels: Tensor, scenes: int) -> CachedScenes:
    shown = [images[labels == index][:scenes] for index in range(len(LABELS))]
    return CachedScenes([CachedNetwork(net, some, [layer]) for some in shown])


def format_row(target: int, before: Tensor, after: Tensor) -> str:
    """Recall of the target, and how many points the others lose on average and at worst."""
    lost = 100 * torch.cat([before[:target] - after[:target], before[target + 1 :] - after[target + 1 :]])
    return f"{100 * float(after[target]):6.1f}{float(lost.mean()):6.2f}{float(lost.max()):6.1f}"


def holds(target: int, before: Tensor, after: Tensor) -> bool:
    lost = torch.cat([before[:target] - after[:target], before[target + 1 :] - after[target + 1 :]])
    return bool(after[target] <= 0.05 and lost.mean() <= 0.01 and lost.max() <= 0.05)


def recall_p(cached: CachedNetwork, target: int, units: Units, random: Sequence[Units]) -> float:
    """p: the share of random sets, as strong, without which the target is seen as rarely."""
    lost = torch.tensor([1 - recall(cached, target, [one]) for one in (units, *random)])
    return p_value(float(lost[0]), lost[1:])


def tables(which: Sequence[str], scenes: int, network: str) -> None:
    start = time.perf_counter()
    net, layer = load(network), LAYERS[network]
    images, labels = dataset(OWN * len(LABELS), FINDING)
    judged, truth = dataset(scenes * len(LABELS), JUDGING)
    print(f"drawn: {time.perf_counter() - start:.0f} s, {torch.get_num_threads()} threads", flush=True)
    with borrow(net.network):
        every, quick = (cache_scenes(net, layer, judged, truth, count) for count in (scenes, QUICK))
        before = every.recalls([]), quick.recalls([])
    for kind in which:
        print(f"\n{kind} of {layer}: recall of the target %, points that the others lose on average, and at worst")
        table = {"channels": ChannelTable, "directions": DirectionTable}[kind](net, layer, images, labels)
        good = 0
        print(f"{'':<16}{'found':>18}{'p':>8}   " + "".join(f"{name:>20}" for name in table.columns))
        for target, label in enumerate(LABELS):
            units = table.select(target)
            with borrow(net.network):
                after = every.recalls(units)
                cells = "".join(
                    f"  {format_row(target, before[1], quick.recalls(o))}" for o in table.others(target, units)
                )
                few = CachedNetwork(net, judged[truth == target][:CHANCE_SCENES], [layer])
                p = recall_p(few, target, units[0], table.draw(units[0], torch.Generator().manual_seed(target)))
            good += holds(target, before[0], after) and p < 0.005
            print(f"{label:<16}{format_row(target, before[0], after)}{p:8.4f}   {cells}", flush=True)
        print(f"{good} of {len(LABELS)} hold; {time.perf_counter() - start:.0f} s")


class ChannelTable:
    """Channels switched off."""

    counts = (3, 6, 9)
    columns = (*(f"first {count}" for count in counts), "contrast", "top_norm", "most_frequent")

    def __init__(self, net, layer: str, images: Tensor, labels: Tensor) -> None:
        right = net.logits(images).argmax(1) == labels  # a miscalled scene cannot keep its label
        self.net, self.layer, self.images, self.labels = net, layer, images[right], labels[right]
        with borrow(net.network):
            norms = [positions(CachedNetwork(net, some, [layer]).tail.activations) for some in torch.split(images, 100)]
        self.norms = torch.cat([each.norm(dim=2) for each in norms]).mean(0)
        self.moments = sum(torch.einsum("bcp,bdp->cd", each.double(), each.double()) for each in norms)

    def find(self, target: int, method) -> Sequence[Units]:
        rows = [(self.labels == index).nonzero().flatten()[:OTHERS] for index in range(len(LABELS)) if index != target]
        keep, own = self.images[torch.cat(rows)], self.images[self.labels == target]
        return list(find_units(self.net, own, target, keep=keep, layers=[self.layer], method=method, progress=False))

    def select(self, target: int) -> Sequence[Units]:
        return self.find(target, GreedySearch(max_units=CHANNELS))

    def others(self, target: int, units: Sequence[Units]) -> list[Sequence[Units]]:
        """The curve, and the other ways to choose."""
        ways = (Contrast(max_units=CHANNELS), TopNorm(), MostFrequent())
        return [[units[0][:count]] for count in self.counts] + [self.find(target, way) for way in ways]

    def draw(self, units: Channels, generator: torch.Generator) -> Sequence[Units]:
        return random_channels(units, self.norms, SETS, generator)


class DirectionTable(ChannelTable):
    """Directions projected out."""

    columns = tuple(f"{count} dimension{'s' if count > 1 else ''}" for count in range(1, DIMENSIONS))

    def select(self, target: int) -> Sequence[Units]:
        return self.find(target, Subspace(dimensions=DIMENSIONS))

    def others(self, target: int, units: Sequence[Units]) -> list[Sequence[Units]]:
        """Subspaces of fewer dimensions, each found on its own."""
        return [self.find(target, Subspace(dimensions=count)) for count in range(1, DIMENSIONS)]

    def draw(self, units: Directions, generator: torch.Generator) -> Sequence[Units]:
        return random_directions(units, self.moments, SETS, generator)


def noodles(scenes: int) -> None:
    """The direction of noodles, from 100 pairs of pans and of woks, projected out."""
    net = load("demo")
    pan, wok = LABELS.index("frying pan"), LABELS.index("wok")
    having, lacking = (torch.cat([draw_scenes(k, 100, 2 * 10**6, has) for k in (pan, wok)]) for has in (True, False))
    found = find_directions(net, having, lacking, NOODLES)
    print(f"\nnoodles: {found} projected out; called what they are, % of {scenes}, before and after")
    with borrow(net.network):
        for kind in (pan, wok):
            for has in (False, True):
                cached = CachedNetwork(net, draw_scenes(kind, scenes, 3 * 10**6, has), [NOODLES])
                with torch.inference_mode():
                    answers = [cached.logits(change).argmax(1) for change in ({}, {NOODLES: found.replace})]
                shares = "".join(f"{100 * float((answer == kind).float().mean()):8.1f}" for answer in answers)
                print(f"{LABELS[kind]:<12}{'with' if has else 'without':<8}{shares}", flush=True)


def draw_scenes(kind: int, count: int, seed: int, has: bool) -> Tensor:
    parts = {"adding": ("noodles",)} if has else {"without": ("noodles",)}
    return torch.stack([scene(LABELS[kind], seed + place, **parts).image for place in range(count)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", default=["channels", "directions", "noodles"])
    parser.add_argument("--scenes", type=int, default=200, help="fresh scenes a class")
    parser.add_argument("--network", choices=LAYERS, default="demo", help="of the tables; noodles are of demo")
    options = parser.parse_args()
    kinds = [kind for kind in options.which if kind != "noodles"]
    if kinds:
        tables(kinds, options.scenes, options.network)
    if "noodles" in options.which:
        noodles(options.scenes)


if __name__ == "__main__":
    main()
