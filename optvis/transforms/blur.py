"""Gaussian blur."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optvis.params.streams import Streams
from optvis.transforms.transform import Transform

RADIUS = 4  # of the kernel, in standard deviations; the part of a Gaussian beyond it weighs 6e-5
MAX_SIGMA = 4096  # pixels: more is wider than any image here


class Blur(Transform):
    """Blur with a Gaussian, of a fixed width or of a random one per image. The edge is repeated outside the image.

    A pixel becomes the mean of its neighbours at (dx, dy) with weights exp(-(dx² + dy²) / 2σ²), up to a distance of 4
    times the largest σ.

    Args:
        sigma: standard deviation in pixels, or a range (low, high) from which each image's is drawn uniformly.

    Example:
        >>> Blur((0.5, 2.0))(torch.rand(2, 3, 20, 30), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 20, 30])
    """

    def __init__(self, sigma: float | tuple[float, float]) -> None:
        super().__init__(sigma)
        low, high = sigma if isinstance(sigma, tuple) else (sigma, sigma)
        if not 0 < low <= high <= MAX_SIGMA:
            expected = f"a positive number of pixels up to {MAX_SIGMA:,}, or a range (low, high)"
            raise ValueError(f"Blur got {sigma!r}; expected {expected}")
        self.sigma = sigma
        self.low, self.high = float(low), float(high)

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        from kornia.filters import gaussian_blur2d

        def draw() -> Tensor:
            sigma = torch.full((len(streams), 1), self.low, dtype=torch.float64, device="cpu")
            if isinstance(self.sigma, tuple):
                sigma += (self.high - self.low) * streams.uniform(1)
            return sigma.expand(-1, 2)

        side = 2 * math.ceil(RADIUS * self.high) + 1
        blurred: Tensor = gaussian_blur2d(images, (side, side), streams.place(draw, images), "replicate")
        return blurred
