"""DeepDream: gradient ascent on the pixels of an image, from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import torch
from torch import Tensor, nn

from optvis.arguments import check_axes, check_minimum
from optvis.data.images import ImageLike
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import Objective, as_objective
from optvis.params import Streams
from optvis.params.canvas import height_and_width
from optvis.rendering.dreams.job import DreamJob, GradientScaling
from optvis.rendering.dreams.octaves import Octaves
from optvis.rendering.image_warnings.warn import warn_about_scores
from optvis.rendering.result import Rendering
from optvis.rendering.setup import load_whole, resolve_objective

EPS = 1e-8  # added to a standard deviation, so that an image without gradient does not change


class DreamOptions(TypedDict, total=False):
    """The options of `dream` that `dream_video` passes on to it."""

    step_size: float
    gradient_scaling: GradientScaling
    seed: int


def divide_by_std(gradient: Tensor) -> Tensor:
    """Divide each image's gradient by its standard deviation, (B, 3, H, W): steps are equally strong at any depth.

    DeepDream's own rule divides by the mean absolute value (Mordvintsev et al., "Inceptionism", 2015); the later
    TensorFlow tutorial "DeepDream" by the standard deviation.

    Raises:
        ValueError: a gradient of other axes.
    """
    check_axes({"gradient": gradient}, "B C H W")
    return gradient / (gradient.flatten(1).std(1).view(-1, 1, 1, 1) + EPS)


def identity(gradient: Tensor) -> Tensor:
    """Return the gradient as it is, (B, 3, H, W)."""
    return gradient


def noise_start(size: int | tuple[int, int], seed: int = 0, channels: int = 3) -> Tensor:
    """Draw white noise to start a dream from: N(0.5, 0.1) pixels, (1, C, H, W) in [0, 1].

    >>> noise_start(8).shape
    torch.Size([1, 3, 8, 8])
    """
    return (0.5 + 0.1 * Streams((seed,), "dream start").normal(channels, *height_and_width(size))).clamp(0, 1).float()


def black_start(size: int | tuple[int, int], channels: int = 3) -> Tensor:
    """Make a black image to start a dream from: (1, C, H, W) of zeros.

    >>> float(black_start((2, 3)).max())
    0.0
    """
    return torch.zeros(1, channels, *height_and_width(size), dtype=torch.float32, device="cpu")


@plain_mode()
def dream(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    objective: Objective | str,
    *,
    size: int | None = None,
    steps: int = 10,
    step_size: float = 0.01,
    octaves: int | Octaves = 4,
    gradient_scaling: GradientScaling = divide_by_std,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    snapshots: bool = False,
    progress: bool = True,
) -> Rendering:
    """Maximise an objective by gradient ascent on the pixels of an image, at several sizes from coarse to fine.

    The steps begin at the smallest octave; the change made at each is enlarged and added to the next. Each step adds
    `step_size` · `gradient_scaling(gradient)` and clips to [0, 1], after a random shift that hides the seams of tiles.
    Ctrl-C stops early and returns the images so far. (Mordvintsev et al., "Inceptionism", Google Research blog, 2015.)

    Args:
        model: a network, or a Classifier.
        images: where to start: an image in any form, whole and of any aspect ratio, or several;
            `noise_start(size)`; `black_start(size)`.
        objective: what is maximised; `layer_norm(layer)` and `1e-5 * gram(layer)` are the usual ones, and
            "layer:channel" is a channel.
        size: the longer side in pixels to which the image is resized first; its own by default.
        steps: at each octave.
        step_size: change of pixels in [0, 1] by a step, per standard deviation of the gradient; with
            `gradient_scaling=identity` the factor of the gradient itself.
        octaves: number of sizes, each 1.4 times the one before, the last being the image's own; or `Octaves(count,
            scale, passes, tile_size)`.
        gradient_scaling: `divide_by_std`, `identity`, or any function of the gradient, (B, 3, H, W) -> (B, 3, H, W).
        seed: of the random shifts.
        normalize, progress: see `render`.
        snapshots: keep the images after each octave of each pass, for an animation.

    Returns:
        A Rendering. Its scores are those of the whole canvas at each step, summed over tiles.

    Raises:
        ValueError: a number is out of range; the network takes one size only, and the image is smaller; as in
            `load_image`.
        NotFiniteError: a score or gradient is not finite; its attribute `rendering` holds the images so far.

    Example:
        >>> from optvis.objectives import layer_norm
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> dream(net, noise_start((40, 60)), layer_norm(""), octaves=2, steps=2, progress=False)
        Rendering(1 of 40 × 60 px, 4 steps, scores ...)
    """
    check_minimum(0, steps=steps)
    classifier, objective = as_classifier(model, normalize), as_objective(objective)
    resolved = resolve_objective(objective, classifier).to(classifier.device, classifier.image_dtype)
    start = load_whole(classifier, images, size).to(classifier.device, classifier.image_dtype)
    if resolved.batch not in (1, len(start)):
        raise ValueError(f"{len(start)} images and an objective for {resolved.batch}; give one for all, or as many")
    plan = octaves if isinstance(octaves, Octaves) else Octaves(octaves)

    job = DreamJob(
        classifier, objective, resolved, start, plan, steps, step_size, gradient_scaling, seed, snapshots, progress
    )
    made = job.run_in_tiles() if classifier.fixed_size else job.run_where_it_fits()
    if not made.recipe["interrupted"]:
        warn_about_scores(made)
    return made
