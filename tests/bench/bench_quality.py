"""Time to equal quality: 16 channels of a real SqueezeNet, optvis and torch-lucent with their defaults."""

import copy
import os
import time
from pathlib import Path

import numpy as np
import torch
from lucent_side import lucent_modules
from torch import Tensor, nn
from torch.nn import functional as F

from optvis import IMAGENET, load, render
from optvis.objectives import channel
from optvis.transforms import COARSE_TO_FINE
from optvis.viz.sheet import draw_sheet

LAYER = "features.12"
CHANNELS = range(50, 291, 16)
LUCENT_STEPS, LUCENT_CANVAS = 128, 128
OUR_STEPS = 32
SIDE, DRAWS = 224, 32
GREY = 0.05  # pixel standard deviation under which an image counts as grey


def quality_table(out: Path | None = None) -> None:
    """Print seconds, clean and robust activation, and number of grey images of both; optionally write the images."""
    beside = Path(__file__).parents[3] / "shared" / "torch_home"
    if beside.is_dir():
        os.environ.setdefault("TORCH_HOME", str(beside))
    classifier = load("squeezenet1_0")
    makers = {"optvis": lambda: render_optvis(classifier), "lucent": lambda: render_lucent(classifier.network)}
    if lucent_modules() is None:
        del makers["lucent"]
    print(f"{len(CHANNELS)} channels of {LAYER}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'':<8}{'seconds':>9}{'clean':>8}{'robust':>8}{'grey':>6}")
    found = {}
    for name, make in makers.items():
        start = time.perf_counter()
        images = make()
        seconds = time.perf_counter() - start
        grey = int((images.flatten(1).std(1) < GREY).sum())
        clean = activation(classifier.network, IMAGENET(F.interpolate(images, SIDE, mode="bilinear"))).mean()
        found[name] = images, seconds
        print(f"{name:<8}{seconds:9.1f}{clean:8.0f}{robust(classifier.network, images):8.0f}{grey:6d}", flush=True)
    if "lucent" in found:
        print(f"optvis is {found['lucent'][1] / found['optvis'][1]:.1f} times faster")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, (images, _) in found.items():
            draw_sheet(F.interpolate(images, SIDE), [f"{name} {n}" for n in CHANNELS], columns=8).save(
                out / f"{name}.png"
            )


def render_optvis(classifier) -> Tensor:  # type: ignore[no-untyped-def]
    objective = channel(LAYER, CHANNELS)
    return render(
        classifier, objective, recipe="plain", steps=OUR_STEPS, transform=COARSE_TO_FINE, batch_size=4, progress=False
    ).images


def render_lucent(net: nn.Module) -> Tensor:
    """Lucent's defaults: one channel after the other, at 128 px, which its render_vis resizes to 224 px."""
    modules = lucent_modules()
    assert modules is not None
    _, param, lucent_render, _ = modules
    rendered = []
    for number in CHANNELS:
        hooked = copy.deepcopy(net)  # Lucent never removes its hooks
        images = lucent_render.render_vis(
            hooked, f"{LAYER.replace('.', '_')}:{number}", lambda: param.image(LUCENT_CANVAS),
            thresholds=(LUCENT_STEPS,), progress=False, show_image=False,
        )  # fmt: skip
        rendered.append(torch.from_numpy(images[0]).permute(0, 3, 1, 2))
    return torch.cat(rendered)


@torch.no_grad()
def activation(net: nn.Module, inputs: Tensor) -> Tensor:
    """Each image's own channel, mean over positions, (16,)."""
    read = net.features[: int(LAYER.rpartition(".")[2]) + 1](inputs).mean((2, 3))
    return read[torch.arange(len(CHANNELS)), torch.tensor(CHANNELS)]


def robust(net: nn.Module, images: Tensor) -> float:
    """Mean over fresh draws of Lucid's standard chain, in Lucent's implementation, as its render_vis applies it."""
    modules = lucent_modules()
    if modules is None:
        return float("nan")
    transform = modules[3]
    chain = [*transform.standard_transforms, transform.normalize()]
    if images.shape[2] < SIDE:
        chain.append(nn.Upsample(size=SIDE, mode="bilinear", align_corners=True))
    apply = transform.compose(chain)
    np.random.seed(0)
    return float(torch.stack([activation(net, apply(images)).mean() for _ in range(DRAWS)]).mean())
