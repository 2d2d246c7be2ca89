"""Laplacian pyramids: an image as a sum of images at full size, half, a quarter, an eighth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optvis.params.canvas import LUCID_SD, Canvas, check_sd, height_and_width, require_shape
from optvis.params.color import DecorrelatedColor, Sigmoid
from optvis.params.dtype import parameter_dtype
from optvis.params.image import ImageParam
from optvis.params.streams import Streams

MAX_LEVELS = 32  # each is half of the one before: all further ones are a single pixel


class Pyramid(Canvas):
    """A canvas that sums images at 1, 1/2, 1/4, … of the size, upsampled bilinearly: Σ_{n < levels} ↑(a_n).

    The levels a_n start as N(0, sd). A step changes a whole neighbourhood at once, as in the Fourier basis, but stays
    local: Lucid's `laplacian_pyramid` (lucid.optvis.param.spatial, 2018). Sides are rounded down, to at least 1 pixel.
    Pixel centres lie at halves; in the original they do not, so that its coarse levels are shifted towards a corner.

    Args:
        size: side, or (height, width), in pixels.
        streams: one per image, for the first noise.
        levels: number of sizes.
        channels: number of channels C.
        sd: standard deviation of the first noise at each level; 0 gives a constant canvas.

    Raises:
        ValueError: levels under 1.

    Example:
        >>> [tuple(level.shape) for level in Pyramid((33, 47), Streams((0,), "canvas")).levels]
        [(1, 3, 33, 47), (1, 3, 16, 23), (1, 3, 8, 11), (1, 3, 4, 5)]
    """

    def __init__(
        self, size: int | tuple[int, int], streams: Streams, levels: int = 4, channels: int = 3, sd: float = LUCID_SD
    ) -> None:
        super().__init__()
        if not 1 <= levels <= MAX_LEVELS:
            raise ValueError(f"levels is {levels}; expected 1 to {MAX_LEVELS}")
        self.streams, self.sd = streams, sd
        self._size = height_and_width(size)
        self.levels = coarse_noise(self._size, streams, [2**level for level in range(levels)], channels, sd)

    def forward(self) -> Tensor:
        finest, *coarse = self.levels
        return torch.stack([finest, *(upsample(level, self.size) for level in coarse)]).sum(0)

    @torch.no_grad()
    def fill_(self, images: Tensor) -> Self:
        images = require_shape(images, tuple(self.levels[0].shape))
        for level in self.levels:
            level.zero_()
        self.levels[0].copy_(images)
        return self

    def __repr__(self) -> str:
        channels = self.levels[0].shape[1]
        return self.format_repr(self.streams, levels=len(self.levels), channels=channels, sd=self.sd)


def coarse_noise(
    size: tuple[int, int], streams: Streams, divisors: Sequence[int], channels: int, sd: float
) -> nn.ParameterList:
    """Draw N(0, sd) tensors of the size divided by each divisor, (B, C, H // d, W // d), at least a pixel wide."""
    sides = [(max(1, size[0] // divisor), max(1, size[1] // divisor)) for divisor in divisors]
    noise = [check_sd(sd) * streams.normal(channels, *side) for side in sides]
    return nn.ParameterList(nn.Parameter(values.to(parameter_dtype())) for values in noise)


def upsample(a: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsample bilinearly, with pixel centres at halves.  a (B, C, h, w) -> (B, C, *size)"""
    return F.interpolate(a, size, mode="bilinear", align_corners=False)


def pyramid_image(
    size: int | tuple[int, int] = 224, *, seeds: Sequence[int] = (0,), levels: int = 4, sd: float = LUCID_SD
) -> ImageParam:
    """Build images as Laplacian pyramids with decorrelated colour.

    With `optimizer=ADAM`, Lucid's learning rate, colours stay paler than with the default of `render`.

    Args:
        size: side, or (height, width), in pixels.
        seeds: one per image (B of them).
        levels: number of sizes.
        sd: standard deviation of the first noise at each level.

    Returns:
        A module whose output is (B, 3, H, W) in (0, 1). Source: see `Pyramid` and `DecorrelatedColor`.

    Raises:
        ValueError: levels under 1.

    Example:
        >>> pyramid_image((33, 47), seeds=range(4))().shape
        torch.Size([4, 3, 33, 47])
    """
    return ImageParam(Pyramid(size, Streams(seeds, "canvas"), levels, sd=sd), DecorrelatedColor(), Sigmoid())
