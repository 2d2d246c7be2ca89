"""Compare channel attribution on real networks with exact ablation of every channel.

python tests/bench/attribution_real.py PHOTOGRAPHS             SqueezeNet and EfficientNet-Lite0; an hour on two cores
python tests/bench/attribution_real.py PHOTOGRAPHS --count 3   of three photographs

Weights of EfficientNet-Lite0: see tests/bench/pictures.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from optvis import Classifier, attribute, classify
from optvis.attribution import GradientTimesActivation, MidpointAblation
from optvis.data import list_images
from optvis.objectives import Objective, logit
from tests.bench.attribution import spearman
from tests.bench.picture_quality.networks import load_network

LAYERS = {
    "squeezenet": ("features.12", "features.8", "features.5"),
    "efficientnet": ("blocks.4.2.bn2", "blocks.5.0.bn1", "blocks.3.1.bn2"),
}
METHODS = (MidpointAblation(), MidpointAblation(31), GradientTimesActivation())


def best_against_next(net: Classifier, photograph: Path) -> Objective:
    """The logit of the class that the network predicts, minus that of the next one."""
    first, second = classify(net, photograph, top=2).indices[0].tolist()
    return logit(first) - logit(second)


def correlations(net: Classifier, photographs: list[Path], layer: str) -> None:
    """Print the rank correlation of each method with exact ablation, over channels that are not zero."""
    objectives = [best_against_next(net, photograph) for photograph in photographs]
    pairs = list(zip(photographs, objectives, strict=True))
    start = time.perf_counter()
    exact = [attribute(net, *_arguments(pair, layer), method="ablation", progress=False).channels[0] for pair in pairs]
    print(f"{net.name} {layer}, {len(exact[0])} channels; exact ablation {time.perf_counter() - start:.0f} s")
    for method in METHODS:
        start = time.perf_counter()
        found = [attribute(net, *_arguments(pair, layer), method=method, progress=False).channels[0] for pair in pairs]
        values = torch.tensor([spearman(a[b != 0], b[b != 0]) for a, b in zip(found, exact, strict=True)])
        numbers = f"{values.mean():8.3f}{values.amin():8.3f}{time.perf_counter() - start:8.0f} s"
        print(f"    {method!r:<34}{numbers}", flush=True)


def _arguments(pair: tuple[Path, Objective], layer: str) -> tuple[Path, str, Objective]:
    return pair[0], layer, pair[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder, also with subfolders")
    parser.add_argument("--weights", type=Path, help="of EfficientNet-Lite0")
    parser.add_argument("--count", type=int, help="of photographs, spread over the folders; by default all")
    options = parser.parse_args()
    files = sorted(file for folder in (options.photographs, *options.photographs.iterdir()) for file in _images(folder))
    step = 1 if options.count is None else max(1, len(files) // options.count)
    chosen = files[::step][: options.count]
    print(f"{len(chosen)} photographs; Spearman correlation with exact ablation, mean and lowest")
    for name, layers in LAYERS.items():
        net = load_network(name, options.weights)
        for layer in layers:
            correlations(net, chosen, layer)


def _images(folder: Path) -> list[Path]:
    """The image files directly in a folder; none of a file."""
    holds_images = folder.is_dir() and any(file.is_file() and file.suffix == ".jpg" for file in folder.iterdir())
    return list(list_images(folder)) if holds_images else []


if __name__ == "__main__":
    main()
