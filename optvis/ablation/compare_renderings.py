"""Looking again: what a network asks for, and what it answers by, with units on and with them off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from optvis.ablation.blinding import blinded
from optvis.ablation.fills import Filled
from optvis.attribution.attribute import attribute
from optvis.attribution.result import Attribution
from optvis.data.images import ImageLike
from optvis.features.units import Units
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.objectives import Objective, as_objective
from optvis.rendering.render import DEFAULT_STEPS, render
from optvis.rendering.result import Rendering
from optvis.viz.sheet import draw_sheet, encode_png, stack_rows

if TYPE_CHECKING:
    from PIL import Image

BEFORE, AFTER = "as it is", "without"


@dataclass(frozen=True, eq=False)
class Seen:
    """A question put to a network as it is, and to the same network without some units.

    Args:
        before: images that the network as it is scores highest.
        after: the same question, rendered without the units.
        reasons: attributions of the question for photographs, as it is and without; none where there were none.
    """

    before: Rendering
    after: Rendering
    reasons: tuple[Attribution, Attribution] | None = None

    def sheet(self) -> Image.Image:
        """Renderings before and after; below, the photographs' overlays, on one scale."""
        pairs = zip(self.before.images, self.after.images, strict=True)
        images = torch.stack([image for pair in pairs for image in pair])
        rendered = draw_sheet(images, [BEFORE, AFTER] * len(self.before), columns=2)
        if self.reasons is None:
            return rendered
        extent = max(float(found.positions.abs().amax()) for found in self.reasons)
        photos = self.reasons[0].images
        tiles = [[photo, *(found.overlay(i, extent) for found in self.reasons)] for i, photo in enumerate(photos)]
        labels = ["the photograph", BEFORE, AFTER] * len(photos)
        overlays = draw_sheet(torch.stack([tile for row in tiles for tile in row]), labels, columns=3)
        return stack_rows([[rendered], [overlays]])

    def _repr_png_(self) -> bytes:
        return encode_png(self.sheet())

    def __repr__(self) -> str:
        old, new = (float(made.scores[-1].mean()) for made in (self.before, self.after))
        return f"Seen({self.before.recipe['objective']}: {old:.4g} {BEFORE}, {new:.4g} {AFTER})"


def see(
    net: nn.Module | Classifier,
    units: Units | Sequence[Units],
    question: Objective | str,
    *,
    images: ImageLike | Sequence[ImageLike] | None = None,
    layer: str | None = None,
    fill: Filled = 0.0,
    size: int | tuple[int, int] | None = None,
    steps: int = DEFAULT_STEPS,
    seed: int = 0,
    progress: bool = True,
) -> Seen:
    """Render a question, and attribute it, in a network as it is and without some units.

    Args:
        net: a network, or a Classifier.
        units: what is switched off: Units, or several, as `find` finds them.
        question: what is asked of both, e.g. `logit("container ship")`.
        images: photographs to be attributed; none if not given.
        layer: whose positions are attributed; by default that of the last units.
        fill: what stands where units were, see `blinded`.
        size: side, or (height, width), of the rendered images in pixels; the network's own by default.
        steps: updates of each.
        seed: of noise and transforms: both are rendered from the same.
        progress: show progress bars.

    Raises:
        KeyError, IndexError, ValueError, TypeError: as in `blinded`, `render` and `attribute`.

    Example:
        >>> from optvis import load
        >>> from optvis.objectives import logit
        >>> from optvis.features.units import Channels
        >>> see(load("demo"), Channels("mixed5", range(20)), logit("owl"), size=32, steps=2, progress=False)
        Seen(logit('owl'): ... as it is, ... without)
    """
    classifier, chosen = as_classifier(net), (units,) if not isinstance(units, Sequence) else tuple(units)
    asked = as_objective(question)
    place = chosen[-1].layer if layer is None else layer

    def looked() -> tuple[Rendering, Attribution | None]:
        made = render(classifier, asked, size=size, steps=steps, seed=seed, progress=progress)
        if made.recipe["interrupted"]:
            raise KeyboardInterrupt
        return made, None if images is None else attribute(classifier, images, place, asked, progress=progress)

    before, why = looked()
    with blinded(classifier, *chosen, fill=fill):
        after, why_now = looked()
    return Seen(before, after, None if why is None or why_now is None else (why, why_now))


__all__ = ["Seen", "see"]
