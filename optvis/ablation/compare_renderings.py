"""`compare_renderings`: render and attribute an objective with all units, and without some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from optvis.ablation.blinded import blinded, check_units
from optvis.ablation.fills import FillLike, describe_fill
from optvis.ablation.selection.attempt import summarize
from optvis.ablation.units_json import units_from_json, units_to_json
from optvis.attribution.attribute import attribute
from optvis.attribution.result import SIGNS, Attribution
from optvis.data.images import ImageLike
from optvis.features.units import Units
from optvis.formatting import format_count
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import provenance
from optvis.objectives import Objective, as_objective
from optvis.rendering.recipes import Recipe
from optvis.rendering.render import render
from optvis.rendering.result import Rendering
from optvis.viz.figures import caption_figure, house_style, new_figure
from optvis.viz.overlay import overlay_heatmap
from optvis.viz.result import PlotResult, Result
from optvis.viz.sheet import as_rgb
from optvis.viz.tiles import plot_tiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEFORE, AFTER = "with all units", "without"
WIDTH, PAIR, ROW, TITLE = 6.4, 3.4, 2.4, 0.9  # inches: of the figure, and heights of its parts
# Names in a file.
RENDERINGS, ATTRIBUTIONS = ("before", "after"), ("attribution before", "attribution after")


@dataclass(frozen=True, eq=False, repr=False)
class BeforeAfter(PlotResult):
    """An objective rendered, and attributed, in a network with all units and without some.

    Args:
        before: images that the network with all units scores highest.
        after: the same objective, rendered without the units.
        recipe: everything that computed them, in JSON types.
        attributions: of the objective in the given images, with all units and without; None without images.
    """

    KIND = "comparison of renderings"
    JSON_FIELDS: ClassVar = {"headers": Mapping[str, Mapping[str, str]]}  # of the results inside, by name

    before: Rendering
    after: Rendering
    recipe: Mapping[str, Any]
    attributions: tuple[Attribution, Attribution] | None = None

    def _check(self, sizes: Mapping[str, int]) -> None:
        if self.before.images.shape != self.after.images.shape:
            shapes = tuple(self.before.images.shape), tuple(self.after.images.shape)
            raise ValueError(f"images have shapes {shapes[0]} before and {shapes[1]} after; expected the same")

    def figure(self, ax: Axes | None = None) -> Figure:
        """The renderings before and after; below, overlays of the attributions on one scale.

        Above them stand the objective and the units, and below what the colors mean.

        Args:
            ax: axes for the renderings alone; by default all is drawn in a new figure.
        """
        if ax is not None:
            return self._draw_renderings(ax)
        pairs, rows = len(self.before), 0 if self.attributions is None else len(self.attributions[0])
        with house_style():
            figure = new_figure((WIDTH, PAIR * pairs + ROW * rows + TITLE))
            heights = [PAIR * pairs, ROW * rows] if rows else [1]
            axes = figure.subplots(len(heights), height_ratios=heights, squeeze=False)[:, 0]
            self._draw_renderings(axes[0])
            if self.attributions is not None:
                self._draw_overlays(self.attributions, axes[1])
            caption_figure(figure, self._title(), SIGNS if self.attributions is not None else ())
        return figure

    def _draw_renderings(self, ax: Axes) -> Figure:
        pairs = zip(self.before.images, self.after.images, strict=True)
        images = torch.stack([image for pair in pairs for image in pair])
        return plot_tiles(images, [BEFORE, AFTER] * len(self.before), columns=2, ax=ax)

    def _draw_overlays(self, attributions: tuple[Attribution, Attribution], ax: Axes) -> Figure:
        extent = max(float(one.positions.abs().amax()) for one in attributions)
        originals = attributions[0].images
        tiles = [
            [as_rgb(image), *(overlay_heatmap(image, one.positions[i], extent) for one in attributions)]
            for i, image in enumerate(originals)
        ]
        labels = ["the image", BEFORE, AFTER] * len(originals)
        return plot_tiles(torch.stack([tile for row in tiles for tile in row]), labels, columns=3, ax=ax)

    def _title(self) -> str:
        rows = self.recipe.get("units", ())
        without = f": with all units, and without {', '.join(map(_summarize, rows))}" if rows else ""
        return f"{self.before.recipe.get('objective', 'a score')}{without}"

    @property
    def _parts(self) -> dict[str, Result]:
        renderings = dict(zip(RENDERINGS, (self.before, self.after), strict=True))
        return renderings | dict(zip(ATTRIBUTIONS, self.attributions or (), strict=False))

    def _tensors(self) -> dict[str, Tensor]:
        parts = self._parts.items()
        return {f"{part}: {name}": tensor for part, result in parts for name, tensor in result._tensors().items()}

    def _json_values(self) -> dict[str, Any]:
        return {"headers": {part: result._header() for part, result in self._parts.items()}}

    @classmethod
    def _from_parts(cls, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        headers = values["headers"]
        own: dict[str, dict[str, Tensor]] = {part: {} for part in headers}
        for name, tensor in tensors.items():
            part, _, field = name.partition(": ")
            own[part][field] = tensor
        before, after = (Rendering._from_file(own[part], headers[part]) for part in RENDERINGS)
        parts = ATTRIBUTIONS if ATTRIBUTIONS[0] in headers else ()
        attributions: Any = tuple(Attribution._from_file(own[part], headers[part]) for part in parts)
        return cls(before, after, values["recipe"], attributions or None)

    def __repr__(self) -> str:
        before, after = (float(one.scores[-1:].mean()) for one in (self.before, self.after))  # NaN without steps
        return (
            f"BeforeAfter({self.before.recipe.get('objective', 'a score')}: {before:.4g} {BEFORE}, {after:.4g} {AFTER})"
        )


@plain_mode()
def compare_renderings(
    model: nn.Module | Classifier,
    units: Units | Sequence[Units],
    objective: Objective | str,
    *,
    images: ImageLike | Sequence[ImageLike] | None = None,
    layer: str | None = None,
    fill: FillLike = None,
    recipe: str | Recipe = "plain",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    progress: bool = True,
) -> BeforeAfter:
    """Render an objective, and attribute it, in a network with all units and without some.

    Args:
        model: a network, or a Classifier.
        units: to switch off: Units, or several, such as a UnitSelection.
        objective: to render and attribute, e.g. `logit("container ship")`.
        images: to attribute the objective in; none by default.
        layer: whose positions the attributions show; by default that of the last units.
        fill: what replaces units, see `blinded`.
        recipe: of both renderings, as in `render`.
        size: side, or (height, width), of the rendered images in pixels; the network's own by default.
        steps: number of updates of each rendering; the recipe's by default.
        seed: of the start and the transforms, the same for both renderings.
        normalize: see `render`; by default the model's own.
        progress: show progress bars.

    Raises:
        KeyError, IndexError, ValueError, TypeError: as in `blinded`, `render` and `attribute`.

    Example:
        >>> from optvis import Channels, load
        >>> from optvis.objectives import logit
        >>> compare_renderings(load("demo"), Channels("mixed5", range(20)), logit("owl"), size=32, steps=2,
        ...                    progress=False)
        BeforeAfter(logit('owl'): ... with all units, ... without)
    """
    classifier = as_classifier(model, normalize)
    chosen = (units,) if not isinstance(units, Sequence) else tuple(units)
    check_units(classifier.network, chosen)  # before the first rendering, which takes long
    if not chosen:
        raise ValueError("no units: there is nothing to switch off")
    goal = as_objective(objective)
    place = chosen[-1].layer if layer is None else layer

    def run() -> tuple[Rendering, Attribution | None]:
        rendering = render(classifier, goal, recipe=recipe, size=size, steps=steps, seed=seed, progress=progress)
        if rendering.recipe["interrupted"]:
            raise KeyboardInterrupt
        if images is None:
            return rendering, None
        return rendering, attribute(classifier, images, place, goal, progress=progress)

    before, attribution = run()
    with blinded(classifier, *chosen, fill=fill):
        after, attribution_after = run()
    settings = provenance(
        classifier,
        "compare_renderings",
        objective=before.recipe["objective"],
        units=[units_to_json(one) for one in chosen],
        fill=describe_fill(fill, chosen),
        layer=place,
        recipe=before.recipe["recipe"],
        steps=before.recipe["steps"],
        size=list(before.images.shape[2:]),
        seed=seed,
    )
    pair = None if attribution is None or attribution_after is None else (attribution, attribution_after)
    return BeforeAfter(before, after, settings, pair)


def _summarize(row: Mapping[str, Any]) -> str:
    """Units of a recipe, counted; features without their autoencoder, which the recipe does not hold."""
    if row.get("kind") == "features":
        return f"{format_count(len(row['indices']), 'feature')} of {row['layer']}"
    return summarize([units_from_json(row)])
