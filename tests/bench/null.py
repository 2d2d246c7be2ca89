"""Whether p-values are uniform where units are drawn at random, and how often intervals hold the truth.

python tests/bench/null.py                                 all tables of the embedded network, a few minutes
python tests/bench/null.py channels --trials 2000          one of: channels, directions, coverage
python tests/bench/null.py channels --network squeezenet1_0 --sets 99

Each trial draws units at random, and evaluates them as `evaluate` does: against as many and as strong random units, on
scenes of one class, by the log-odds of that class. The layer is the last one, whose effect on the scores is exact and
cheap.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import torch
from scipy import stats
from torch import Tensor

from optvis import load
from optvis.ablation.evaluation.metrics import MIN_IMAGES, estimate_means, estimate_share, estimate_share_drop, p_value
from optvis.ablation.evaluation.random_units import draw_indices, random_directions
from optvis.features.units import Directions
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.objectives.logits import odds
from optvis.world import LABELS, scene

SCENES = 8  # of a class
COUNTS = (1, 4, 8, 16)
DIMENSIONS = (1, 3)
LEVELS = (0.01, 0.05, 0.1)
IMAGES = (5, 10, 20, 50)
REPEATS = 4000
SIZE = 64  # pixels of the images that SqueezeNet gets, so that its tail is cheap


class EmbeddedTail:
    """The embedded network behind mixed5: the mean over positions, then the scores."""

    layer, classes = "mixed5", range(len(LABELS))

    def __init__(self) -> None:
        self.net = load("demo")
        head = self.net.network.head
        self.weight, self.bias = head.weight.detach().double(), head.bias.detach().double()

    def images(self, target: int) -> Tensor:
        return torch.stack([scene(LABELS[target], 10**7 + place).image for place in range(SCENES)])

    def prepare(self, activations: Tensor) -> Tensor:
        return activations.mean((2, 3)).double()

    def scores(self, pooled: Tensor, keep: Tensor) -> Tensor:
        """Scores (R, B, classes) of images (B, C) with each of R sets of channels kept, (R, C) of 0 and 1."""
        parts = pooled[:, :, None] * self.weight.T
        return torch.tensordot(keep, parts, dims=([1], [1])) + self.bias


class SqueezeNetTail:
    """SqueezeNet behind features.12, on small drawn scenes, called what the network calls them."""

    layer, classes = "features.12", range(4)

    def __init__(self) -> None:
        self.net = load("squeezenet1_0")
        conv = self.net.network.classifier[1]
        self.weight, self.bias = conv.weight.detach().flatten(1), conv.bias.detach()

    def images(self, target: int) -> Tensor:
        images = torch.stack([scene(LABELS[target], 10**7 + place).image for place in range(2)])
        return torch.nn.functional.interpolate(images, SIZE, mode="bilinear", antialias=True)

    def prepare(self, activations: Tensor) -> Tensor:
        return activations.flatten(2)

    def scores(self, a: Tensor, keep: Tensor) -> Tensor:
        kept = keep.to(a.dtype)[:, None, :, None] * a
        return (torch.einsum("kc,rbcp->rbkp", self.weight, kept) + self.bias[:, None]).relu().mean(3)


class ClassTail:
    """The tail on images of one class.

    Args:
        tail: of the network.
        target: index of the class.
    """

    def __init__(self, tail: EmbeddedTail | SqueezeNetTail, target: int) -> None:
        images, network = tail.images(target), tail.net.network
        with borrow(network), torch.no_grad():
            a = read_activations(network, tail.net.preprocess(images), [tail.layer])[tail.layer]
        self.tail, self.prepared = tail, tail.prepare(a)
        rows = a.movedim(1, -1).flatten(0, 2).double()
        self.norms = torch.linalg.vector_norm(a.flatten(2), dim=2).double().mean(0)
        self.moment = rows.T @ rows
        whole = self.scores(torch.ones(1, len(self.norms)))
        self.truth = whole[0].argmax(1)
        self.before = self.log_odds(whole)

    def scores(self, keep: Tensor) -> Tensor:
        return self.tail.scores(self.prepared, keep.to(self.prepared.dtype))

    def log_odds(self, scores: Tensor) -> Tensor:
        """The mean over images, (R,)."""
        truth = self.truth.repeat(len(scores))
        return odds(scores.double().flatten(0, 1), truth).view(len(scores), -1).mean(1)

    def drops_without_channels(self, sets: Tensor) -> Tensor:
        keep = torch.ones(len(sets), len(self.norms)).scatter(1, sets, 0.0)
        return self.before - self.log_odds(self.scores(keep))

    def drops_without_directions(self, sets: list[Directions]) -> Tensor:
        bases = torch.stack([one.basis(len(self.norms)) for one in sets])
        along = torch.einsum("rkc,bc->rbk", bases, self.prepared)
        kept = self.prepared - torch.einsum("rbk,rkc->rbc", along, bases)
        return self.before - self.log_odds(kept @ self.tail.weight.T + self.tail.bias)


def groups(norms: Tensor) -> dict[str, Tensor]:
    """Channels by their strength."""
    order = norms.argsort(descending=True)
    quarters = {f"quarter {place}": part for place, part in enumerate(order.chunk(4), 1)}
    return {"all": order, "ten strongest": order[:10], **quarters}


def channel_p(tail: ClassTail, group: str, count: int, sets: int, generator: torch.Generator) -> float:
    pool = groups(tail.norms)[group]
    found = pool[torch.randperm(len(pool), generator=generator)[:count]]
    random = draw_indices(found.tolist(), tail.norms, sets, generator)
    return draw_p(tail.drops_without_channels(torch.cat([found[None], random])), generator)


def direction_p(tail: ClassTail, count: int, sets: int, generator: torch.Generator) -> float:
    found = Directions("x", torch.randn(count, len(tail.norms), generator=generator))
    random = random_directions(found, tail.moment, sets, generator)
    return draw_p(tail.drops_without_directions([found, *random]), generator)


def draw_p(drops: Tensor, generator: torch.Generator) -> float:
    return p_value(float(drops[0]), drops[1:], float(torch.rand((), generator=generator)))


def print_p_table(kind: str, tails: list[ClassTail], trials: int, sets: int) -> None:
    start = time.perf_counter()
    print(f"\n{kind}: p of random units, {trials} trials, {sets} random sets each")
    print(f"{'drawn from':<16}{'units':>6}" + "".join(f"{f'P(p ≤ {level})':>14}" for level in LEVELS) + f"{'KS':>8}")
    for place, (group, count, draw) in enumerate(_rows(kind, sets)):
        generator = torch.Generator().manual_seed(place)
        found = torch.tensor([draw(tails[trial % len(tails)], generator) for trial in range(trials)])
        shares = "".join(f"{float((found <= level + 1e-9).double().mean()):14.3f}" for level in LEVELS)
        print(f"{group:<16}{count:>6}{shares}{stats.kstest(found.numpy(), 'uniform').statistic:8.3f}", flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


def _rows(kind: str, sets: int) -> Iterator[tuple[str, int, Callable[[ClassTail, torch.Generator], float]]]:
    if kind == "directions":
        for count in DIMENSIONS:
            yield "all", count, lambda tail, generator, count=count: direction_p(tail, count, sets, generator)
        return
    for group in groups(torch.arange(40.0)):
        for count in COUNTS:
            if group != "ten strongest" or count < 10:
                yield (
                    group,
                    count,
                    lambda tail, generator, group=group, count=count: channel_p(tail, group, count, sets, generator),
                )


def print_coverage() -> None:
    """How often the intervals hold the truth, for numbers of images; – where there is no interval."""
    print(f"\ncoverage of the 95 % intervals, % of {REPEATS} draws")
    print(f"{'images':<32}" + "".join(f"{images:>8}" for images in IMAGES))
    generator = torch.Generator().manual_seed(0)
    for share in (0.5, 0.8, 0.95):
        print_row(f"recall {share}", [share_coverage(share, images) for images in IMAGES])
    for lost in (0.05, 0.3):
        print_row(f"drop of recall {lost}", [drop_coverage(lost, images, generator) for images in IMAGES])
    for name, (draw, mean) in VALUES.items():
        print_row(name, [mean_coverage(draw, mean, images, generator) for images in IMAGES])


def print_row(name: str, cells: list[float | None]) -> None:
    print(f"{name:<32}" + "".join("       –" if cell is None else f"{100 * cell:8.1f}" for cell in cells))


def share_coverage(share: float, images: int) -> float:
    """Exact: the sum over all numbers of right images."""
    total = 0.0
    for right in range(images + 1):
        interval = estimate_share(torch.arange(images) < right)
        total += float(stats.binom.pmf(right, images, share)) * (interval.low <= share <= interval.high)
    return total


def drop_coverage(lost: float, images: int, generator: torch.Generator) -> float:
    """Recall before is 0.9; of the right images `lost` are lost, of the wrong ones a tenth is gained."""
    drop = 0.9 * lost - 0.1 * 0.1
    hits = 0
    for _ in range(REPEATS):
        before = torch.rand(images, generator=generator) < 0.9
        change = torch.rand(images, generator=generator)
        found = estimate_share_drop(before, torch.where(before, change >= lost, change < 0.1))
        hits += found.low <= drop <= found.high
    return hits / REPEATS


VALUES: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "mean of normal values": (lambda uniform: torch.special.ndtri(uniform), 0.0),
    "mean of exponential values": (lambda uniform: -uniform.log(), 1.0),
    "mean of confidences, near 1": (lambda uniform: 1 - uniform**4, 0.8),
}


def mean_coverage(draw, mean: float, images: int, generator: torch.Generator) -> float | None:
    if images < MIN_IMAGES:
        return None
    values = draw(torch.rand(images, REPEATS, generator=generator, dtype=torch.float64))
    return sum(one.low <= mean <= one.high for one in estimate_means(values)) / REPEATS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", default=["channels", "directions", "coverage"])
    parser.add_argument("--network", choices=["demo", "squeezenet1_0"], default="demo")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--sets", type=int, default=200, help="random sets of a trial")
    options = parser.parse_args()
    tail = EmbeddedTail() if options.network == "demo" else SqueezeNetTail()
    tails = [ClassTail(tail, target) for target in tail.classes]
    for kind in options.which:
        if kind == "coverage":
            print_coverage()
        else:
            print_p_table(kind, tails, options.trials, options.sets)


if __name__ == "__main__":
    main()
