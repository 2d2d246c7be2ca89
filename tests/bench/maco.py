"""Time of a step of `maco`, and of the bare network on as many views of the same size, in one run.

python tests/bench/maco.py [--images 1 4] [--views 6] [--rounds 7] [--device cuda]

The bare network runs forward and backward to its input, frozen, in channels_last, in passes of as many images as
optvis takes at once. A step of `maco` also makes the canvases from their phases, samples the views, adds noise, and
updates the phases. Networks have random weights: speed does not depend on them. Times are those of the processor with
one thread (OMP_NUM_THREADS=1), which other processes do not disturb, and of the clock otherwise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import timm
import torch
from torch import Tensor, nn
from torchvision import models

from optvis import IMAGENET, Classifier
from optvis.objectives import logit
from optvis.rendering.ascent import PIXELS_PER_BATCH, split_evenly
from optvis.rendering.maco import maco_job
from optvis.rendering.views import SumOfGradients

SIDE = 224
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "SqueezeNet 1.0": lambda: models.squeezenet1_0(weights=None),
    "EfficientNet-Lite0": lambda: timm.create_model("tf_efficientnet_lite0", pretrained=False),
}


def maco_step(net: nn.Module, images: int, views: int, seed: int | Sequence[int]) -> Callable[[], object]:
    """A step of `maco` with its defaults, as after the steps that redirect ReLU gradients."""
    job = maco_job(Classifier(net, IMAGENET, SIDE), logit(range(images)), views=views, seed=seed, redirect_steps=0)
    assert job.param is not None
    loop = job.build_ascent(slice(0, images), SumOfGradients(job.param), job.objective, None).steps()
    next(loop)
    return lambda: next(loop)


def bare_step(net: nn.Module, count: int, device: torch.device) -> Callable[[], object]:
    """Forward and backward to as many inputs, and nothing else."""
    for weight in net.parameters():
        weight.requires_grad_(False)
    parts = split_evenly(count, count if device.type != "cpu" else PIXELS_PER_BATCH / SIDE**2)
    images = torch.rand(count, 3, SIDE, SIDE, device=device).contiguous(memory_format=torch.channels_last)
    inputs = [images[part] for part in parts]

    def step() -> list[Tensor]:
        gradients = []
        for part in inputs:
            leaf = part.detach().requires_grad_()
            gradients += torch.autograd.grad(net(leaf)[:, 0].sum(), leaf)
        return gradients

    return step


def seconds(step: Callable[[], object], device: torch.device) -> float:
    """Time one step, on a GPU until it has finished."""
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def main() -> None:
    """Print a row for each network, number of images, and choice of seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    print(f"best of {options.rounds} interleaved rounds, {options.views} views of {SIDE} px, {device}")
    print(f"{'network':<20}{'images':>7}  {'seeds':<9}{'bare s':>8}{'maco s':>8}{'maco/bare':>10}{'median':>8}")
    for name, build in NETWORKS.items():
        torch.manual_seed(0)
        net = build().eval().to(device)
        for images in options.images:
            bare = bare_step(net, images * options.views, device)
            steps = {
                "same": maco_step(net, images, options.views, 0),
                "distinct": maco_step(net, images, options.views, range(images)),
            }
            times: dict[str, list[float]] = {"bare": [], **{kind: [] for kind in steps}}
            seconds(bare, device)
            for _ in range(options.rounds):
                for kind, step in {"bare": bare, **steps}.items():
                    times[kind].append(seconds(step, device))
            for kind in steps:
                ratio = min(times[kind]) / min(times["bare"])
                median = statistics.median(own / other for own, other in zip(times[kind], times["bare"], strict=True))
                row = f"{min(times['bare']):8.3f}{min(times[kind]):8.3f}{ratio:10.2f}{median:8.2f}"
                print(f"{name:<20}{images:>7}  {kind:<9}{row}", flush=True)


if __name__ == "__main__":
    main()
