"""The section with feature visualizations of channels of each stage."""

from __future__ import annotations

from dataclasses import dataclass

from optvis.demo.config import TourConfig, format_keywords
from optvis.demo.figures import build_figure, require_complete
from optvis.demo.page import Content, Figure
from optvis.models.classifier import Classifier
from optvis.objectives import channel
from optvis.rendering.render import render


@dataclass(frozen=True)
class Stage:
    """A stage of the network, and how its channels are shown.

    Args:
        layer: name of the stage.
        width: number of its channels.
        size: side of an image in pixels, a few times the receptive field of a unit; None for the network's input size.
        columns: images in a row, in a wide and in a narrow window.
    """

    layer: str
    width: int
    size: int | None
    columns: tuple[int, int]

    @property
    def file(self) -> str:
        return f"channels-{self.layer}.png"


STAGES = (
    Stage("conv1", 32, 48, (8, 4)),
    Stage("conv2", 48, 48, (8, 4)),
    Stage("mixed3", 80, None, (8, 4)),
    Stage("mixed4", 128, None, (8, 4)),
    Stage("mixed5", 192, None, (8, 4)),
)


def build_section(model: Classifier, config: TourConfig) -> Content:
    """Images that maximise single channels, a figure for each stage."""
    text = (
        "The same for single channels inside the network, stage by stage. In later stages a channel sees a larger part "
        "of the image and responds to more complex patterns."
    )
    figures = tuple(_build_stage_figure(model, config, stage) for stage in STAGES)
    return Content("Feature visualization of channels", text, figures)


def _build_stage_figure(model: Classifier, config: TourConfig, stage: Stage) -> Figure:
    count, options = config.channels, config.render_options(stage.size)
    indices = [n * stage.width // count for n in range(count)]
    rendering = render(model, channel(stage.layer, indices), **options, progress=config.progress)
    require_complete(rendering.recipe)
    code = f"[n * {stage.width} // {count} for n in range({count})]"
    return build_figure(
        stage.file,
        rendering.images,
        [str(index) for index in indices],
        [f"channel {index} of {stage.layer}" for index in indices],
        columns=stage.columns,
        caption=f"{count} of the {stage.width} channels of {stage.layer}, evenly spaced.",
        code=f'render(net, channel("{stage.layer}", {code}){format_keywords(options)})',
        recipe=rendering.recipe,
        heading=stage.layer,
    )
