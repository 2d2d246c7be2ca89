"""Compare attribution on the embedded network with exact ablation of every channel.

python tests/bench/attribution.py             all tables: some ten minutes on two cores
python tests/bench/attribution.py --scenes 2  quicker
python tests/bench/attribution.py --network demo-vit    the embedded transformer, over its patches
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

import optvis
from optvis import Classifier, load
from optvis.attribution.methods import (
    Ablation,
    GradientTimesActivation,
    IntegratedGradients,
    MidpointAblation,
    SmoothGrad,
    StochasticIntegratedGradients,
)
from optvis.models.embedded.network import demo_classifier
from optvis.objectives import log_odds, logit
from optvis.world import LABELS, scene
from optvis.world.scene_classes import SCENE_CLASSES

attribute = partial(optvis.attribute, progress=False)

FIRST_SEED = 70_000  # of scenes that nothing else uses
LAYERS = ("mixed5", "mixed4", "mixed3", "conv2")
VIT_LAYERS = ("blocks.5", "blocks.3", "blocks.2")  # the last block, and those in the middle
TEST_LAYERS = ("mixed5", "mixed3")  # the last stage, and one in the middle
GRADIENT_METHODS = (
    MidpointAblation(),
    GradientTimesActivation(),
    IntegratedGradients(32),
    StochasticIntegratedGradients(32),
    SmoothGrad(32),
)


def scenes(label: str, count: int, without: Sequence[str] = ()) -> Tensor:
    return torch.stack([scene(label, FIRST_SEED + i, without=without).image for i in range(count)])


def spearman(one: Tensor, other: Tensor) -> float:
    """Rank correlation, ties sharing their mean rank."""
    from scipy.stats import spearmanr

    return float(spearmanr(one.numpy(), other.numpy()).statistic)


def correlations(net: Classifier, count: int, layers: Sequence[str] = LAYERS) -> None:
    print("Spearman correlation with exact ablation of single channels, over channels that are not zero")
    print(f"{'layer':<9}{'method':<42}{'mean':>8}{'5 %':>8}{'lowest':>8}{'seconds an image':>18}")
    for layer in layers:
        exact = [attribute(net, scenes(x, count), layer, logit(x), method="ablation").channels for x in LABELS]
        for method in GRADIENT_METHODS:
            start = time.perf_counter()
            guessed = [attribute(net, scenes(x, count), layer, logit(x), method=method).channels for x in LABELS]
            seconds = (time.perf_counter() - start) / (count * len(LABELS))
            alive = [(g[a != 0], a[a != 0]) for g, a in zip(torch.cat(guessed), torch.cat(exact), strict=True)]
            found = torch.tensor([spearman(*pair) for pair in alive])
            numbers = f"{found.mean():8.4f}{found.quantile(0.05):8.4f}{found.amin():8.4f}{seconds:18.3f}"
            print(f"{layer:<9}{method!r:<42}{numbers}", flush=True)


def completeness(net: Classifier, count: int) -> None:
    print("\nCompleteness of IntegratedGradients(N): |Σ − (f(a) − f(0))| / |f(a) − f(0)|")
    print(f"{'layer':<9}{'N':>6}{'mean':>12}{'95 %':>12}{'largest':>12}")
    for layer in TEST_LAYERS:
        for steps in (10, 100, 400):
            method = IntegratedGradients(steps)
            gaps = torch.cat(
                [attribute(net, scenes(x, count), layer, logit(x), method=method).completeness_gap for x in LABELS]
            )
            print(f"{layer:<9}{steps:>6}{gaps.mean():12.2e}{gaps.quantile(0.95):12.2e}{gaps.amax():12.2e}", flush=True)


def random_weights(net: Classifier, count: int) -> None:
    print("\nControl: Spearman correlation of the default in the trained network and in one with random weights")
    random = demo_classifier(trained=False)
    random = Classifier(random.network, random.normalize, random.size, LABELS)
    for layer in TEST_LAYERS:
        pairs = [
            [attribute(each, scenes(x, count), layer, logit(x)).channels for each in (net, random)] for x in LABELS
        ]
        rows = [(a, b) for trained, other in pairs for a, b in zip(trained, other, strict=True)]
        print(f"{layer:<9}{statistics.mean(spearman(*row) for row in rows):8.3f}")


def part_mask(label: str, seed: int, parts: Sequence[str], size: tuple[int, int]) -> Tensor:
    """Mask of the cells that show parts, enlarged by one cell: (h, w), 0 or 1."""
    masks = scene(label, seed).masks
    shown = torch.stack([masks[part] for part in parts if part in masks]).amax(0)
    touched = (F.adaptive_max_pool2d(shown[None, None], size) > 0.5).float()
    return F.max_pool2d(touched, 3, 1, 1)[0, 0]


def spatial(net: Classifier, count: int, layers: Sequence[str] = ("mixed5", "mixed4")) -> None:
    print("\nShare of the positive attribution of the class's log-odds inside its parts' masks, enlarged by one cell")
    print(f"{'layer':<9}{'method':<42}{'mass inside':>12}{'lowest class':>14}{'masks of area':>15}")
    for layer in layers:
        for method in (MidpointAblation(), GradientTimesActivation(), IntegratedGradients(32), Ablation("positions")):
            shares, areas = [], []
            for kind in SCENE_CLASSES:
                objective = log_odds(kind.label)
                found = attribute(net, scenes(kind.label, count), layer, objective, method=method).positions
                masks = torch.stack(
                    [part_mask(kind.label, FIRST_SEED + i, kind.parts, found.shape[1:]) for i in range(count)]
                )
                mass = found.clamp(min=0)
                shares.append(float(((mass * masks).sum((1, 2)) / mass.sum((1, 2))).mean()))
                areas.append(float(masks.mean()))
            numbers = f"{statistics.mean(shares):12.3f}{min(shares):14.3f}{statistics.mean(areas):15.3f}"
            print(f"{layer:<9}{method!r:<42}{numbers}", flush=True)


def parts_left_out(net: Classifier, count: int) -> None:
    print("\nPositive attribution (grad_x_activation, log-odds, mixed4) on a part's mask, with the part and without it")
    print(f"{'class':<17}{'part':<12}{'with':>8}{'without':>9}{'drop':>7}")
    drops, sums = [], torch.zeros(2)
    for kind in SCENE_CLASSES:
        for part in kind.parts:
            masses = torch.stack([mass_on(net, kind.label, part, count, left) for left in ((), (part,))])
            sums += masses.sum(1)
            drops.append(1 - float(masses[1].sum() / masses[0].sum()))
            print(f"{kind.label:<17}{part:<12}{masses[0].mean():8.3f}{masses[1].mean():9.3f}{drops[-1]:7.0%}")
    print(f"{'all parts together':<29}{sums[0]:8.1f}{sums[1]:9.1f}{1 - float(sums[1] / sums[0]):7.0%}")
    print(f"{'mean of the parts':<46}{statistics.mean(drops):7.0%}")


def mass_on(net: Classifier, label: str, part: str, count: int, without: tuple[str, ...]) -> Tensor:
    """Positive attribution on the part's own mask, one number a scene that has the part."""
    masks = [scene(label, FIRST_SEED + i).masks.get(part) for i in range(count)]
    found = attribute(
        net, scenes(label, count, without), "mixed4", log_odds(label), method="grad_x_activation"
    ).positions.clamp(min=0)
    pooled = [None if mask is None else F.adaptive_avg_pool2d(mask[None], found.shape[1:])[0] for mask in masks]
    rows = [(p * m).sum() for p, m in zip(found, pooled, strict=True) if m is not None]
    return torch.stack(rows) if rows else torch.zeros(1)


def exactness(net: Classifier) -> None:
    print("\nExact ablation of all channels of a stage beside the naive loop, one whole forward pass a channel")
    print(
        f"{'layer':<9}{'difference':>12}{'naive s':>9}{'ours s':>9}{'ours/naive':>12}{'tail/network':>14}{'ratio':>8}"
    )
    image = scenes("container ship", 1)
    for layer in LAYERS:
        naive, ours = partial(naive_loop, net, image, layer), partial(exact, net, image, layer)
        difference = float((naive() - ours()).abs().amax())
        slow, fast = interleaved(naive, ours)
        share = tail_share(net, image, layer)
        numbers = f"{difference:12.1e}{slow:9.3f}{fast:9.4f}{fast / slow:12.3f}{share:14.3f}{fast / slow / share:8.2f}"
        print(f"{layer:<9}{numbers}", flush=True)


def exact(net: Classifier, image: Tensor, layer: str) -> Tensor:
    return attribute(net, image, layer, logit("container ship"), method="ablation").channels[0]


def naive_loop(net: Classifier, image: Tensor, layer: str) -> Tensor:
    """Ablate each channel with a hook and a whole forward pass."""
    inputs, network, place = net.preprocess(image), net.network, LABELS.index("container ship")
    channels = exact_width(net, layer)
    with torch.no_grad():
        whole = network(inputs)[0, place]
        drops = []
        for index in range(channels):

            def off(_module: object, _inputs: object, output: Tensor, index: int = index) -> Tensor:
                without = output.clone()
                without[:, index] = 0
                return without

            handle = network.get_submodule(layer).register_forward_hook(off)
            drops.append(whole - network(inputs)[0, place])
            handle.remove()
    return torch.stack(drops)


def exact_width(net: Classifier, layer: str) -> int:
    return int(net.network.get_submodule(layer)[0].weight.shape[0])


def tail_share(net: Classifier, image: Tensor, layer: str) -> float:
    """Seconds of the modules behind the layer over those of the whole network, one image."""
    children = dict(net.network.named_children())
    names = list(children)
    behind = torch.nn.Sequential(*[children[name] for name in names[names.index(layer) + 1 :]])
    inputs = net.preprocess(image)
    with torch.no_grad():
        here = torch.nn.Sequential(*[children[name] for name in names[: names.index(layer) + 1]])(inputs)
        tail, whole = interleaved(lambda: behind(here), lambda: net.network(inputs), rounds=200)
    return tail / whole


def interleaved(one: Callable[[], object], other: Callable[[], object], rounds: int = 7) -> tuple[float, float]:
    """Median seconds of both, measured in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for run, kept in zip((one, other), times, strict=True):
            start = time.perf_counter()
            run()
            kept.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=20, help="of each class")
    parser.add_argument("--network", choices=("demo", "demo-vit"), default="demo")
    options = parser.parse_args()
    net, count = load(options.network), options.scenes
    machine = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{net.name}, {len(LABELS)} classes, {count} scenes each, {machine}\n")
    if options.network == "demo-vit":
        correlations(net, count, VIT_LAYERS)
        spatial(net, count, VIT_LAYERS)
        return
    exactness(net)
    correlations(net, count)
    completeness(net, count)
    random_weights(net, count)
    spatial(net, count)
    parts_left_out(net, count)


if __name__ == "__main__":
    main()
