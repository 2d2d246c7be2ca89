"""Image parameterizations: a canvas followed by colour maps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from optvis.params.canvas import FFT, LUCID_SD, Canvas, Pixels, check_channels, require_shape
from optvis.params.color import ColorMap, DecorrelatedColor, Grayscale, Sigmoid
from optvis.params.streams import Streams


class ImageParam(nn.Module):
    """A canvas followed by colour maps: images (B, C, H, W) in [0, 1], C = 3 unless the canvas has others.

    Args:
        canvas: holds the free parameters.
        maps: applied in turn to the canvas's output. Each is invertible, so that `fill_` can start from any image.

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
        """Set the parameters so that the output is these images, (B, C, H, W) or (1, C, H, W) in [0, 1]; return self.

        Values within half an 8-bit level of 0 or 1 become that level: a sigmoid reaches neither 0 nor 1.

        Raises:
            ValueError: images of another shape.
            TypeError: the canvas cannot start from an image (CPPN).
        """
        first = next(self.canvas.parameters())
        images = require_shape(images, self().shape).to(first.device, first.dtype)
        for color_map in reversed(self.maps):
            images = color_map.inverse(images)  # type: ignore[operator]
        self.canvas.fill_(images)
        return self

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.canvas.size

    @property
    def couples_images(self) -> bool:
        """Whether images share parameters, so that a batch cannot be split."""
        return self.canvas.couples_images

    @property
    def optimizer(self) -> Callable[..., torch.optim.Optimizer] | None:
        """Builds an optimizer that fits the canvas; None for the default."""
        return self.canvas.optimizer

    def with_size(self, size: int | tuple[int, int]) -> ImageParam:
        """Return the same images at another size, as an independent ImageParam. Only a CPPN can.

        Raises:
            TypeError: the canvas has one size.
        """
        return self._with(self.canvas.with_size(size), copy.deepcopy(self.maps))

    def __len__(self) -> int:
        return len(self.canvas)

    def __getitem__(self, rows: slice) -> ImageParam:
        """Copy some of the images into another ImageParam; it shares the parameters of the maps with this one.

        Raises:
            ValueError: the images share parameters.
        """
        part = self.canvas[rows]
        return self._with(part, nn.ModuleList(color_map[rows] for color_map in self.maps))  # type: ignore[index]

    def _with(self, canvas: Canvas, maps: nn.ModuleList) -> Self:
        param = copy.copy(self)
        param._modules = {**self._modules, "canvas": canvas, "maps": maps}
        return param

    def __repr__(self) -> str:
        return f"ImageParam({', '.join(repr(part) for part in (self.canvas, *self.maps))})"


def fft_image(
    size: int | tuple[int, int] = 224, *, seeds: Sequence[int] = (0,), decay: float = 1.0, sd: float = LUCID_SD
) -> ImageParam:
    """Build images in the Fourier basis with decorrelated colour: the default of `render`.

    Args:
        size: side, or (height, width), in pixels.
        seeds: one per image (B of them).
        decay: power of the frequency that divides the spectrum; larger is smoother.
        sd: standard deviation of the first spectrum.

    Returns:
        A module whose output is (B, 3, H, W) in (0, 1). Source: see `FFT` and `DecorrelatedColor`.

    Example:
        >>> fft_image((33, 47), seeds=range(4))().shape
        torch.Size([4, 3, 33, 47])
    """
    return ImageParam(FFT(size, Streams(seeds, "canvas"), decay, sd=sd), DecorrelatedColor(), Sigmoid())


def pixel_image(size: int | tuple[int, int] = 224, *, seeds: Sequence[int] = (0,), sd: float = LUCID_SD) -> ImageParam:
    """Build images whose pixels are the free parameters, with decorrelated colour.

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
    return ImageParam(Pixels(size, Streams(seeds, "canvas"), sd=sd), DecorrelatedColor(), Sigmoid())


def grayscale_image(
    size: int | tuple[int, int] = 224, *, seeds: Sequence[int] = (0,), decay: float = 1.0, sd: float = LUCID_SD
) -> ImageParam:
    """Build grey images in the Fourier basis for networks that take RGB: the three channels are equal.

    Args:
        size, seeds, decay, sd: as in `fft_image`.

    Returns:
        A module whose output is (B, 3, H, W) in (0, 1).

    Example:
        >>> bool((grayscale_image(16)()[:, 0] == grayscale_image(16)()[:, 2]).all())
        True
    """
    return ImageParam(FFT(size, Streams(seeds, "canvas"), decay, channels=1, sd=sd), Sigmoid(), Grayscale())


def alpha_image(
    size: int | tuple[int, int] = 224, *, seeds: Sequence[int] = (0,), decay: float = 1.0, sd: float = LUCID_SD
) -> ImageParam:
    """Build images with an alpha channel: decorrelated colour and alpha, both in the Fourier basis.

    A transform has to blend them with a background before the network, e.g. `OnRandomNoise`. With a random background
    the image stays transparent where the objective needs nothing (Mordvintsev et al., "Differentiable Image
    Parameterizations", Distill 2018, doi:10.23915/distill.00012).

    Args:
        size, seeds, decay, sd: as in `fft_image`.

    Returns:
        A module whose output is (B, 4, H, W) in (0, 1): red, green, blue, and alpha, where 1 is opaque.

    Example:
        >>> alpha_image((33, 47))().shape
        torch.Size([1, 4, 33, 47])
    """
    return ImageParam(FFT(size, Streams(seeds, "canvas"), decay, channels=4, sd=sd), DecorrelatedColor(), Sigmoid())


def channels_image(
    size: int | tuple[int, int], channels: int, *, seeds: Sequence[int] = (0,), decay: float = 1.0, sd: float = LUCID_SD
) -> ImageParam:
    """Build images of any number of channels in the Fourier basis, for networks that take as many.

    Args:
        size, seeds, decay, sd: as in `fft_image`.
        channels: number of channels C.

    Returns:
        A module whose output is (B, C, H, W) in (0, 1).

    Raises:
        ValueError: channels under 1.

    Example:
        >>> channels_image(28, 1)().shape, channels_image(64, 12, seeds=(0, 1))().shape
        (torch.Size([1, 1, 28, 28]), torch.Size([2, 12, 64, 64]))
    """
    check_channels(channels)
    return ImageParam(FFT(size, Streams(seeds, "canvas"), decay, channels, sd), Sigmoid())
