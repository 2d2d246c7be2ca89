"""Compositional pattern-producing networks: a picture as a function of position, at any resolution."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from optvis.params.canvas import Canvas, height_and_width
from optvis.params.color import Sigmoid
from optvis.params.image import ImageParam
from optvis.params.streams import Streams

EDGE = 3**0.5  # coordinates from −√3 to √3 have a deviation of 1
ARC, SQUARED_ARC = 0.67, 0.6  # root mean squares of atan and atan² of standard normal numbers
LAYERS, WIDTH = 8, 24


class CPPN(Canvas):
    """A small network of its own for each image that paints each pixel from where it lies.

    Coordinates (x, y), each from −√3 to √3, go through 8 layers of 24 channels, each followed by
    x ↦ [atan x / 0.67, atan² x / 0.6], and a last one to C channels: 8,451 parameters an image for RGB. Weights are
    N(0, 1 / inputs) at first, biases and the whole last layer 0, so that the first picture is even. Constants:
    Mordvintsev et al., "Differentiable Image Parameterizations", Distill 2018, doi:10.23915/distill.00012.

    A picture has lines and surfaces without grain. Its weights need a smaller rate than pixels do, so it brings an
    optimizer of its own, Adam with a rate of 0.005. It cannot start from a picture.

    Args:
        size: side, or (height, width), in pixels; `with_size(size)` draws the same at any other.
        streams: one per image; their noise is the first weights.
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
        dtype, images = torch.get_default_dtype(), len(streams)
        inputs = [2] + [2 * WIDTH] * (LAYERS - 1)
        weights = [streams.normal(WIDTH, width) / width**0.5 for width in inputs]
        weights.append(torch.zeros(images, channels, 2 * WIDTH))
        self.weights = nn.ParameterList(nn.Parameter(layer.to(dtype)) for layer in weights)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(images, len(layer[0]), 1)) for layer in weights)

    @property
    def size(self) -> tuple[int, int]:
        return self._size

    def forward(self) -> Tensor:
        *hidden, (weight, bias) = zip(self.weights, self.biases, strict=True)
        a = coordinates(self._size).to(weight).expand(len(weight), -1, -1)
        for own, shift in hidden:
            a = composite(torch.baddbmm(shift, own, a))
        return torch.baddbmm(bias, weight, a).view(len(weight), -1, *self._size)

    def fill_(self, images: Tensor) -> Self:
        """Refused: no weights are known that paint a given picture.

        Raises:
            TypeError: always.
        """
        raise TypeError("a CPPN cannot start from a picture; fft_image, pixel_image and pyramid_image can")

    def with_size(self, size: int | tuple[int, int]) -> Self:
        """The same pictures drawn at another size, as a canvas of its own."""
        other = copy.deepcopy(self)
        other._size = height_and_width(size)
        return other

    def __repr__(self) -> str:
        return self.format_repr(self.streams, channels=self.weights[-1].shape[1])


def coordinates(size: tuple[int, int]) -> Tensor:
    """x and y of each pixel, from −√3 at the first to √3 at the last, (2, H · W), float64."""
    down, across = (torch.linspace(-EDGE, EDGE, side, dtype=torch.float64) for side in size)
    y, x = torch.meshgrid(down, across, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()])


def composite(a: Tensor) -> Tensor:
    """[atan a / 0.67, atan² a / 0.6], so that no unit saturates.  a (B, C, P) -> (B, 2 C, P)"""
    arc = a.atan()
    return torch.cat([arc / ARC, arc.square() / SQUARED_ARC], dim=1)


def cppn_image(size: int | tuple[int, int] = 224, *, seeds: Sequence[int] = (0,)) -> ImageParam:
    """Images painted by a small network each, which can be drawn at any resolution afterwards.

    Render them with a small rate, `optimizer=partial(torch.optim.Adam, lr=0.005)`.

    Args:
        size: side, or (height, width), in pixels while it is trained.
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
