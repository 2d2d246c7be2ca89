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
        return _add(images, normal_noise(streams.place(streams.keys, images), images).mul_(self.sd), streams)


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
        return _add(images, uniform_noise(streams.place(streams.keys, images), images).mul_(self.amplitude), streams)


def _add(images: Tensor, noise: Tensor, streams: Streams) -> Tensor:
    """Add the noise of the distinct seeds to the images; in its own memory, where each image has its own."""
    if images.is_meta:  # without numbers; torch would import its compiler to index them
        return images
    return noise.add_(images) if len(noise) == len(images) else images + streams.expand(noise)


def uniform_noise(keys: Tensor, images: Tensor) -> Tensor:
    """Compute noise that is uniform in [-1, 1) for images like the given ones, (B, C, H, W).

    Args:
        keys: as `Streams.keys` draws them, (D, 2).
        images: their shape, device and dtype.

    Returns:
        (D, C, H, W).
    """
    return _in_parts(keys, images, lambda part, places: _hash(part, places).to(images.dtype).mul_(2**-31))


def normal_noise(keys: Tensor, images: Tensor) -> Tensor:
    """Compute standard normal noise, as `uniform_noise`, by the method of Box & Muller 1958.

    No number is larger than 5.8.
    """

    def compute(part: Tensor, places: Tensor) -> Tensor:
        first, second = _hash(part, places).chunk(2, dim=1)
        share = _shift(first, 8).to(images.dtype).add_(1).mul_(2**-24)  # in (0, 1]
        radius = share.log_().mul_(-2).sqrt_()
        angle = second.to(images.dtype).mul_(math.pi * 2**-31)
        return torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)], 1)

    return _in_parts(keys, images, compute)


def _in_parts(keys: Tensor, images: Tensor, compute: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Compute a row of numbers for each key, in the shape of an image; on a CPU one after the other, in its caches."""
    if images.is_meta:  # without numbers
        return images.new_empty(len(keys), *images.shape[1:])
    keys, shape = keys.to(images.device), images.shape[1:]
    count = shape.numel()
    places = torch.arange(count + count % 2, dtype=torch.int32, device=keys.device)
    places ^= _shift(places, 16)
    parts = torch.split(keys, 1 if keys.device.type == "cpu" else len(keys))
    return torch.cat([compute(part, places)[:, :count] for part in parts]).view(-1, *shape)


def _hash(keys: Tensor, places: Tensor) -> Tensor:
    """Compute pseudorandom int32 numbers from each key, (D, count): integers are the same on every device.

    The mixer is lowbias32 (Wellons 2018, nullprogram.com/blog/2018/07/31) of the number's place, with one half of the
    key before it and one half in the middle. Its first step, `n ^= n >> 16`, is done to places and keys alone, because
    shifts and exclusive or can change places: the places are done once for all keys.

    Args:
        keys: (D, 2).
        places: 0, 1, 2, … after the first step, (count).
    """
    start = keys[:, :1]
    numbers = places ^ (start ^ _shift(start, 16))
    numbers *= 0x7FEB352D
    numbers ^= keys[:, 1:]
    numbers ^= _shift(numbers, 15)
    numbers *= 0x846CA68B - 2**32
    numbers ^= _shift(numbers, 16)
    return numbers


def _shift(numbers: Tensor, bits: int) -> Tensor:
    """Shift int32 numbers to the right, and fill with zeros."""
    return (numbers >> bits).bitwise_and_((1 << (32 - bits)) - 1)
