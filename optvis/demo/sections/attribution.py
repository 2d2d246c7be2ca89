"""The section with spatial and channel attribution of the difference of two classes."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.attribution.attribute import attribute
from optvis.attribution.result import Attribution
from optvis.demo.config import TourConfig
from optvis.demo.figures import build_figure, require_complete
from optvis.demo.page import Content
from optvis.models.classifier import Classifier
from optvis.objectives import channel, logit
from optvis.rendering.render import render
from optvis.viz.overlay import overlay_heatmap
from optvis.world.scenes import scene

FILE = "attribution.png"
LABEL, RIVAL, LAYER = "container ship", "ocean liner", "mixed5"
SEED_OFFSET = 9  # added to the tour's seed
TOP = 4  # channels shown for each of the two classes


def build_section(model: Classifier, config: TourConfig) -> Content:
    """Attribution of the difference of two scores to positions and channels."""
    seed = config.seed + SEED_OFFSET
    images = torch.stack([scene(label, seed).image for label in (LABEL, RIVAL)])
    result = attribute(model, images, LAYER, logit(LABEL) - logit(RIVAL), progress=config.progress)
    indices = [*result.top(TOP).indices, *result.bottom(TOP).indices]
    options = config.render_options()
    rendering = render(model, channel(LAYER, indices), **options, progress=config.progress)
    require_complete(rendering.recipe)
    mean = result.channels.mean(0)
    channels = [f"channel {index}" for index in indices]
    heatmap = "its heatmap of spatial attribution"
    scenes = [text for label in (LABEL, RIVAL) for text in (f"a scene of the class {label}", heatmap)]
    figure = build_figure(
        FILE,
        torch.cat([attribution_tiles(result), rendering.images]),
        [LABEL, "where", RIVAL, "where", *channels],
        [*scenes, *(f"an image that maximises {name}" for name in channels)],
        notes=[""] * len(scenes) + [f"{float(mean[index]):+.2f}" for index in indices],
        columns=(4, 2),
        caption=f"Orange: positive attribution, for the {LABEL}. Violet: negative attribution, for the {RIVAL}. Below: "
        f"the channels of {LAYER} with the largest attributions of either sign.",
        code=f'images = torch.stack([scene(label, seed={seed}).image for label in ("{LABEL}", "{RIVAL}")])\n'
        f'attribute(net, images, "{LAYER}", logit("{LABEL}") - logit("{RIVAL}"))',
        recipe={**dict(result.recipe), "renderings": rendering.recipe},
    )
    text = (
        f"Why a {LABEL} and not an {RIVAL}? Attribution divides the difference of the two scores among the positions "
        "and among the channels of a layer."
    )
    return Content("Attribution", text, (figure,))


def attribution_tiles(result: Attribution) -> Tensor:
    """Each image and its overlay, all overlays on one scale."""
    extent = float(result.positions.abs().amax())
    pairs = zip(result.images, result.positions, strict=True)
    overlays = [overlay_heatmap(image, values, extent) for image, values in pairs]
    return torch.stack([result.images, torch.stack(overlays)], dim=1).flatten(0, 1)
