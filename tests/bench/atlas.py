"""Measure an atlas: time and memory of 20,000 scenes, trustworthiness of the layouts, agreement of neighbouring cells.

python tests/bench/atlas.py                  all parts; about ten minutes
python tests/bench/atlas.py --scenes 2000    sooner
python tests/bench/atlas.py --out folder     keep the atlas
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from optvis.atlas import Samples, lay_out
from optvis.atlas.layout import cell_index
from optvis.world import LABELS, Scenes

LAYER, SEED, LEVELS, STEPS, MIN_POINTS = "mixed5", 31, (10, 20, 40), 48, 5
NEAR, SAMPLE_SIZE = 15, 4000  # neighbours and points of trustworthiness
MAX_SECONDS, MAX_MEMORY, MIN_TRUST = 600, 1536, 0.95
MIN_SHARE = 0.2  # of a position's pixels; a position that shows a part shows it on at least this share

SCRIPT = """
import sys, time
start = time.perf_counter()
import optvis
from pathlib import Path
scenes, seed, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if scenes:
    from optvis import load
    from optvis.atlas import AtlasOptions, activation_atlas
    from optvis.world import Scenes
    atlas = activation_atlas(load(), Scenes(scenes, seed=seed), {layer!r}, levels={levels},
                             options=AtlasOptions(steps={steps}, min_points={min_points}), progress=False)
    page = atlas.save(folder)
    for level in atlas.levels:
        present, full = int(level.present.sum()), int((level.counts >= {min_points}).sum())
        print(f"{{level.size:>3}} × {{level.size:<3}} {{len(level):>5}} cells, {{present:>4}} of {{full}} with "
              f"{min_points} points or more have an icon, {{int(level.counts.sum())}} points")
        assert present == full and int(level.counts.sum()) == len(atlas)
    print(f"{{len(atlas)}} points, {{atlas.recipe['layout']}}, page of {{page.stat().st_size / 1e6:.1f}} MB")
status = Path("/proc/self/status").read_text()
print(time.perf_counter() - start, int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def run_in_child(scenes: int, folder: Path) -> tuple[str, float, float]:
    """Build an atlas in a child process; return its output, seconds and peak memory in MB; 0 scenes import alone."""
    code = SCRIPT.format(layer=LAYER, levels=LEVELS, steps=STEPS, min_points=MIN_POINTS)
    command = [sys.executable, "-W", "ignore", "-c", code, str(scenes), str(SEED), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *output, numbers = done.stdout.strip().splitlines()
    seconds, memory = map(float, numbers.split())
    return "\n".join(output), seconds, memory


def measure_trust(samples: Samples, points: Tensor, rows: Tensor) -> float:
    """Compute the trustworthiness (Venna & Kaski 2001) of neighbours by cosine, among some points."""
    from sklearn.manifold import trustworthiness

    return float(
        trustworthiness(samples.vectors[rows].numpy(), points[rows].numpy(), n_neighbors=NEAR, metric="cosine")
    )


def find_part(scenes: Scenes, samples: Samples, row: int) -> str:
    """Find the class and the part of it that most of a position's pixels show; empty where it shows none."""
    truth = scenes.scene(int(samples.indices[row]))
    side = 96 // samples.grid[0]
    top, left = (samples.positions[row] * side).tolist()
    shares = {name: float(mask[top : top + side, left : left + side].mean()) for name, mask in truth.masks.items()}
    best = max(shares, key=lambda name: shares[name], default="")
    return f"{truth.label}: {best}" if best and shares[best] > MIN_SHARE else ""


def measure_agreement(points: Tensor, kinds: Tensor, size: int) -> tuple[float, int]:
    """Compute the share of pairs of neighbouring cells with the same most frequent kind, and the number of pairs."""
    cells = cell_index(points, size)
    counts = torch.zeros(size * size, int(kinds.max()) + 1).index_put_((cells, kinds), torch.ones(len(kinds)), True)
    most_frequent = torch.where(counts.sum(1) > 0, counts.argmax(1), -1).view(size, size)
    pairs = torch.cat([
        torch.stack([most_frequent[:-1].flatten(), most_frequent[1:].flatten()], 1),
        torch.stack([most_frequent[:, :-1].flatten(), most_frequent[:, 1:].flatten()], 1),
    ])  # fmt: skip
    known = pairs[(pairs >= 0).all(1)]
    return float((known[:, 0] == known[:, 1]).float().mean()), len(known)


def print_agreement(name: str, points: Tensor, kinds: Tensor, size: int) -> None:
    """Print the agreement of neighbouring cells, and that of the same points with their kinds shuffled."""
    shuffled = kinds[torch.randperm(len(kinds), generator=torch.Generator().manual_seed(0))]
    (share, pairs), (chance, _) = measure_agreement(points, kinds, size), measure_agreement(points, shuffled, size)
    print(f"  {name:<28}{size:>3} × {size:<3}{pairs:>5} pairs{share:>8.3f}{chance:>10.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="folder for the atlas")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as passing:
        folder = Path(passing) if options.out is None else options.out
        held = measure(options.scenes, folder)
    sys.exit(0 if held else 1)


def measure(scenes: int, folder: Path) -> bool:
    """Measure all parts; return whether all bounds hold."""
    _, _, bare = run_in_child(0, folder)
    output, seconds, peak = run_in_child(scenes, folder)
    print(f"{scenes} scenes, {LAYER}, icons of {STEPS} steps, {torch.get_num_threads()} threads\n{output}")
    print(f"{seconds:.0f} s, limit {MAX_SECONDS} s; {peak - bare:.0f} MB above the import ({bare:.0f} MB), "
          f"limit {MAX_MEMORY} MB", flush=True)  # fmt: skip
    samples, known = Samples.load(folder / "samples.safetensors"), Scenes(scenes, seed=SEED)
    rows = torch.randperm(len(samples), generator=torch.Generator().manual_seed(1))[:SAMPLE_SIZE]
    parts = {row: find_part(known, samples, row) for row in rows.tolist()}
    showing = torch.tensor([row for row, part in parts.items() if part])
    numbers = {part: place for place, part in enumerate(sorted(set(parts.values())))}
    kinds, classes = torch.tensor([numbers[parts[row]] for row in showing.tolist()]), samples.indices % len(LABELS)
    trust = []
    for layout in ("umap", "tsne"):
        start = time.perf_counter()
        points, how = lay_out(samples.vectors, layout)
        spent = time.perf_counter() - start
        trust.append(measure_trust(samples, points, rows))
        print(f"{how}: {spent:.0f} s; trustworthiness {trust[-1]:.4f} at k = {NEAR} of {len(rows)} points, "
              f"limit {MIN_TRUST}\n  neighbouring cells with the same{'':<14}share  shuffled")  # fmt: skip
        for size in LEVELS:
            print_agreement("most frequent class", points, classes, size)
        for size in LEVELS:
            print_agreement(f"part, of {len(showing)} that show one", points[showing], kinds, size)
    return seconds <= MAX_SECONDS and peak - bare <= MAX_MEMORY and min(trust) >= MIN_TRUST


if __name__ == "__main__":
    main()
