"""Images whose spectrum has a fixed magnitude: only the phase is free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from optvis.params.canvas import Canvas, height_and_width, require_shape
from optvis.params.color import DecorrelatedColor, Sigmoid
from optvis.params.dtype import parameter_dtype
from optvis.params.image import ImageParam
from optvis.params.repr import format_tensor
from optvis.params.spectrum import one_over_f, resample
from optvis.params.streams import Streams

EPS = 1e-10  # added to variances: no division by zero, and a finite gradient, if all numbers are equal
UNIFORM_DEVIATION = math.pi / 3**0.5  # standard deviation of a number that is uniform in (−π, π)


class Phase(Canvas):
    """A canvas whose spectrum has a fixed magnitude `|r|`, as of natural images: `irfft2(|r| e^{iφ})`.

    MAgnitude Constrained Optimization (Fel et al. 2023, arXiv:2306.06805). As in its code, φ and the image are
    standardised over each whole image: φ = μ + σ (p − ⟨p⟩) / √(var p + 1e-10) for the free parameter p, and likewise
    the image, to mean 0 and standard deviation 1. So the effective step shrinks as p grows, and a learning rate of 1
    fits. Unlike there, the first phases are uniform in (−π, π) and keep that deviation, σ = π/√3: with a deviation of
    1 the phases agree in the corner of the image, and leave a spot there. `fill_` sets magnitude, means and deviations
    to those of an image; only its phase is then free.

    Args:
        size: side, or (height, width), in pixels.
        streams: one per image, for the first phase.
        spectrum: magnitudes as `mean_spectrum` returns them, (C, h, w // 2 + 1), of any size; by default 1 / f^decay.
        decay: power of the frequency in that law.
        channels: number of channels C.

    Raises:
        ValueError: a spectrum of another shape, or with negative numbers in it.

    Example:
        >>> canvas = Phase((33, 47), Streams((0, 1), "canvas"))
        >>> canvas().shape, canvas().flatten(1).std(1).detach()
        (torch.Size([2, 3, 33, 47]), tensor([1.0001, 1.0001]))
    """

    BUFFERS_PER_IMAGE = ("magnitude", "phase_mean", "phase_deviation", "image_mean", "image_deviation")

    magnitude: Tensor
    phase_mean: Tensor
    phase_deviation: Tensor
    image_mean: Tensor
    image_deviation: Tensor

    def __init__(
        self,
        size: int | tuple[int, int],
        streams: Streams,
        spectrum: Tensor | None = None,
        decay: float = 1.0,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self._size = height_and_width(size)
        self.streams, self.spectrum, self.decay = streams, spectrum, decay
        magnitude = one_over_f(self._size, decay).unsqueeze(0) if spectrum is None else spectrum
        is_real = magnitude.is_floating_point() and bool(magnitude.isfinite().all() and (magnitude >= 0).all())
        if magnitude.dim() != 3 or len(magnitude) not in (1, channels) or not is_real or not magnitude.any():
            raise ValueError(
                f"spectrum is {tuple(magnitude.shape)}; expected magnitudes ({channels}, H, W // 2 + 1), finite, 0 or "
                "more and not all 0, as mean_spectrum(images) returns them"
            )
        dtype, images = parameter_dtype(), len(streams)
        shape = (channels, self._size[0], self._size[1] // 2 + 1)
        uniform = math.pi * (streams.normal(*shape) / 2**0.5).erf()
        self.phase = nn.Parameter(uniform.to(dtype))
        self.register_buffer("magnitude", resample(magnitude, self._size).to(dtype).expand(images, *shape).clone())
        for name, value in zip(self.BUFFERS_PER_IMAGE[1:], (0.0, UNIFORM_DEVIATION, 0.0, 1.0), strict=True):
            self.register_buffer(name, torch.full((images, 1, 1, 1), value, dtype=dtype, device="cpu"))

    def forward(self) -> Tensor:
        angle = torch.addcmul(self.phase_mean, self.phase_deviation, standardize(self.phase))
        waves = _Polar.apply(self.magnitude, angle)
        images = torch.fft.irfft2(waves, s=self._size, norm="ortho")
        return torch.addcmul(self.image_mean, self.image_deviation, standardize(images))

    @torch.no_grad()
    def fill_(self, images: Tensor) -> Self:
        images = require_shape(images, (*self.phase.shape[:2], *self._size)).to(self.phase)
        waves = torch.fft.rfft2(images, norm="ortho")
        self.magnitude.copy_(waves.abs())
        self.phase.copy_(waves.angle())
        values = mean(self.phase), deviation(self.phase), mean(images), deviation(images)
        for name, value in zip(self.BUFFERS_PER_IMAGE[1:], values, strict=True):
            self.get_buffer(name).copy_(value)
        return self

    def __repr__(self) -> str:
        channels, decay = self.phase.shape[1], self.decay if self.spectrum is None else None
        start = self.format_repr(self.streams, decay=decay, channels=channels)
        return start if self.spectrum is None else f"{start[:-1]}, spectrum={format_tensor(self.spectrum)})"


def mean(a: Tensor) -> Tensor:
    """Average each image.  a (B, C, H, W) -> (B, 1, 1, 1)"""
    return a.mean(dim=(1, 2, 3), keepdim=True)


def deviation(a: Tensor) -> Tensor:
    """Compute √(variance + 1e-10) of each image.  a (B, C, H, W) -> (B, 1, 1, 1)"""
    return _spread(a - mean(a))


def _spread(centred: Tensor) -> Tensor:
    return (mean(centred.square()) + EPS).sqrt()


def standardize(a: Tensor) -> Tensor:
    """Shift and scale each image to mean 0 and standard deviation 1.  a (B, C, H, W) -> (B, C, H, W)"""
    values: Tensor = _Standardize.apply(a)
    return values


class _Polar(torch.autograd.Function):
    """w = |r| e^{iφ} with a fixed magnitude: `torch.polar` and its gradient of φ take several times as long."""

    @staticmethod
    def forward(ctx: Any, magnitude: Tensor, angle: Tensor) -> Tensor:
        parts = angle.new_empty(*angle.shape, 2)
        torch.mul(magnitude, angle.cos(), out=parts[..., 0])
        torch.mul(magnitude, angle.sin(), out=parts[..., 1])
        waves = torch.view_as_complex(parts)
        ctx.save_for_backward(waves)
        return waves

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        """Return the imaginary part of w̄ g."""
        (waves,) = ctx.saved_tensors
        return None, (waves.real * gradient.imag).addcmul_(waves.imag, gradient.real, value=-1)


class _Standardize(torch.autograd.Function):
    """y = (a − ⟨a⟩) / d with d = √(var a + ε): autograd's own gradient takes twice as many passes over the image."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        values = a - mean(a)
        spread = _spread(values)
        values.div_(spread)
        ctx.save_for_backward(values, spread)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return (g − ⟨g⟩ − y ⟨g y⟩) / d."""
        values, spread = ctx.saved_tensors
        shift = gradient - mean(gradient)
        return shift.addcmul_(values, -mean(gradient * values)).div_(spread)


def phase_image(
    size: int | tuple[int, int] = 224,
    *,
    seeds: Sequence[int] = (0,),
    spectrum: Tensor | None = None,
    decay: float = 1.0,
    channels: int = 3,
) -> ImageParam:
    """Build images of which only the phase is free, with decorrelated colour: the default of `maco`.

    Args:
        size: side, or (height, width), in pixels.
        seeds: one per image (B of them).
        spectrum: magnitudes as `mean_spectrum` returns them, (3, h, w // 2 + 1); by default 1 / f^decay.
        decay: power of the frequency in that law.
        channels: number of channels C; only three have decorrelated colour.

    Returns:
        A module whose output is (B, C, H, W) in (0, 1). Source: see `Phase`.

    Raises:
        ValueError: a spectrum of another shape, or with negative numbers in it.

    Example:
        >>> from optvis.params import mean_spectrum
        >>> phase_image((33, 47), spectrum=mean_spectrum(torch.rand(5, 3, 32, 32)))().shape
        torch.Size([1, 3, 33, 47])
    """
    canvas = Phase(size, Streams(seeds, "canvas"), spectrum, decay, channels)
    return ImageParam(canvas, *([DecorrelatedColor()] if channels == 3 else []), Sigmoid())
