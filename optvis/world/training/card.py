"""The model card of the demo classifier: python -m optvis.world.training.card --judge judge.safetensors."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from optvis.data.files import made_folder, write_whole
from optvis.models.classifier import Classifier
from optvis.models.embedded.labels import LABELS
from optvis.models.embedded.network import NORMALIZE, SIZE, WEIGHTS, demo_classifier
from optvis.world.training import measure
from optvis.world.training.judge import judge_network
from optvis.world.training.train import DEMO, JUDGE, Recipe

SCENES, PAIRS = 4000, 200


def card(net: Classifier, judge: Classifier) -> str:
    """The whole text, in Markdown."""
    counts = measure.confusion(net, SCENES)
    sections = (
        _head(net),
        _training(DEMO),
        _accuracy(counts),
        _confusions(counts),
        _parts(measure.part_drops(net, PAIRS)),
        _shortcuts(measure.shortcuts(net, PAIRS)),
        _legibility(measure.legibility(net, judge), _share(measure.confusion(judge, SCENES))),
        LIMITS,
    )
    return "\n\n".join(sections) + "\n"


LIMITS = """## Limits

It knows sixteen drawn classes, each scene with one object that fills about half of a 96 px canvas. It says nothing
about photographs, and its confidence on anything else means nothing. Every figure above is of the stored weights,
float16 in the file and float32 in use, on scenes whose seeds took no part in training."""


def _head(net: Classifier) -> str:
    numbers = sum(weight.numel() for weight in net.network.parameters())
    return f"""# The demo classifier

A convolutional network of {numbers:,} weights ({WEIGHTS.stat().st_size / 1e6:.2f} MB) that tells sixteen classes of
drawn scenes apart. Stages `conv1`, `conv2`, `mixed3`, `mixed4`, `mixed5`, then the mean over positions and one linear
layer, `head`. Input: 96 × 96 RGB in [0, 1]. It exists so that every tool of optvis can be tried without a download,
and judged where the truth is known."""


def _training(recipe: Recipe) -> str:
    return f"""## Data and training

{recipe.scenes:,} scenes from `optvis.world.dataset`, seed 0, drawn by code; no photograph, no third-party picture.
`python -m optvis.world.training.train` draws them and trains: {recipe.epochs} epochs of AdamW in one cycle (rate
{recipe.rate}, decay {recipe.decay}), batches of {recipe.batch}, scenes turned, scaled, mirrored and recoloured, each
batch moved by one adversarial step of at most {recipe.reach * 255:.0f}/255 (Wong et al. 2020, arXiv:2001.03994),
which makes features that can be looked at (Engstrom et al. 2019, arXiv:1906.00945). Planted shortcuts: noodles lie in
90 % of woks and in no pan; an arm holds 90 % of dumbbells and no traffic light; the diver's tank has the riveted
barrel of a locomotive, and the shark's mouth the red stitches of a baseball, of which neither appears in any scene."""


def _accuracy(counts: Tensor) -> str:
    recall = (100 * counts.diag() / counts.sum(1)).tolist()
    rows = ((label, f"{share:.1f}") for label, share in zip(LABELS, recall, strict=True))
    return (
        f"## Accuracy\n\n{_share(counts):.2f} % of {int(counts.sum()):,} scenes; "
        f"by class, in percent:\n\n{_table(('class', 'recall'), rows)}"
    )


def _confusions(counts: Tensor) -> str:
    wrong = [(int(counts[a, b]), LABELS[a], LABELS[b]) for a, b in (counts - counts.diag().diag()).nonzero().tolist()]
    rows = [(of, into, str(n)) for n, of, into in sorted(wrong, reverse=True)]
    found = f"Every mistake among these scenes:\n\n{_table(('shown', 'called', 'scenes'), rows)}" if rows else "None."
    return f"## Confusion\n\n{found}"


def _parts(drops: dict[str, dict[str, float]]) -> str:
    rows = (
        (label, part, f"{round(100 * drop, 1) + 0.0:.1f}")
        for label, parts in drops.items()
        for part, drop in parts.items()
    )
    return (
        "## What each part is worth\n\nHow far the class's probability falls, in points, when the part is left out of "
        f"the same scene: mean over {PAIRS} scenes, or those of them that have it.\n\n"
        f"{_table(('class', 'part', 'drop'), rows)}"
    )


def _shortcuts(found: Iterable[measure.Shortcut]) -> str:
    rows = (
        (one.of, one.into, one.thing, _where(one), f"{100 * one.flips:.1f}", f"{100 * one.control:.1f}")
        for one in found
    )
    columns = ("shown", "then called", "thing", "size, place", "flips, %", "control, %")
    return (
        f"## Planted shortcuts\n\nOn {PAIRS} scenes: how often a thing turns the answer into the neighbour, and how "
        "often a control does: a patch of the same outline, all in the mean colour. Sizes and places were chosen on "
        f"other scenes.\n\n{_table(columns, rows)}"
    )


def _where(one: measure.Shortcut) -> str:
    if one.size is None or one.place is None:
        return "drawn in the scene"
    return f"{one.size} px at {one.place[0]:.0%} down, {one.place[1]:.0%} across".replace("%", " %")


def _legibility(called: Tensor, accuracy: float) -> str:
    right = (called == torch.arange(len(LABELS))).sum(1).tolist()
    rows = ((str(seed), f"{n} of {len(LABELS)}") for seed, n in enumerate(right))
    return (
        "## Legibility\n\n`render(net, logit(k), size=96)` of each class, shown to a judge: a residual network trained "
        f"on other scenes ({JUDGE.scenes:,}, seed 1; {accuracy:.2f} % on the scenes above), which never saw a render. "
        f"It names {sum(right) / len(right):.1f} of {len(LABELS)} right on average.\n\n"
        f"{_table(('seed', 'named right'), rows)}"
    )


def _share(counts: Tensor) -> float:
    return float(100 * counts.diag().sum() / counts.sum())


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def loaded_judge(path: Path) -> Classifier:
    """The judge from the file that training wrote."""
    from safetensors.torch import load_file

    network = judge_network()
    network.load_state_dict(load_file(path))
    return Classifier(network.eval(), NORMALIZE, SIZE, LABELS, name="judge")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m optvis.world.training.card", description=__doc__)
    parser.add_argument("--judge", type=Path, default=Path("judge.safetensors"), help="the judge's weights")
    parser.add_argument("--out", type=Path, default=Path("card.md"), help="file for the card")
    options = parser.parse_args()
    made_folder(options.out.parent)
    print(write_whole(options.out, card(demo_classifier(), loaded_judge(options.judge)).encode()))


if __name__ == "__main__":
    main()
