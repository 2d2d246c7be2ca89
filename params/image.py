"""Images made of a canvas and the maps that lead from it to RGB."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from optvis.params.canvas import FFT, LUCID_SD, Canvas, Pixels, fitting
from optvis.params.color import ColorMap, Decorrelated, Sigmoid
from optvis.params.streams import Streams


class ImageParam(nn.Module):
    """A canvas followed by colour maps: images (B, 3, H, W) in [0, 1].

    Args:
        canvas: holds the free parameters.
        maps: applied in turn to the canvas's output; each can be undone, so the whole can start from any image.

    Example:
        >>> image = ImageParam(Pixels((2, 3), Streams((0,), "canvas")), Sigmoid())
        >>> bool(image.fill_(torch.full((1, 3, 2, 3), 0.25))().allclose(torch.tensor(0.25)))
        True
    """

    def __init__(self, canvas: Canvas, *maps: ColorMap) -> None:
        super().__init__()
        self.canvas = canvas
        self.maps = nn.ModuleList(maps)

    def forward(self) -> Tensor:
        images: Tensor = self.canvas()
        for color_map in self.maps:
            images = color_map(images)
        return images

    @torch.no_grad()
    def fill_(self, images: Tensor) -> Self:
        """Start from images (B, 3, H, W) or (1, 3, H, W) in [0, 1]; returns self.

        Values within half an 8-bit level of 0 or 1 are moved to that distance: a sigmoid reaches neither.
        """
        first = next(self.canvas.parameters())
        images = fitting(images, self().shape).to(first.device, first.dtype)
        for color_map in reversed(self.maps):
            images = color_map.inverse(images)  # type: ignore[operator]
        self.canvas.fill_(images)
        return self

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.canvas.size

    def __len__(self) -> int:
        return len(self.canvas)

    def __getitem__(self, rows: slice) -> ImageParam:
        """Some of the images, as an ImageParam of their own; parameters of the maps stay shared."""
        shared = {id(values): values for values in self.maps.parameters()}
        part = copy.copy(self)
        part._modules = {**self._modules, "canvas": self.canvas[rows], "maps": copy.deepcopy(self.maps, shared)}
        return part

    def __repr__(self) -> str:
        return f"ImageParam({', '.join(repr(part) for part in (self.canvas, *self.maps))})"


def fft_image(
    size: int | tuple[int, int] = 224, *, seeds: Sequence[int] = (0,), decay: float = 1.0, sd: float = LUCID_SD
) -> ImageParam:
    """Images in the Fourier basis with decorrelated colour: what `render` uses by default.

    Args:
        size: side, or (height, width), in pixels.
        seeds: one per image (B of them).
        decay: power of the frequency that scales the spectrum down; larger is smoother.
        sd: standard deviation of the first spectrum.

    Returns:
        A module whose output is (B, 3, H, W) in (0, 1). Source: see `FFT` and `Decorrelated`.

    Example:
        >>> fft_image((33, 47), seeds=range(4))().shape
        torch.Size([4, 3, 33, 47])
    """
    return ImageParam(FFT(size, Streams(seeds, "canvas"), decay, sd=sd), Decorrelated(), Sigmoid())


def pixel_image(size: int | tuple[int, int] = 224, *, seeds: Sequence[int] = (0,), sd: float = LUCID_SD) -> ImageParam:
    """Images whose pixels are the free parameters, with decorrelated colour.

    Args:
        size: side, or (height, width), in pixels.
        seeds: one per image (B of them).
        sd: standard deviation of the first noise.

    Returns:
        A module whose output is (B, 3, H, W) in (0, 1).

    Example:
        >>> pixel_image(16)().shape
        torch.Size([1, 3, 16, 16])
    """
    return ImageParam(Pixels(size, Streams(seeds, "canvas"), sd=sd), Decorrelated(), Sigmoid())
