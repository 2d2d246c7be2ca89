"""Blends of images that have an alpha channel with a background."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn

from optvis.params.canvas import frequency_scale
from optvis.params.color import DecorrelatedColor, Sigmoid
from optvis.params.dtype import constant_like
from optvis.params.streams import Streams
from optvis.transforms.transform import Transform


class Blend(Transform, ABC):
    """Blend with a background, rgb · alpha + background · (1 − alpha): (B, 4, H, W), alpha last -> (B, 3, H, W).

    If the background changes at each step, only opaque pixels can contribute to the objective, and alpha becomes a mask
    of the relevant pixels (Mordvintsev et al., "Differentiable Image Parameterizations", Distill 2018,
    doi:10.23915/distill.00012). Put it first in a chain, before transforms that shift the image, so that padding is
    opaque.
    """

    @abstractmethod
    def background(self, images: Tensor, streams: Streams) -> Tensor:
        """Draw the background of these images, (B, 3, H, W), with 1 for axes to broadcast."""

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        if images.shape[1] != 4:
            raise ValueError(
                f"{self!r} got images of {images.shape[1]} channels; expected 4, with alpha in the last; "
                "put it first in the chain, and render a parameterization with alpha, e.g. alpha_image()"
            )
        alpha = images[:, 3:]
        return images[:, :3] * alpha + self.background(images, streams) * (1 - alpha)


class OnColor(Blend):
    """Blend with one colour, the same at each step, e.g. to show an image with alpha.

    Args:
        color: a level in [0, 1], or one each for red, green and blue.

    Example:
        >>> OnColor(1.0)(torch.zeros(1, 4, 1, 1), Streams((0,), "demo")).flatten()
        tensor([1., 1., 1.])
    """

    def __init__(self, color: float | Sequence[float]) -> None:
        super().__init__(color)
        levels = tuple(color) if isinstance(color, Sequence) else (color,)
        if len(levels) not in (1, 3) or not all(0 <= level <= 1 for level in levels):
            raise ValueError(f"OnColor got {color!r}; expected a level in [0, 1], or one each for red, green and blue")
        self.color, self.levels = color, levels

    def background(self, images: Tensor, streams: Streams) -> Tensor:
        return constant_like(self.levels, images).view(1, -1, 1, 1)


class OnRandomColor(Blend):
    """Blend with a colour that is uniform in RGB, drawn for each image and step.

    Example:
        >>> OnRandomColor()(torch.rand(2, 4, 8, 8), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self) -> None:
        super().__init__()

    def background(self, images: Tensor, streams: Streams) -> Tensor:
        return streams.place(lambda: streams.uniform(3), images).view(-1, 3, 1, 1)


class OnRandomNoise(Blend):
    """Blend with coarse coloured noise, drawn for each image and step: Lucid's `collapse_alpha_random`.

    The noise is that from which `fft_image` starts, with a larger deviation:
    sigmoid(C · irfft2(sd · N(0, 1) / f^decay) / 4) with f as in `FFT` and C as in
    `DecorrelatedColor` (lucid.optvis.param.random.image_sample, 2018).

    Args:
        sd: standard deviation of the real and imaginary parts of the spectrum; larger is more colourful.
        decay: power of the frequency; a larger one gives coarser and stronger noise, 0 gives white noise.

    Example:
        >>> OnRandomNoise()(torch.rand(2, 4, 8, 9), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 8, 9])
    """

    def __init__(self, sd: float = 0.5, decay: float = 1.0) -> None:
        super().__init__(sd, decay)
        if not (0 <= sd < math.inf and math.isfinite(decay)):
            raise ValueError(f"OnRandomNoise got sd={sd!r}, decay={decay!r}; expected finite numbers, sd 0 or more")
        self.sd, self.decay = sd, decay

    def background(self, images: Tensor, streams: Streams) -> Tensor:
        height, width = size = (images.shape[2], images.shape[3])
        noise = self.sd * streams.normal(3, height, width // 2 + 1, 2)
        spectrum = torch.view_as_complex(noise) * frequency_scale(size, self.decay)
        coarse = torch.fft.irfft2(spectrum, s=size, norm="ortho")
        colored: Tensor = _colors()(coarse)
        return colored.to(images)


@cache
def _colors() -> nn.Module:
    return nn.Sequential(DecorrelatedColor().double(), Sigmoid())
