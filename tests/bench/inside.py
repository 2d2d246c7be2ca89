"""What is left of a class inside an embedded network: linear erasure, channels and directions, judged by probes.

python tests/bench/inside.py                                all classes, LEACE, SPLINCE, INLP, channels, a subspace
python tests/bench/inside.py --classes wok --methods leace inlp --fit 3000 --scenes 600
python tests/bench/inside.py --network demo-vit             the last block of the embedded transformer
python tests/bench/inside.py --scrub                        linear erasure in the stages behind the layer as well
python tests/bench/inside.py --reference FOLDER             with FOLDER/LABEL.safetensors, networks that never saw LABEL

Units are fitted to some scenes and judged on others. Half of these fit the probes, which are tested on the other half;
accuracies are balanced, 50 % is chance. A line for each class and method, in %: recall, points that the others lose,
the linear probe and the nearest neighbours at the layer and at the stage behind it where they read most, steps of
fine-tuning until recall is back (None where it is not), and the same of the network that never saw the class. `--rows`
prints each stage.

The networks of FOLDER come from `python -m tests.training.train --leave-out`.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from optvis import blinded, load
from optvis.ablation import Automatic, Inlp, Leace, Probes, Splince, Subspace
from optvis.ablation.evaluation.probes import AblationCase, LayerProbe, look_inside
from optvis.ablation.fills import resolve_fill
from optvis.ablation.selection.find_units import run_method
from optvis.ablation.selection.task import build_task
from optvis.models.borrow import borrow
from optvis.models.embedded.network import demo_network
from optvis.world import LABELS, dataset, scene

LAYERS = {"demo": ("mixed4", "mixed5"), "demo-vit": ("blocks.5@all", "norm@all")}  # and where the scrub goes on
FITTING, JUDGING = 1_000_000, 2_000_000  # seeds; no setting was chosen on these scenes
METHODS = {"leace": Leace(), "splince": Splince(), "inlp": Inlp(), "channels": Automatic(), "subspace": Subspace()}
SEARCHES = ("channels", "subspace")
SEARCH = 120  # scenes of the class, and of the others, that a search sees
HEAD = f"{'':<16}{'':<10}{'units':>6}{'recall':>8}{'lost':>7}   linear: here, behind   neighbours: here, behind   steps"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=LAYERS, default="demo")
    parser.add_argument("--classes", nargs="+", default=LABELS, choices=LABELS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--scrub", action="store_true", help="erase linearly in the stages behind the layer as well")
    parser.add_argument("--fit", type=int, default=4000, help="scenes of the class, and as many of the others")
    parser.add_argument("--scenes", type=int, default=800, help="the same, to judge on")
    parser.add_argument("--steps", type=int, default=20, help="of relearning at most")
    parser.add_argument("--reference", type=Path, help="folder of networks that never saw a class")
    parser.add_argument("--rows", action="store_true", help="print each stage")
    options = parser.parse_args()
    start = time.perf_counter()
    net, layers = load(options.network), LAYERS[options.network]
    others = [dataset(count, seed) for count, seed in ((options.fit, FITTING), (options.scenes, JUDGING))]
    with borrow(net.network):
        answers = torch.cat([net.logits(part).argmax(1) for part in others[0][0].split(100)])
    print(HEAD)
    for label in options.classes:
        target = LABELS.index(label)
        fit, judged = (draw(label, *given) for given in ((options.fit, FITTING), (options.scenes, JUDGING)))
        keep, (rest, truth) = others[0][0][(others[0][1] != target) & (answers != target)], others[1]
        images = torch.cat([judged, rest[truth != target]])
        classes = torch.cat([torch.full((len(judged),), target), truth[truth != target]])
        file = None if options.reference is None else options.reference / f"{label}.safetensors"
        own = {"architecture": demo_network(), "size": net.size, "normalize": net.normalize}
        reference = None if file is None or not file.exists() else load(file, **own)
        settings = Probes(relearn_steps=options.steps, reference=reference)
        for name in options.methods:
            count = SEARCH if name in SEARCHES else None
            chosen = layers if options.scrub and name not in SEARCHES else layers[:1]
            task = build_task(net, fit[:count], target, keep[:count], chosen, progress=False)
            with borrow(net.network):
                units = run_method(METHODS[name], task).units
            report(net, label, name, units, images, classes, settings, options.rows)
        print(f"{time.perf_counter() - start:.0f} s", flush=True)


def draw(label: str, count: int, seed: int) -> Tensor:
    return torch.stack([scene(label, seed + place).image for place in range(count)])


def report(net, label: str, name: str, units, images: Tensor, truth: Tensor, settings: Probes, verbose: bool) -> None:
    target = LABELS.index(label)
    case = AblationCase(net, images, truth, truth == target, units, resolve_fill(None, net, units))
    with borrow(net.network), torch.no_grad():
        rows, relearning = look_inside(case, settings, 0, False)
    before, after = (classify(net, images, one) for one in ((), units))
    lost = ((before == truth) & (after != truth))[truth != target].double().mean()
    recall = (after == target)[truth == target].double().mean()
    steps = "–" if relearning is None else f"{relearning.steps} / {relearning.reference_steps}"
    print(
        f"{label:<16}{name:<10}{sum(map(len, units)):6}{100 * float(recall):8.1f}{100 * float(lost):7.2f}"
        f"{read_out(rows, 'linear_after'):>24}{read_out(rows, 'neighbors_after'):>27}   {steps}",
        flush=True,
    )
    for row in rows if verbose else ():
        print(
            f"    {row.layer:<14}linear {100 * row.linear_before:5.1f} → {100 * row.linear_after:5.1f}, neighbours "
            f"{100 * row.neighbors_before:5.1f} → {100 * row.neighbors_after:5.1f}, CKA {row.target_similarity:.3f} / "
            f"{row.other_similarity:.3f}",
            flush=True,
        )


def classify(net, images: Tensor, units) -> Tensor:
    with blinded(net, *units):
        return torch.cat([net.logits(part).argmax(1) for part in images.split(100)])


def read_out(rows: Sequence[LayerProbe], name: str) -> str:
    """An accuracy in % at the layer, and the highest behind it."""
    here, *behind = (100 * getattr(row, name) for row in rows)
    return f"{here:.1f} {max(behind):8.1f}"


if __name__ == "__main__":
    main()
