"""Noise that is added to every pixel."""

from __future__ import annotations

import math
from collections.abc import Callable

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
        return images + streams.expand(self.sd * normal_noise(streams.keys(), images))


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
        return images + streams.expand(self.amplitude * uniform_noise(streams.keys(), images))


def uniform_noise(keys: Tensor, images: Tensor) -> Tensor:
    """Compute noise that is uniform in [-1, 1) for images like the given ones, (B, C, H, W).

    Args:
        keys: as `Streams.keys` draws them, (D, 2).
        images: their shape, device and dtype.

    Returns:
        (D, C, H, W).
    """
    return _in_parts(keys, images, lambda part, count: _hash(part, count).to(images.dtype).mul_(2**-31))


def normal_noise(keys: Tensor, images: Tensor) -> Tensor:
    """Compute standard normal noise, as `uniform_noise`, by the method of Box & Muller 1958.

    No number is larger than 5.8.
    """

    def compute(part: Tensor, count: int) -> Tensor:
        first, second = _hash(part, count + count % 2).chunk(2, dim=1)
        share = _shift(first, 8).to(images.dtype).add_(1).mul_(2**-24)  # in (0, 1]
        radius = share.log_().mul_(-2).sqrt_()
        angle = second.to(images.dtype).mul_(math.pi * 2**-31)
        return torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)], 1)[:, :count]

    return _in_parts(keys, images, compute)


def _in_parts(keys: Tensor, images: Tensor, compute: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Compute a row of numbers for each key, in the shape of an image; on a CPU one after the other, in its caches."""
    shape, parts = (
        images.shape[1:],
        torch.split(keys.to(images.device), 1 if images.device.type == "cpu" else len(keys)),
    )
    return torch.cat([compute(part, shape.numel()) for part in parts]).view(-1, *shape)


def _hash(keys: Tensor, count: int) -> Tensor:
    """Compute pseudorandom int32 numbers from each key, (D, count): integers are the same on every device.

    The mixer is lowbias32 (Wellons 2018, nullprogram.com/blog/2018/07/31) of the number's place, with one half of the
    key before it and one half in the middle.
    """
    numbers = torch.arange(count, dtype=torch.int32, device=keys.device) ^ keys[:, :1]
    numbers ^= _shift(numbers, 16)
    numbers *= 0x7FEB352D
    numbers ^= keys[:, 1:]
    numbers ^= _shift(numbers, 15)
    numbers *= 0x846CA68B - 2**32
    numbers ^= _shift(numbers, 16)
    return numbers


def _shift(numbers: Tensor, bits: int) -> Tensor:
    """Shift int32 numbers to the right, and fill with zeros."""
    return (numbers >> bits).bitwise_and_((1 << (32 - bits)) - 1)
