"""Features of sparse autoencoders of the embedded network: which parts of the world have one, and noodles without one.

pip install overcomplete                         its autoencoders are used as they are
python tests/bench/sparse_features.py            both tables
python tests/bench/sparse_features.py parts      one of: parts, noodles
"""

import argparse
import time
from collections.abc import Mapping

import matplotlib
import torch
from torch import Tensor

from optvis import Classifier, Features, activations, blinded, load
from optvis.ablation import Scaled, find_directions
from optvis.features import Channels, Units
from optvis.world import LABELS, dataset, scene
from optvis.world.scene_classes import SCENE_CLASSES

if not hasattr(matplotlib.cm, "get_cmap"):  # matplotlib 3.9 removed it, and overcomplete 0.3 imports it
    matplotlib.cm.get_cmap = matplotlib.colormaps.__getitem__
from overcomplete.sae import BatchTopKSAE

TRAINING, FINDING, JUDGING = 77, 5 * 10**6, 7 * 10**6  # seeds; no scene is in two of them
PARTS = ("mixed4", 512, 16, 800)  # layer, features, active ones in each position, steps of training
NOODLES = ("mixed3", 96, 4, 800)  # few features: of many, several show noodles
ROWS, BATCH, DEAD = 350_000, 4096, 20  # DEAD: steps without any position, after which a feature is pulled up
CANDIDATES = 4  # features, by the change of what they write
FACTORS = (0.0, -1.0, -1.5, -2.0)  # that they are multiplied by
NINE = 9  # positions: about a small part
TOLD = 0.95  # AUROC from which on a unit tells scenes with a part from those without


def read_rows(net: Classifier, layer: str, scenes: int) -> Tensor:
    """Activations of all positions of drawn scenes, (N, C)."""
    images, _ = dataset(scenes, TRAINING)
    generator = torch.Generator().manual_seed(0)
    share = 50 * ROWS // scenes
    rows = []
    for batch in images.split(50):
        own = activations(net, batch, layer)[layer].movedim(1, -1).flatten(0, 2)
        rows.append(own[torch.randperm(len(own), generator=generator)[:share]])
    found = torch.cat(rows)
    return found[torch.randperm(len(found), generator=generator)]


def train(rows: Tensor, features: int, active: int, steps: int) -> BatchTopKSAE:
    """Train an autoencoder on rows, and print what it keeps of them."""
    torch.manual_seed(0)
    start, variance = time.perf_counter(), rows.var(0).mean()
    sae = BatchTopKSAE(rows.shape[1], features, top_k=active * BATCH).train()
    adam = torch.optim.Adam(sae.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 3e-3, total_steps=steps)
    idle = torch.zeros(features)
    for step in range(steps):
        x = rows[(step * BATCH) % (len(rows) - BATCH) :][:BATCH]
        pre, codes, rebuilt = sae(x)
        idle = torch.where((codes > 0).any(0), 0.0, idle + 1)
        loss = (x - rebuilt).square().mean() / variance
        pull = pre[:, idle > DEAD].mean() if bool((idle > DEAD).any()) else 0.0
        adam.zero_grad()
        (loss - 0.01 * pull).backward()
        adam.step()
        schedule.step()
    spent = time.perf_counter() - start
    kept = f"{100 * (1 - float(loss.detach())):.1f} % of the variance"
    sizes = f"{features} features, {active} active, {steps} steps"
    print(f"{sizes}: {kept}, {int((idle > DEAD).sum())} dead, {spent:.0f} s", flush=True)
    return sae.eval()


def draw_pairs(label: str, part: str, first: int, count: int) -> tuple[Tensor, Tensor]:
    """The same scenes with a part and without it."""
    having = [scene(label, first + n, adding=[part]).image for n in range(count)]
    lacking = [scene(label, first + n, without=[part]).image for n in range(count)]
    return torch.stack(having), torch.stack(lacking)


def strengths(net: Classifier, units: Units, images: Tensor) -> Tensor:
    """The activation of each unit: its largest, the mean of the nine largest, and the mean of all, (B, 3 · units)."""
    with torch.no_grad():
        parts = [units.read(activations(net, batch, units.layer)[units.layer]).flatten(2) for batch in images.split(40)]
    few = [part.topk(NINE, dim=2).values.mean(2) for part in parts]
    return torch.cat([torch.cat([part.amax(2), own, part.mean(2)], 1) for part, own in zip(parts, few, strict=True)])


def auroc(having: Tensor, lacking: Tensor) -> Tensor:
    """The chance that a scene with the part has the larger value than one without it, for each column."""
    above = having.unsqueeze(1) > lacking.unsqueeze(0)
    same = having.unsqueeze(1) == lacking.unsqueeze(0)
    return above.double().mean((0, 1)) + same.double().mean((0, 1)) / 2


def best_auroc(net: Classifier, units: Units, finding: tuple[Tensor, Tensor], judging: tuple[Tensor, Tensor]) -> float:
    """The AUROC on fresh scenes of the unit that is best on others."""
    best = auroc(*(strengths(net, units, images) for images in finding)).argmax()
    return float(auroc(*(strengths(net, units, images)[:, best, None] for images in judging)))


def parts(net: Classifier, scenes: int) -> None:
    """For each part of the world, how well one channel and one feature tell the scenes with it."""
    layer, *sizes = PARTS
    sae = train(read_rows(net, layer, scenes), *sizes)
    kinds = {"channel": Channels(layer, []), "feature": Features(layer, sae, [])}
    print(f"\nAUROC of the best channel and feature of {layer}, with a part against the same scenes without it")
    values: dict[str, list[float]] = {name: [] for name in kinds}
    for one in SCENE_CLASSES:
        for part in one.parts:
            finding, judging = (draw_pairs(one.label, part, first, 100) for first in (FINDING, JUDGING))
            for name, units in kinds.items():
                values[name].append(best_auroc(net, units, finding, judging))
            row = "".join(f"{own[-1]:8.3f}" for own in values.values())
            print(f"{one.label:<16}{part:<12}{row}", flush=True)
    for name, own in values.items():
        told = sum(value >= TOLD for value in own)
        print(f"{told} of {len(own)} parts have a {name} (AUROC {TOLD} or more); mean AUROC {sum(own) / len(own):.3f}")


def noodles(net: Classifier, scenes: int) -> None:
    """Noodles removed by a direction, and by one feature, switched off or turned to minus itself.

    The feature and the factor are those that are best on the pairs on which the direction is found.
    """
    layer, *sizes = NOODLES
    sae = train(read_rows(net, layer, scenes), *sizes)
    finding, judging = (
        {label: draw_pairs(label, "noodles", first, 100) for label in ("frying pan", "wok")}
        for first in (FINDING, JUDGING)
    )
    having, lacking = (torch.cat(images) for images in zip(*finding.values(), strict=True))
    every = Features(layer, sae, [])
    codes = [every.read(activations(net, images, layer)[layer]) for images in (having, lacking)]
    change = (codes[0] - codes[1]).square().flatten(2).sum(2).mean(0) * sae.get_dictionary().square().sum(1)
    ways = {
        f"feature {number} × {factor:+g}": (every.choose([number]), Scaled(factor))
        for number in change.topk(CANDIDATES).indices.tolist()
        for factor in FACTORS
    }
    others = dataset(320, FINDING)
    best = max(ways, key=lambda name: min(recalls(net, *ways[name], finding, others)))
    off = f"{best.partition('×')[0]}× +0"
    ways |= {"nothing": (every, None), "the direction off": (find_directions(net, having, lacking, layer), None)}
    others = dataset(320, JUDGING)
    print(f"\nnoodles, in {layer}: scenes that are called what they are, %")
    print(f"{'':<20}{'pans':>8}{'+ noodles':>11}{'woks':>8}{'− noodles':>11}{'others':>8}")
    for name in dict.fromkeys(("nothing", "the direction off", off, best)):
        cells = zip(recalls(net, *ways[name], judging, others), (8, 11, 8, 11, 8), strict=True)
        print(f"{name:<20}" + "".join(f"{100 * share:{width}.1f}" for share, width in cells), flush=True)


def recalls(
    net: Classifier,
    units: Units,
    fill: Scaled | None,
    pairs: Mapping[str, tuple[Tensor, Tensor]],
    others: tuple[Tensor, Tensor],
) -> list[float]:
    """The shares that are called so of pans without and with noodles, of woks with and without, and of other scenes."""
    pans, woks = (pairs[label] for label in ("frying pan", "wok"))
    groups = [(pans[1], "frying pan"), (pans[0], "frying pan"), (woks[0], "wok"), (woks[1], "wok")]
    labeled = [(images, torch.tensor(LABELS.index(label))) for images, label in groups]
    with blinded(net, units, fill=fill):
        return [float((net.logits(images).argmax(1) == truth).float().mean()) for images, truth in (*labeled, others)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", default=["parts", "noodles"])
    parser.add_argument("--scenes", type=int, default=2400, help="scenes to train on")
    options = parser.parse_args()
    net = load("demo")
    if "parts" in options.which:
        parts(net, options.scenes)
    if "noodles" in options.which:
        noodles(net, options.scenes)


if __name__ == "__main__":
    main()
