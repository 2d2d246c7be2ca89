"""The section that shows one channel as the microscope does."""

from __future__ import annotations

import torch

from optvis.data.images import resize
from optvis.data.sources import as_dataset
from optvis.demo.config import TourConfig
from optvis.demo.figures import build_figure
from optvis.demo.page import Content
from optvis.features.receptive_field import crop, receptive_fields
from optvis.microscope.effects import measure_effects
from optvis.microscope.renderings import ChannelRenderer
from optvis.microscope.top_activations import find_top_activations
from optvis.models.classifier import Classifier
from optvis.world.scenes import Scenes

FILE = "microscope.png"
LAYER, CHANNEL = "mixed5", 150
SCENES, TOP_PATCHES, TOP_CLASSES, STEPS = 96, 6, 3, 32
VIEWS = ("positive", "negative", "diverse 1", "diverse 2", "diverse 3", "diverse 4")


def build_section(model: Classifier, config: TourConfig) -> Content:
    """One channel: six images, the patches with the highest activations, and the classes that need it most."""
    side, steps = model.size[0], STEPS if config.steps is None else config.steps
    scenes = as_dataset(Scenes(SCENES, config.seed))
    top = find_top_activations(model, scenes, [LAYER], TOP_PATCHES)[LAYER].of_channel(CHANNEL)
    images = scenes.load([index for index, *_ in top], model.load_batch)
    fields = receptive_fields(model, LAYER)
    patches = [crop(image, fields.window(y, x), side) for image, (_, _, y, x) in zip(images, top, strict=True)]
    renderings = ChannelRenderer(side, steps, config.seed).render(model, LAYER, [CHANNEL]).views(0)
    tiles = [*renderings, *(resize(patch[None], model.size)[0] for patch in patches)]
    drops = measure_effects(model, images, LAYER, CHANNEL).drop.mean(0)
    classes = ", ".join(f"{model.labels[k]} {float(drops[k]):+.2f}" for k in drops.topk(TOP_CLASSES).indices.tolist())
    options = f"steps={steps}, seed={config.seed}, channels=[{CHANNEL}]"
    figure = build_figure(
        FILE,
        torch.stack(tiles),
        [*VIEWS, *(f"{value:.1f}" for _, value, *_ in top)],
        [f"channel {CHANNEL} of {LAYER}: {view}" for view in VIEWS]
        + ["a patch of a scene with a high activation"] * len(top),
        columns=(6, 3),
        caption=f"Channel {CHANNEL} of {LAYER}: images that maximise and minimise it, four diverse ones, and of "
        f"{SCENES} scenes the patches with the highest activations. Ablation of the channel lowers the scores of these "
        f"scenes most for: {classes}.",
        code=f'build_microscope(net, Scenes({SCENES}, {config.seed}), "{LAYER}", "microscope", {options})',
        recipe={"network": model.name, "layer": LAYER, "channel": CHANNEL, "steps": steps, "seed": config.seed},
    )
    text = "The microscope writes a page like this for each channel of a layer, and an overview of all channels."
    return Content("One channel in the microscope", text, (figure,))
