"""The section with a deep dream of a scene."""

from __future__ import annotations

import torch

from optvis.data.images import load_image
from optvis.demo.config import TourConfig, format_keywords
from optvis.demo.figures import build_figure, require_complete
from optvis.demo.page import Content
from optvis.models.classifier import Classifier
from optvis.objectives import layer_norm
from optvis.rendering.dreams.dream import dream
from optvis.world.scenes import scene

FILE = "dream.png"
LABEL, LAYERS = "owl", ("mixed4", "mixed5")


def build_section(model: Classifier, config: TourConfig) -> Content:
    """A scene, and a dream of it for each of two layers."""
    start, options = scene(LABEL, config.seed).image, config.dream_options()
    dreams = []
    for layer in LAYERS:
        dreams.append(dream(model, start, layer_norm(layer), **options, progress=config.progress))
        require_complete(dreams[-1].recipe)
    figure = build_figure(
        FILE,
        torch.cat([load_image(start, config.dream_size), *(one.images for one in dreams)]),
        ("the scene", *(f"dream of {layer}" for layer in LAYERS)),
        (f"a scene of the class {LABEL}", *(f"the same scene after dreaming with {layer}" for layer in LAYERS)),
        columns=(1 + len(LAYERS), 1),
        caption=f"The scene is first enlarged to {config.dream_size} pixels.",
        code=f'image = scene("{LABEL}", seed={config.seed}).image\n'
        f"[dream(net, image, layer_norm(layer){format_keywords(options)}) for layer in {LAYERS}]".replace("'", '"'),
        recipe={**dreams[0].recipe, "objective": [one.recipe["objective"] for one in dreams]},
    )
    text = "Gradient ascent on all activations of a layer strengthens what the layer detects, from coarse to fine."
    return Content("Deep dream", text, (figure,))
