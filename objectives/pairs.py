"""Objectives for several images in turn: a feature and its opposite, and interpolations between objectives."""

from __future__ import annotations

import torch

from optvis.objectives.channels import channel
from optvis.objectives.objective import Objective
from optvis.objectives.shorthand import as_objective

MAX_IMAGES = 2**20  # of an interpolation


def positive_negative(objective: Objective | str) -> Objective:
    """Maximise and minimise an objective: two images, with the weights 1 and −1.

    As in Olah et al., "Feature Visualization", Distill 2017, doi:10.23915/distill.00007. An objective for several
    images gives a pair for each: positive and negative of the first, positive and negative of the second, ….

    Args:
        objective: any objective, for B images, or "layer:channel".

    Returns:
        An objective for 2 B images.

    Raises:
        ValueError, TypeError: as in `as_objective`.

    Example:
        >>> positive_negative("mixed4:17")
        [1.0, -1.0] * channel('mixed4', 17)
    """
    positive = as_objective(objective)
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64, device="cpu").repeat(positive.batch)
    return positive.repeat_each(2) * signs


def interpolate(first: Objective | str, second: Objective | str, images: int) -> Objective:
    """Interpolate between two objectives over a batch: image n maximises (1 − w) · first + w · second, w = n / (B − 1).

    As in Olah et al., "Feature Visualization", Distill 2017, doi:10.23915/distill.00007. Lucid's
    `channel_interpolate` divides by zero for B = 1; here one image maximises the first objective. Add `alignment` to
    keep shapes at the same place from image to image.

    Args:
        first: the objective of image 0; for one image or for B, or "layer:channel".
        second: the objective of image B − 1.
        images: B.

    Raises:
        ValueError: `images` under 1, or another number than an objective is for.

    Example:
        >>> interpolate("mixed4:17", "mixed4:40", 3)
        [1.0, 0.5, 0.0] * channel('mixed4', 17) + [0.0, 0.5, 1.0] * channel('mixed4', 40)
    """
    if not 1 <= images <= MAX_IMAGES:
        raise ValueError(f"images is {images}; expected 1 to {MAX_IMAGES:,}")
    steps = torch.linspace(0, 1, images, dtype=torch.float64, device="cpu")
    return (1 - steps) * as_objective(first) + steps * as_objective(second)


def channel_interpolate(layer1: str, channel1: int, layer2: str, channel2: int, images: int) -> Objective:
    """Interpolate between two channels, under Lucid's name.

    Args:
        layer1: layer of the first channel.
        channel1: the channel of image 0.
        layer2: layer of the second channel.
        channel2: the channel of the last image.
        images: number of images.

    Raises:
        TypeError: a channel that is no integer.
        ValueError: `images` under 1.

    Example:
        >>> channel_interpolate("mixed4", 17, "mixed4", 40, 2)
        [1.0, 0.0] * channel('mixed4', 17) + [0.0, 1.0] * channel('mixed4', 40)
    """
    return interpolate(channel(layer1, channel1), channel(layer2, channel2), images)
