"""A warning about images that stayed blank: nothing in them excites what they were made for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from torch import Tensor

from optvis.rendering.result import Rendering

BLANK = 0.02  # standard deviation under which an image looks uniform: five of 255 levels
FEWEST_STEPS = 32  # fewer steps may be too few for any image


def warn_if_blank(rendering: Rendering, steps: int) -> None:
    """Warn about images without contrast, and name the first ones."""
    blank = blank_images(rendering.images)
    if steps < FEWEST_STEPS or not blank:
        return
    names = ", ".join(rendering.labels[index] if rendering.labels else f"image {index}" for index in blank[:3])
    more = ", …" if len(blank) > 3 else ""
    warnings.warn(
        f"{len(blank)} of {len(rendering)} images are blank ({names}{more}): either a penalty outweighs the score, "
        "then give it a smaller weight or a share of the score, priors=[Prior(penalty, 0.1)]; or nothing excites the "
        "unit from noise, then try another seed, a larger redirect_steps, or the layer before the ReLU",
        stacklevel=3,
    )


def blank_images(images: Tensor) -> Sequence[int]:
    """List the images, (B, C, H, W), whose standard deviation is under `BLANK`."""
    blank: list[int] = (images.float().flatten(1).std(1, correction=0) < BLANK).nonzero().flatten().tolist()
    return blank
