"""Measure adversarial patches of the atlas cells in which two classes differ most, on other scenes, with controls.

python tests/bench/patches.py             about three minutes
python tests/bench/patches.py --out here  keep the images
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from optvis import load
from optvis.atlas import Cell, Comparison, compare_classes, sample_activations
from optvis.models.classifier import Classifier
from optvis.patches import PatchTrial, try_patch
from optvis.world import Scenes, object_patch, scene

SHORTCUTS = (
    ("frying pan", "wok", "noodles", "noodles"),
    ("snorkeler", "scuba diver", "tank", "locomotive"),
    ("grey whale", "white shark", "mouth", "baseball"),
)  # source, target, the part of the target that resembles the object, and the object
LAYER, SCENES, SEED, STRIDE = "mixed5", 4000, 41, 8
TEST_IMAGES, SELECTION_SHARE, FIRST_SEED = 200, 0.25, 3_000_000
VISIBLE_SHARE, MIN_SHARE = 0.25, 0.5  # of a position's pixels, and of a cell's points, that show the part


def share_showing(scenes: Scenes, comparison: Comparison, cell: Cell, part: str) -> float:
    """The share of the cell's nearest points whose position shows a part."""
    visible = []
    for row in cell.rows.tolist():
        mask = scenes.scene(int(comparison.atlas.samples.indices[row])).masks.get(part)
        y, x = (comparison.atlas.samples.positions[row] * STRIDE).tolist()
        visible.append(mask is not None and float(mask[y : y + STRIDE, x : x + STRIDE].mean()) > VISIBLE_SHARE)
    return sum(visible) / len(visible)


def format_rates(trial: PatchTrial) -> str:
    """Flip rates at the size and position that the first images select."""
    controls = [name for name in trial.names if name != "patch"]
    others = ", ".join(f"{name} {100 * trial.flip_rate(name).share:.1f} %" for name in controls)
    size, position = trial.best
    return f"{trial.flip_rate('patch')} flip at {size} px, {position}; controls: {others}"


def run_trial(
    net: Classifier, patches: Sequence[Tensor], images: Sequence[Tensor], source: str, target: str
) -> PatchTrial:
    return try_patch(net, list(patches), list(images), source, target, selection_share=SELECTION_SHARE, progress=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for atlases and trials")
    options = parser.parse_args()
    net, scenes = load(), Scenes(SCENES, seed=SEED)
    samples = sample_activations(net, scenes, LAYER, progress=False)
    confirmed = []
    for source, target, part, name in SHORTCUTS:
        comparison = compare_classes(net, scenes, LAYER, source, target, samples=samples, progress=False)
        print(f"\n{source} → {target}: the five cells that differ most, of {len(comparison.atlas)} points")
        shares = [share_showing(scenes, comparison, cell, part) for cell in comparison.top(5)]
        for cell, share in zip(comparison.top(5), shares, strict=True):
            print(f"  {cell}: {share:.0%} of its nearest points show {part}")
        images = [
            scene(source, FIRST_SEED + index).image for index in range(round(TEST_IMAGES / (1 - SELECTION_SHARE)))
        ]
        found = run_trial(net, comparison.toward(target)[0].cutouts(), images, source, target)
        planted = run_trial(net, [object_patch(name, seed) for seed in range(len(images))], images, source, target)
        print(f"  patches of the first cell toward {target}: {format_rates(found)}")
        print(f"  {name}: {format_rates(planted)}", flush=True)
        confirmed.append(max(shares) >= MIN_SHARE)
        if options.out is not None:
            comparison.save(options.out / name)
            for kind, trial in (("found", found), ("planted", planted)):
                trial.save(options.out / name / f"trial-{kind}.png")
    sys.exit(0 if all(confirmed) else 1)


if __name__ == "__main__":
    main()
