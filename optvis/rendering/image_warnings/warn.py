"""Warnings about images when they are done: unchanged scores, blank images, ones outside [0, 1], ones at a ceiling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from optvis.errors import warn_user
from optvis.models.borrow import borrow
from optvis.objectives.layout import INPUT
from optvis.params import FFT
from optvis.rendering.ascent import Ascent
from optvis.rendering.image_warnings.ceiling import Ceiling, find_ceilings
from optvis.rendering.result import Rendering
from optvis.transforms.warp import repeat_each

BLANK = 0.02  #: standard deviation under which an image looks uniform: five of 255 levels
FEWEST_STEPS = 32  # fewer steps may be too few for any image
TOLERANCE = 1 / 255  # by how much pixels may leave [0, 1] without a word: a level of 8 bits
NEAR_END = 0.02  # how near to 0 or 1 a pixel is at its end
BURNT = 0.25  # share of such pixels; in good pictures of two networks it is 0.02 to 0.1
MAX_NAMES = 3  # of images in a warning


def warn_about_images(
    rendering: Rendering, ceilings: Sequence[Ceiling], steps: int, param: nn.Module | None = None
) -> None:
    """Warn about images whose score never changed, that are blank, outside [0, 1] or at a ceiling; name the first ones.

    Args:
        rendering: complete.
        ceilings: as `find_image_ceilings` lists them, for all of its images.
        steps: that it was to have; too few say nothing about blank images.
        param: that they come from, where it is known.
    """
    outside = _outside_images(rendering.images)
    if outside:
        images = rendering.images
        warn_user(
            f"{_say(rendering, outside, 'leave [0, 1]')}: pixels from {float(images.min()):.3g} to "
            f"{float(images.max()):.3g}; let the parameterization give [0, 1], for example by torch.sigmoid"
        )
    still = warn_about_scores(rendering)
    blank = [index for index in blank_images(rendering.images) if index not in still]
    if blank and steps >= FEWEST_STEPS:
        warn_user(
            f"{_say(rendering, blank, 'are blank')}: either a penalty outweighs the score, then give it a smaller "
            "weight or a share of the score, priors=[Prior(penalty, 0.1)]; or nothing excites the unit from noise, "
            "then try another seed, a larger redirect_steps, or the layer before the ReLU"
        )
    canvas = getattr(param, "canvas", None)
    _warn_about_decay(rendering, canvas.decay if isinstance(canvas, FFT) else 1.0)
    for layer in dict.fromkeys(one.layer for one in ceilings):
        _warn_about_ceiling(rendering, [one for one in ceilings if one.layer == layer])


def warn_about_scores(rendering: Rendering) -> Sequence[int]:
    """Warn about images whose score was the same at all of 32 steps or more, so that nothing was maximised.

    Returns:
        Their indices.
    """
    scores = rendering.scores
    if len(scores) < FEWEST_STEPS:
        return []
    still: list[int] = (scores == scores[0]).all(0).nonzero().flatten().tolist()
    if still:
        values = sorted({f"{value:.4g}" for value in scores[0, still].tolist()})
        what = f"had the same score at all {len(scores)} steps, {', '.join(values[:MAX_NAMES])}"
        warn_user(
            f"{_say(rendering, still, what)}: nothing excited the unit, or the objective does not depend on the image; "
            "try another seed or start, a larger size or redirect_steps, or the layer before the ReLU"
        )
    return still


def _warn_about_decay(rendering: Rendering, decay: float) -> None:
    """Warn about burnt images of a spectrum whose low frequencies have more weight than by default."""
    if decay <= 1:
        return
    images = rendering.images.float().flatten(1)
    shares = ((images < NEAR_END) | (images > 1 - NEAR_END)).float().mean(1)
    burnt: list[int] = (shares > BURNT).nonzero().flatten().tolist()
    if burnt:
        warn_user(
            f"{_say(rendering, burnt, 'are burnt')}: up to {float(shares.max()):.0%} of the pixels are at 0 or 1, "
            f"because decay={decay:g} moves large shapes further in each step; give a smaller rate, such as rate=0.1, "
            "or 0.05 for a decay of 1.5"
        )


def _warn_about_ceiling(rendering: Rendering, ceilings: Sequence[Ceiling]) -> None:
    images = sorted({image for one in ceilings for image in one.images})
    (layer, value, before), *_ = ((one.layer, one.value, one.before) for one in ceilings)
    cure = f"use {before!r} instead, which goes into it" if before else "use a layer before it"
    if before == layer + INPUT:
        cure = f"use {before!r} instead, its input"
    place = f"are at the ceiling of {layer!r}"
    warn_user(
        f"{_say(rendering, images, place)}: activations do not exceed {value:g}, and the "
        f"gradient is zero there, so that more steps burn the image and change nothing; {cure}"
    )


def find_image_ceilings(ascent: Ascent, index: int, views: int) -> list[Ceiling]:
    """List the ceilings at which the images of an ascent are after so many updates, with `views` views of each."""
    with borrow(ascent.classifier.network), torch.no_grad():
        images = ascent.param()
        inputs = ascent.classifier.preprocess(ascent.chain(images, ascent.draws.streams.seek(index)))
        repeated, objective = repeat_each(images, len(inputs)), ascent.objective.at_step(index)
        found: list[Ceiling] = []
        for rows in ascent.batch_slices(inputs):
            first = rows.start or 0
            part = objective if len(inputs[rows]) == len(inputs) else objective[rows]
            for one in find_ceilings(ascent.classifier.network, inputs[rows], repeated[rows], part):
                places = dict.fromkeys((first + row) // views for row in one.images)
                found.append(Ceiling(tuple(places), one.layer, one.value, one.before))
    return found


def blank_images(images: Tensor) -> Sequence[int]:
    """List the images, (B, C, H, W), whose standard deviation is under `BLANK`."""
    blank: list[int] = (images.float().flatten(1).std(1, correction=0) < BLANK).nonzero().flatten().tolist()
    return blank


def _outside_images(images: Tensor) -> Sequence[int]:
    flat = images.float().flatten(1)
    outside: list[int] = ((flat.amin(1) < -TOLERANCE) | (flat.amax(1) > 1 + TOLERANCE)).nonzero().flatten().tolist()
    return outside


def _say(rendering: Rendering, images: Sequence[int], what: str) -> str:
    """Say how many of the images are something, and name the first ones."""
    names = ", ".join(rendering.labels[index] if rendering.labels else f"image {index}" for index in images[:MAX_NAMES])
    return f"{len(images)} of {len(rendering)} images {what} ({names}{', …' if len(images) > MAX_NAMES else ''})"
