"""Joint optimisation of a batch: each image has its own part, and all images share parts of low resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from optvis.params.canvas import FFT, LUCID_SD, Canvas
from optvis.params.color import DecorrelatedColor, Sigmoid
from optvis.params.image import ImageParam
from optvis.params.pyramid import coarse_noise, upsample
from optvis.params.streams import Streams

LUCID_DIVISORS = (2, 4, 8, 16)


class SharedLowRes(Canvas):
    """A canvas per image plus parts of low resolution that all images share: unique_i + Σ_d ↑(s_d), d = 2, 4, 8, 16.

    The gradient of one image also changes the others, so that shapes appear at the same places: Lucid's
    `lowres_tensor` shared over a batch, as its interpolations use it (Mordvintsev et al., "Differentiable Image
    Parameterizations", Distill 2018, doi:10.23915/distill.00012). The batch cannot be split.

    Args:
        unique: the canvas with each image's own part.
        streams: a single stream, for the first noise of the shared parts.
        divisors: the size is divided by these for the shared parts; sides are rounded down, to at least 1 pixel.
        sd: standard deviation of the first noise of the shared parts.

    Raises:
        ValueError: several streams, or divisors under 1.

    Example:
        >>> canvas = SharedLowRes(FFT((33, 47), Streams((0, 1), "canvas")), Streams((0,), "shared"))
        >>> canvas().shape, [tuple(part.shape) for part in canvas.parts][::3]
        (torch.Size([2, 3, 33, 47]), [(1, 3, 16, 23), (1, 3, 2, 2)])
    """

    couples_images = True

    def __init__(
        self, unique: Canvas, streams: Streams, divisors: Sequence[int] = LUCID_DIVISORS, sd: float = LUCID_SD
    ) -> None:
        super().__init__()
        if len(streams) != 1:
            raise ValueError(
                f"{len(streams)} streams for parts that all images share; expected one, e.g. Streams((0,), 'shared')"
            )
        if not divisors or min(divisors) < 1:
            raise ValueError(f"divisors are {divisors!r}; expected one or more, each 1 or more")
        self.unique, self.streams, self._size = unique, streams, unique.size
        self.divisors, self.sd = tuple(divisors), sd
        with torch.no_grad():
            channels = unique().shape[1]
        self.parts = coarse_noise(unique.size, streams, self.divisors, channels, sd)

    def __len__(self) -> int:
        return len(self.unique)

    def forward(self) -> Tensor:
        shared = torch.stack([upsample(part, self.size) for part in self.parts]).sum(0)
        images: Tensor = self.unique()
        return images + shared

    @torch.no_grad()
    def fill_(self, images: Tensor) -> Self:
        self.unique.fill_(images)
        for part in self.parts:
            part.zero_()
        return self

    def __repr__(self) -> str:
        return f"SharedLowRes({self.unique!r}, {self.streams!r}, divisors={self.divisors}, sd={self.sd})"


def shared_image(
    size: int | tuple[int, int] = 224,
    *,
    seeds: Sequence[int] = (0,),
    divisors: Sequence[int] = LUCID_DIVISORS,
    decay: float = 1.0,
    sd: float = LUCID_SD,
) -> ImageParam:
    """Build images for joint optimisation: each in the Fourier basis, plus shared parts of low resolution.

    With `optimizer=ADAM`, Lucid's learning rate, colours stay paler than with the default of `render`.

    Args:
        size: side, or (height, width), in pixels.
        seeds: one per image (B of them); the first also seeds the shared parts.
        divisors: the size is divided by these for the shared parts.
        decay: power of the frequency in each image's own part.
        sd: standard deviation of the first noise of all parts.

    Returns:
        A module whose output is (B, 3, H, W) in (0, 1). The batch cannot be split. Source: see `SharedLowRes`.

    Raises:
        ValueError: divisors under 1.

    Example:
        >>> shared_image((33, 47), seeds=range(6))().shape
        torch.Size([6, 3, 33, 47])
    """
    unique = FFT(size, Streams(seeds, "canvas"), decay, sd=sd)
    return ImageParam(SharedLowRes(unique, Streams(seeds[:1], "shared"), divisors, sd), DecorrelatedColor(), Sigmoid())
