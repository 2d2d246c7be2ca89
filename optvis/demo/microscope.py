"""The section of the tour that looks at one channel as a microscope does."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from optvis.data.dataset import as_dataset
from optvis.demo.figures import figure
from optvis.demo.page import Content
from optvis.demo.plan import Plan
from optvis.features.receptive_field import crop, receptive_fields
from optvis.microscope.effects import effects
from optvis.microscope.renderings import Drawing, pictures
from optvis.microscope.top_activations import excited
from optvis.models.classifier import Classifier
from optvis.world.scenes import Scenes

CHANNEL_PAGE = "channel.png"
LAYER, CHANNEL = "mixed5", 150
SCENES, SHOWN, CLASSES = 96, 6, 3
VIEWS = ("positive", "negative", "diverse 1", "diverse 2", "diverse 3", "diverse 4")


def magnified(net: Classifier, plan: Plan) -> Content:
    """One channel: six pictures, the patches that excite it most, and the classes that it serves."""
    side, steps = net.size[0], min(plan.steps, 32)
    scenes = as_dataset(Scenes(SCENES, plan.seed))
    found = excited(net, scenes, [LAYER], SHOWN)[LAYER].of(CHANNEL)
    images = scenes.load([photo for photo, *_ in found], net.load_batch)
    fields = receptive_fields(net, LAYER)
    patches = [crop(image, fields.window(y, x), side) for image, (_, _, y, x) in zip(images, found, strict=True)]
    drawn = pictures(net, LAYER, [CHANNEL], Drawing(side, steps, plan.seed)).of(0)
    tiles = [*drawn, *(F.interpolate(patch[None], net.size, mode="bilinear")[0] for patch in patches)]
    costs = effects(net, images, LAYER, CHANNEL).costs.mean(0)
    served = costs.topk(CLASSES).indices.tolist()
    told = ", ".join(f"{net.labels[k]} {float(costs[k]):+.2f}" for k in served)
    drawing = f"steps={steps}, seed={plan.seed}, channels=[{CHANNEL}]"
    shown = figure(
        CHANNEL_PAGE,
        torch.stack(tiles),
        [*VIEWS, *(f"{value:.1f}" for _, value, *_ in found)],
        [f"channel {CHANNEL} of {LAYER}: {view}" for view in VIEWS]
        + ["a patch of a scene that excites it"] * len(found),
        columns=(6, 3),
        caption=f"Channel {CHANNEL} of {LAYER}: what it is for and against, four more ways to excite it, and the "
        f"patches of {SCENES} scenes that do most. Without it these scenes' scores lose: {told}.",
        code=f'microscope(net, "{LAYER}", Scenes({SCENES}, {plan.seed}), "microscope", {drawing})',
        recipe={"network": net.name, "layer": LAYER, "channel": CHANNEL, "steps": steps, "seed": plan.seed},
    )
    text = "A microscope writes a page like this for each channel of a layer, and a sheet of them all."
    return Content("One channel, under the microscope", text, (shown,))
