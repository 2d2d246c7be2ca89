"""Patches that fool: found where two classes differ most, then tried on fresh scenes, with controls.

python tests/bench/patches.py             about three minutes
python tests/bench/patches.py --out here  keep the pictures
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

STORIES = (
    ("frying pan", "wok", "noodles", "noodles"),
    ("snorkeler", "scuba diver", "tank", "locomotive"),
    ("grey whale", "white shark", "mouth", "baseball"),
)  # one class, another, the part of it where the thing is planted, and the thing
LAYER, SCENES, SEED, STRIDE = "mixed5", 4000, 41, 8
JUDGED, SELECTION_SHARE, FRESH = 200, 0.25, 3_000_000
SEEN, LEAST_SHARE = 0.25, 0.5  # of a position's pixels, and of a cell's points, that show the part


def showing(scenes: Scenes, made: Comparison, cell: Cell, part: str) -> float:
    """The share of the cell's nearest points whose position shows a part."""
    seen = []
    for row in cell.rows.tolist():
        mask = scenes.scene(int(made.atlas.samples.indices[row])).masks.get(part)
        y, x = (made.atlas.samples.positions[row] * STRIDE).tolist()
        seen.append(mask is not None and float(mask[y : y + STRIDE, x : x + STRIDE].mean()) > SEEN)
    return sum(seen) / len(seen)


def rates(trial: PatchTrial) -> str:
    """Flip rates at the size and position that the first images select."""
    controls = [name for name in trial.names if name != "patch"]
    told = ", ".join(f"{name} {100 * trial.flip_rate(name).share:.1f} %" for name in controls)
    size, place = trial.best
    return f"{trial.flip_rate('patch')} flip at {size} px, {place}; controls: {told}"


def run_trial(
    net: Classifier, patches: Sequence[Tensor], images: Sequence[Tensor], source: str, target: str
) -> PatchTrial:
    return try_patch(net, list(patches), list(images), source, target, selection_share=SELECTION_SHARE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for maps and trials")
    options = parser.parse_args()
    net, scenes = load(), Scenes(SCENES, seed=SEED)
    drawn = sample_activations(net, scenes, LAYER, progress=False)
    held = []
    for source, target, part, name in STORIES:
        made = compare_classes(net, scenes, LAYER, source, target, samples=drawn, progress=False)
        print(f"\n{source} → {target}: the five cells that differ most, of {len(made.atlas)} points")
        shares = [showing(scenes, made, cell, part) for cell in made.top(5)]
        for cell, share in zip(made.top(5), shares, strict=True):
            print(f"  {cell}: {share:.0%} of its nearest points show {part}")
        images = [scene(source, FRESH + place).image for place in range(round(JUDGED / (1 - SELECTION_SHARE)))]
        found = run_trial(net, made.toward(target)[0].cutouts(), images, source, target)
        planted = run_trial(net, [object_patch(name, seed) for seed in range(len(images))], images, source, target)
        print(f"  what photographs show in the first cell toward {target}: {rates(found)}")
        print(f"  {name}: {rates(planted)}", flush=True)
        held.append(max(shares) >= LEAST_SHARE)
        if options.out is not None:
            made.save(options.out / name)
            for kind, trial in (("found", found), ("planted", planted)):
                trial.save(options.out / name / f"trial-{kind}.png")
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
