"""What is left of a class inside an embedded network: linear erasure, channels and directions, judged by probes.

python tests/bench/inside.py                                all classes, LEACE, SPLINCE, INLP, channels, a subspace
python tests/bench/inside.py --classes wok --methods leace inlp --fit 3000 --scenes 600
python tests/bench/inside.py --network demo-vit             the last block of the embedded transformer
python tests/bench/inside.py --scrub                        linear erasure in the stage behind the layer as well
python tests/bench/inside.py --reference FOLDER             with FOLDER/LABEL.safetensors, networks that never saw LABEL

Linear erasure is fitted to `--fit` scenes of each of the sixteen classes, which are drawn as they are read; searches
see 120 of the class and as many others. All are judged on other scenes. Half of these fit the probes, which are tested
on the other half; accuracies are balanced, 50 % is chance. A line for each class and method, in %: recall, points that
the others lose, the linear probe and the nearest neighbours at the layer and at the stage behind it where they read
most, steps of fine-tuning until recall is back (None where it is not), and the same of the network that never saw the
class, which has a line of its own. `--rows` prints each stage.

The networks of FOLDER come from `python -m tests.training.train --leave-out`.
"""

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis import Classifier, blinded, load
from optvis.ablation import Automatic, Inlp, Leace, Probes, Splince, Subspace
from optvis.ablation.blinded import replace_units
from optvis.ablation.evaluation.probes import AblationCase, LayerProbe, look_inside
from optvis.ablation.fills import resolve_fill
from optvis.ablation.moments import Moments
from optvis.ablation.selection.erasure.eraser import Eraser
from optvis.ablation.selection.find_units import run_method
from optvis.ablation.selection.task import build_task
from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.embedded.network import demo_network
from optvis.objectives.layout import positions
from optvis.world import LABELS, dataset, scene

LAYERS = {"demo": ("mixed4", "mixed5"), "demo-vit": ("blocks.5@all", "norm@all")}  # and where the scrub goes on
FITTING, JUDGING = 1_000_000, 2_000_000  # seeds; no setting was chosen on these scenes
ERASERS: Mapping[str, Eraser] = {"leace": Leace(), "splince": Splince(), "inlp": Inlp()}
SEARCHES = {"channels": Automatic(), "subspace": Subspace()}
SEARCH = 120  # scenes of the class, and of the others, that a search sees
CHUNK, BATCH = 500, 50  # scenes of a task of a worker, and of a pass
HEAD = f"{'':<16}{'':<10}{'units':>6}{'recall':>8}{'lost':>7}   linear: here, behind   neighbours: here, behind   steps"
Task = tuple[str, int, int]  # label, first and last scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=LAYERS, default="demo")
    parser.add_argument("--classes", nargs="+", default=LABELS, choices=LABELS)
    parser.add_argument("--methods", nargs="+", default=[*ERASERS, *SEARCHES], choices=[*ERASERS, *SEARCHES])
    parser.add_argument("--scrub", action="store_true", help="erase linearly in the stage behind the layer as well")
    parser.add_argument("--fit", type=int, default=12_000, help="scenes of each class")
    parser.add_argument("--scenes", type=int, default=800, help="scenes of the class, and of the others, to judge on")
    parser.add_argument("--steps", type=int, default=20, help="of relearning at most")
    parser.add_argument("--reference", type=Path, help="folder of networks that never saw a class")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--rows", action="store_true", help="print each stage")
    options = parser.parse_args()
    start, linear = time.perf_counter(), [name for name in options.methods if name in ERASERS]
    torch.set_num_threads(1)
    with ProcessPoolExecutor(options.workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        fitted = fit(pool, options.network, options.fit, linear, options.classes, options.scrub) if linear else {}
        print(f"fitted: {time.perf_counter() - start:.0f} s\n{HEAD}", flush=True)
        for lines in pool.map(partial(judge, options, fitted), options.classes):
            print(f"{lines}\n{time.perf_counter() - start:.0f} s", flush=True)


Fitted = dict[tuple[str, str], tuple[Units, ...]]  # of a class and a method


def fit(
    pool: ProcessPoolExecutor, network: str, count: int, methods: Sequence[str], classes: Sequence[str], scrub: bool
) -> Fitted:
    """Fit linear erasure of each class at the layer, and at the next one with the first erased."""
    first, second = LAYERS[network]
    tasks = list(divide(dict.fromkeys(LABELS, count)))
    moments = measure(pool, network, first, (), tasks)
    fitted: Fitted = {(label, name): (solve(name, moments, label, first),) for label in classes for name in methods}
    for (label, name), units in fitted.items() if scrub else ():
        others = {other: max(1, count // (len(LABELS) - 1)) for other in LABELS}
        behind = measure(pool, network, second, units, list(divide({**others, label: count})))
        fitted[label, name] = (*units, solve(name, behind, label, second))
    return fitted


def divide(counts: Mapping[str, int]) -> Iterator[Task]:
    for label, count in counts.items():
        for start in range(0, count, CHUNK):
            yield label, start, min(count, start + CHUNK)


def measure(
    pool: ProcessPoolExecutor, network: str, layer: str, units: tuple[Units, ...], tasks: Iterable[Task]
) -> dict[str, Moments]:
    """Moments of a layer's activations, of positions and of their means, and of the sixteen classes."""
    found: dict[str, Moments] = {}
    for part in pool.map(partial(measure_scenes, network, layer, units), tasks):
        for rows, moments in part.items():
            found[rows] = moments if rows not in found else merge(found[rows], moments)
    return found


def merge(first: Moments, second: Moments) -> Moments:
    first.merge(second)
    return first


def measure_scenes(network: str, layer: str, units: tuple[Units, ...], task: Task) -> dict[str, Moments]:
    """What one task adds to the moments, without some units."""
    label, start, stop = task
    net, found = load(network), {}
    with borrow(net.network), torch.no_grad(), replace_units(net.network, units, resolve_fill(None, net, units)):
        for first in range(start, stop, BATCH):
            images = draw(label, min(BATCH, stop - first), FITTING + first)
            a = positions(read_activations(net.network, net.preprocess(images), [layer])[layer]).double()
            for rows, x in {"positions": a, "means": a.mean(2, keepdim=True)}.items():
                features = x.movedim(1, 2).flatten(0, 1)
                own = F.one_hot(torch.full((len(features),), LABELS.index(label)), len(LABELS)).double()
                found.setdefault(rows, Moments(x.shape[1], len(LABELS))).update(features, own)
    return found


def solve(name: str, moments: Mapping[str, Moments], label: str, layer: str) -> Units:
    """Erase one class; methods that keep labels keep the others, of which its scenes have the mean."""
    eraser, target = ERASERS[name], LABELS.index(label)
    all_labels = moments[eraser.rows]
    own = torch.eye(len(LABELS), dtype=torch.float64)
    erased, others = own[:, target : target + 1], torch.cat([own[:, :target], own[:, target + 1 :]], dim=1)
    if eraser.keeps_labels:
        shares = all_labels.label_mean @ others
        erased = torch.cat([erased, others + own[:, target : target + 1] * (shares / shares.sum())], dim=1)
    return eraser.solve(all_labels.map_labels(erased), 1, layer)


def judge(options: argparse.Namespace, fitted: Fitted, label: str) -> str:
    """The lines of a class."""
    net, layers, target = load(options.network), LAYERS[options.network], LABELS.index(label)
    rest, truth = dataset(options.scenes, JUDGING)
    images = torch.cat([draw(label, options.scenes, JUDGING), rest[truth != target]])
    classes = torch.cat([torch.full((options.scenes,), target), truth[truth != target]])
    file = None if options.reference is None else options.reference / f"{label}.safetensors"
    own = {"architecture": demo_network(), "size": net.size, "normalize": net.normalize}
    reference = None if file is None or not file.exists() else load(file, **own)
    settings = Probes(relearn_steps=options.steps, reference=reference)
    lines = []
    for name in options.methods:
        units = fitted[label, name] if name in ERASERS else search(net, name, label, layers[:1])
        lines += report(net, label, name, units, images, classes, settings, options.rows)
    if reference is not None:
        lines.append(report_reference(reference, label, units, images, classes))
    return "\n".join(lines)


def search(net: Classifier, name: str, label: str, layers: Sequence[str]) -> Sequence[Units]:
    target = LABELS.index(label)
    images, truth = dataset(2 * SEARCH, FITTING)
    answers = net.logits(images).argmax(1)
    keep = images[(truth != target) & (answers != target)][:SEARCH]
    task = build_task(net, draw(label, SEARCH, FITTING), target, keep, layers, progress=False)
    with borrow(net.network):
        found: Sequence[Units] = run_method(SEARCHES[name], task).units
    return found


def draw(label: str, count: int, seed: int) -> Tensor:
    return torch.stack([scene(label, seed + place).image for place in range(count)])


def report(
    net: Classifier, label: str, name: str, units: Sequence[Units], images: Tensor, truth: Tensor, settings: Probes,
    verbose: bool,
) -> Iterator[str]:  # fmt: skip
    target = LABELS.index(label)
    case = AblationCase(net, images, truth, truth == target, units, resolve_fill(None, net, units))
    with borrow(net.network), torch.no_grad():
        rows, relearning = look_inside(case, settings, 0, False)
    before, after = (classify(net, images, one) for one in ((), units))
    lost = ((before == truth) & (after != truth))[truth != target].double().mean()
    recall = (after == target)[truth == target].double().mean()
    steps = "–" if relearning is None else f"{relearning.steps} / {relearning.reference_steps}"
    yield (
        f"{label:<16}{name:<10}{sum(map(len, units)):6}{100 * float(recall):8.1f}{100 * float(lost):7.2f}"
        f"{read_out(rows, 'linear_after'):>24}{read_out(rows, 'neighbors_after'):>27}   {steps}"
    )
    for row in rows if verbose else ():
        yield (
            f"    {row.layer:<14}linear {100 * row.linear_before:5.1f} → {100 * row.linear_after:5.1f}, neighbours "
            f"{100 * row.neighbors_before:5.1f} → {100 * row.neighbors_after:5.1f}, CKA {row.target_similarity:.3f} / "
            f"{row.other_similarity:.3f}"
        )


def report_reference(reference: Classifier, label: str, units: Sequence[Units], images: Tensor, truth: Tensor) -> str:
    """What the same probes read from a network that never saw the class, as it is."""
    target = LABELS.index(label)
    case = AblationCase(reference, images, truth, truth == target, units, resolve_fill(None, reference, units))
    with borrow(reference.network), torch.no_grad():
        rows, _ = look_inside(case, Probes(relearn_steps=0), 0, False)
    recall = (classify(reference, images, ()) == target)[truth == target].double().mean()
    return (
        f"{label:<16}{'never saw':<10}{'':6}{100 * float(recall):8.1f}{'':7}"
        f"{read_out(rows, 'linear_before'):>24}{read_out(rows, 'neighbors_before'):>27}"
    )


def classify(net: Classifier, images: Tensor, units: Sequence[Units]) -> Tensor:
    with blinded(net, *units):
        return torch.cat([net.logits(part).argmax(1) for part in images.split(100)])


def read_out(rows: Sequence[LayerProbe], name: str) -> str:
    """An accuracy in % at the layer, and the highest behind it."""
    here, *behind = (100 * getattr(row, name) for row in rows)
    return f"{here:.1f} {max(behind):8.1f}"


if __name__ == "__main__":
    main()
