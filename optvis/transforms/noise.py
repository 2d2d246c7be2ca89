"""Noise that is added to every pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optvis.params.streams import Streams
from optvis.transforms.transform import Transform


class GaussianNoise(Transform):
    """Add N(0, sd) noise to every pixel and channel. Values are not clipped.

    Args:
        sd: standard deviation, for images in [0, 1].

    Example:
        >>> GaussianNoise(0.1)(torch.rand(2, 3, 8, 8), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self, sd: float) -> None:
        super().__init__(sd)
        if not 0 <= sd < math.inf:
            raise ValueError(f"GaussianNoise got {sd!r}; expected a standard deviation, 0 or more")
        self.sd = sd

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        return images + (self.sd * streams.normal(*images.shape[1:])).to(images)


class UniformNoise(Transform):
    """Add uniform noise in [-amplitude, amplitude] to every pixel and channel. Values are not clipped.

    Args:
        amplitude: largest change, for images in [0, 1].

    Example:
        >>> noise = UniformNoise(0.1)(torch.zeros(2, 3, 8, 8), Streams((0, 1), "demo"))
        >>> bool(noise.abs().max() <= 0.1)
        True
    """

    def __init__(self, amplitude: float) -> None:
        super().__init__(amplitude)
        if not 0 <= amplitude < math.inf:
            raise ValueError(f"UniformNoise got {amplitude!r}; expected the largest change, 0 or more")
        self.amplitude = amplitude

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        quantile: Tensor = torch.special.ndtr(streams.normal(*images.shape[1:]))  # uniform in (0, 1)
        return images + (self.amplitude * (2 * quantile - 1)).to(images)
