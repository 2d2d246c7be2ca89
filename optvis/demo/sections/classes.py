"""The section with a feature visualization of each class."""

from __future__ import annotations

from optvis.demo.config import TourConfig, format_keywords
from optvis.demo.figures import build_figure, require_complete
from optvis.demo.page import Content
from optvis.models.classifier import Classifier
from optvis.objectives import logit
from optvis.rendering.render import render

FILE = "classes.png"


def build_section(model: Classifier, config: TourConfig) -> Content:
    """An image that maximises the logit, for each class."""
    options = config.render_options(config.class_size)
    rendering = render(model, logit(model.labels), **options, progress=config.progress)
    require_complete(rendering.recipe)
    figure = build_figure(
        FILE,
        rendering.images,
        model.labels,
        [f"an image that maximises the score of the class {label}" for label in model.labels],
        columns=(4, 2),
        caption=f"One image for each class, {rendering.recipe['steps']} steps from noise.",
        code=f"render(net, logit(LABELS){format_keywords(options)})",
        recipe=rendering.recipe,
    )
    text = (
        "Which image has the highest score for a class? Each of these images began as noise. Gradient ascent changed "
        "it step by step, so that the network’s score for the class grew. No scene was used."
    )
    return Content("Feature visualization of classes", text, (figure,))
