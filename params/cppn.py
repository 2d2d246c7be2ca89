"""Compositional pattern-producing networks (CPPN): an image as a function of position, at any resolution."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from optvis.params.canvas import Canvas, check_channels, height_and_width
from optvis.params.color import Sigmoid
from optvis.params.dtype import parameter_dtype
from optvis.params.image import ImageParam
from optvis.params.streams import Streams

MAX_COORDINATE = 3**0.5  # uniform coordinates from −√3 to √3 have a standard deviation of 1
ATAN_RMS, SQUARED_ATAN_RMS = 0.67, 0.6  # root mean squares of atan x and atan² x for x ~ N(0, 1)
LAYERS, WIDTH = 8, 24


class CPPN(Canvas):
    """A canvas with a small network per image, which computes the colour of a pixel from its coordinates.

    Coordinates (x, y), each from −√3 to √3, go through 8 layers of 24 channels, each followed by
    x ↦ [atan x / 0.67, atan² x / 0.6], and a last one to C channels: 8,451 parameters per image for RGB. Weights are
    N(0, 1 / inputs) at first, biases and the whole last layer 0, so that the first image is uniform. Constants:
    Mordvintsev et al., "Differentiable Image Parameterizations", Distill 2018, doi:10.23915/distill.00012.

    The images have smooth lines and surfaces. The weights need a smaller learning rate than pixels do, so the canvas
    has its own default optimizer, Adam with a rate of 0.005. It cannot start from an image.

    Args:
        size: side, or (height, width), in pixels; `with_size(size)` renders the same images at any other.
        streams: one per image, for the first weights.
        channels: number of channels C.

    Example:
        >>> canvas = CPPN(16, Streams((0, 1), "canvas"))
        >>> canvas().shape, canvas.with_size((90, 120))().shape, sum(p[0].numel() for p in canvas.parameters())
        (torch.Size([2, 3, 16, 16]), torch.Size([2, 3, 90, 120]), 8451)
    """

    optimizer = staticmethod(partial(torch.optim.Adam, lr=0.005))

    def __init__(self, size: int | tuple[int, int], streams: Streams, channels: int = 3) -> None:
        super().__init__()
        self._size = height_and_width(size)
        self.streams = streams
        dtype, images = parameter_dtype(), len(streams)
        inputs = [2] + [2 * WIDTH] * (LAYERS - 1)
        weights = [streams.normal(WIDTH, width) / width**0.5 for width in inputs]
        check_channels(channels)
        weights.append(torch.zeros(images, channels, 2 * WIDTH, dtype=dtype, device="cpu"))
        self.weights = nn.ParameterList(nn.Parameter(layer.to(dtype)) for layer in weights)
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(images, len(layer[0]), 1, dtype=dtype, device="cpu")) for layer in weights
        )

    def forward(self) -> Tensor:
        *hidden, (weight, bias) = zip(self.weights, self.biases, strict=True)
        a = coordinates(self._size).to(weight).expand(len(weight), -1, -1)
        for own, shift in hidden:
            a = composite(torch.baddbmm(shift, own, a))
        return torch.baddbmm(bias, weight, a).view(len(weight), -1, *self._size)

    def fill_(self, images: Tensor) -> Self:
        """Raise a TypeError: there is no formula for weights that give a certain image.

        Raises:
            TypeError: always.
        """
        raise TypeError("a CPPN cannot start from an image; fft_image, pixel_image and pyramid_image can")

    def with_size(self, size: int | tuple[int, int]) -> Self:
        """Return the same images at another size, as an independent canvas."""
        canvas = copy.deepcopy(self)
        canvas._size = height_and_width(size)
        return canvas

    def __repr__(self) -> str:
        return self.format_repr(self.streams, channels=self.weights[-1].shape[1])


def coordinates(size: tuple[int, int]) -> Tensor:
    """Compute x and y of each pixel, from −√3 for the first to √3 for the last, (2, H · W), float64."""
    down, across = (
        torch.linspace(-MAX_COORDINATE, MAX_COORDINATE, side, dtype=torch.float64, device="cpu") for side in size
    )
    y, x = torch.meshgrid(down, across, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()])


def composite(a: Tensor) -> Tensor:
    """Compute [atan a / 0.67, atan² a / 0.6], which does not saturate.  a (B, C, P) -> (B, 2 C, P)"""
    angle = a.atan()
    return torch.cat([angle / ATAN_RMS, angle.square() / SQUARED_ATAN_RMS], dim=1)


def cppn_image(size: int | tuple[int, int] = 224, *, seeds: Sequence[int] = (0,)) -> ImageParam:
    """Build images that are functions of position, each from a small network; they have any resolution afterwards.

    The default optimizer has a small learning rate, `partial(torch.optim.Adam, lr=0.005)`.

    Args:
        size: side, or (height, width), in pixels during the optimisation.
        seeds: one per image (B of them).

    Returns:
        A module whose output is (B, 3, H, W) in (0, 1); `with_size(size)` returns the same images at another size.
        Source: see `CPPN`.

    Example:
        >>> image = cppn_image(32)
        >>> image().shape, image.with_size(500)().shape
        (torch.Size([1, 3, 32, 32]), torch.Size([1, 3, 500, 500]))
    """
    return ImageParam(CPPN(size, Streams(seeds, "canvas")), Sigmoid())
