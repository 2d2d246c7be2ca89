"""What is left of a class inside the embedded network: linear erasure, channels and directions, judged by probes.

python tests/bench/inside.py                                all classes, LEACE, SPLINCE, INLP, channels, a subspace
python tests/bench/inside.py --classes wok --methods leace inlp --fit 3000 --scenes 600
python tests/bench/inside.py --reference FOLDER             with FOLDER/LABEL.safetensors, networks that never saw LABEL

Units are fitted to some scenes and judged on others. Half of these fit the probes, which are tested on the other half;
accuracies are balanced, 50 % is chance. The networks of FOLDER come from `python -m tests.training.train --leave-out`.
"""

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor

from optvis import blinded, load
from optvis.ablation import Automatic, Inlp, Leace, Probes, Splince, Subspace
from optvis.ablation.evaluation.probes import AblationCase, look_inside
from optvis.ablation.fills import resolve_fill
from optvis.ablation.selection.find_units import run_method
from optvis.ablation.selection.task import build_task
from optvis.models.borrow import borrow
from optvis.models.embedded.network import demo_network
from optvis.world import LABELS, dataset, scene

LAYER = "mixed4"
FITTING, JUDGING = 1_000_000, 2_000_000  # seeds; no setting was chosen on these scenes
METHODS = {"leace": Leace(), "splince": Splince(), "inlp": Inlp(), "channels": Automatic(), "subspace": Subspace()}
SEARCH = 120  # scenes of the class, and of the others, that a search sees


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", nargs="+", default=LABELS, choices=LABELS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--layer", default=LAYER)
    parser.add_argument("--fit", type=int, default=4000, help="scenes of the class, and as many of the others")
    parser.add_argument("--scenes", type=int, default=800, help="the same, to judge on")
    parser.add_argument("--steps", type=int, default=20, help="of relearning at most")
    parser.add_argument("--reference", type=Path, help="folder of networks that never saw a class")
    options = parser.parse_args()
    start = time.perf_counter()
    net = load("demo")
    others = [dataset(count, seed) for count, seed in ((options.fit, FITTING), (options.scenes, JUDGING))]
    for label in options.classes:
        target = LABELS.index(label)
        fit, judged = (draw(label, *given) for given in ((options.fit, FITTING), (options.scenes, JUDGING)))
        keep, (rest, truth) = others[0][0][others[0][1] != target], others[1]
        with borrow(net.network):
            keep = keep[net.logits(keep).argmax(1) != target]
        images = torch.cat([judged, rest[truth != target]])
        classes = torch.cat([torch.full((len(judged),), target), truth[truth != target]])
        file = None if options.reference is None else options.reference / f"{label}.safetensors"
        reference = None if file is None or not file.exists() else load(file, architecture=demo_network())
        for name in options.methods:
            count = SEARCH if name in ("channels", "subspace") else None
            task = build_task(net, fit[:count], target, keep[:count], [options.layer], progress=False)
            with borrow(net.network):
                units = run_method(METHODS[name], task).units
            report(net, label, name, units, images, classes, Probes(relearn_steps=options.steps, reference=reference))
        print(f"{time.perf_counter() - start:.0f} s", flush=True)


def draw(label: str, count: int, seed: int) -> Tensor:
    return torch.stack([scene(label, seed + place).image for place in range(count)])


def report(net, label: str, name: str, units, images: Tensor, truth: Tensor, settings: Probes) -> None:
    target = LABELS.index(label)
    case = AblationCase(net, images, truth, truth == target, units, resolve_fill(None, net, units))
    with borrow(net.network), torch.no_grad():
        rows, relearning = look_inside(case, settings, 0, False)
        before = net.logits(images).argmax(1)
    with blinded(net, *units):
        after = net.logits(images).argmax(1)
    lost = ((before == truth) & (after != truth))[truth != target].double().mean()
    recall = (after == target)[truth == target].double().mean()
    print(
        f"{label:<16}{name:<10}{sum(map(len, units)):4} units, recall {100 * float(recall):5.1f} %, others lose "
        f"{100 * float(lost):5.2f} points, relearned after {relearning and relearning.steps} steps, never seen after "
        f"{relearning and relearning.reference_steps}"
    )
    for row in rows:
        print(
            f"    {row.layer:<10}linear {100 * row.linear_before:5.1f} → {100 * row.linear_after:5.1f}, neighbours "
            f"{100 * row.neighbors_before:5.1f} → {100 * row.neighbors_after:5.1f}, CKA {row.target_similarity:.3f} / "
            f"{row.other_similarity:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
