"""Measure a survey of all layers beside the bare forward pass over the same images in memory, in processor time.

python tests/bench/survey.py                 256 images, both networks, one thread
python tests/bench/survey.py --images 512    more

The limit holds for the network as it is called, `network(images)`. Beside it stands a pass with inputs that are
channels last in memory, which some processors run faster.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

import torch
import torchvision

from optvis import IMAGENET, Classifier, load
from optvis.survey import survey_channels

MAX_RATIO, TOP, BATCH = 1.15, 16, 32


def processor_time(run: Callable[[], object]) -> float:
    """The seconds of the processor that a call takes."""
    start = time.process_time()
    run()
    return time.process_time() - start


def resnet18() -> Classifier:
    torch.manual_seed(0)
    return Classifier(torchvision.models.resnet18().eval(), IMAGENET, 224)


def pass_bare(classifier: Classifier, images: torch.Tensor, channels_last: bool) -> None:
    """Normalise and run the bare network, in one of two layouts."""
    network = classifier.network.eval()
    with torch.inference_mode():
        for batch in images.split(BATCH):
            inputs = classifier.normalize(batch) if classifier.normalize is not None else batch
            network(inputs.contiguous(memory_format=torch.channels_last) if channels_last else inputs)


def survey(classifier: Classifier, images: torch.Tensor) -> None:
    """Survey all layers into a folder that is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        survey_channels(classifier, images, None, folder, top=TOP, progress=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    worst = 0.0
    for name, classifier in {"embedded": load(), "ResNet-18": resnet18()}.items():
        images = torch.rand(options.images, 3, *classifier.size)

        runs = [partial(survey, classifier, images), *(partial(pass_bare, classifier, images, one) for one in (0, 1))]
        pass_bare(classifier, images[:BATCH], True)
        rounds = [[processor_time(run) for run in runs] for _ in range(options.rounds)]
        ours, plain, last = (statistics.median(column) for column in zip(*rounds, strict=True))
        worst = max(worst, ours / plain)
        print(f"{name:10} survey {ours:7.2f} s, bare {plain:7.2f} s, channels last {last:7.2f} s: "
              f"{ours / plain:.3f}, {ours / last:.3f}", flush=True)  # fmt: skip
    print(f"limit {MAX_RATIO} of the bare pass")
    sys.exit(0 if worst <= MAX_RATIO else 1)


if __name__ == "__main__":
    main()
