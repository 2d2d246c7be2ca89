"""Every parameterization of `optvis.params`, with its oracle and properties. Each listed one is tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optvis.params import (
    FFT,
    DecorrelatedColor,
    FixedRegion,
    ImageParam,
    Phase,
    Pixels,
    Sigmoid,
    Streams,
    alpha_image,
    channels_image,
    color_matrix,
    cppn_image,
    fft_image,
    fix_images,
    fix_region,
    grayscale_image,
    mean_spectrum,
    phase_image,
    pixel_image,
    pyramid_image,
    shared_image,
)

from . import oracles, param_oracles

Array = oracles.Array
Size = tuple[int, int]
OWN = ((0.5, 0.1, 0.0), (0.4, -0.2, 0.1), (0.3, 0.0, -0.3))
PHOTOS = torch.rand(4, 3, 12, 10, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@dataclass(frozen=True)
class Member:
    """One parameterization.

    Args:
        make: (size, seeds) -> the parameterization.
        oracle: (parameters of one image, size) -> that image, (C, H, W); None if a test of its own covers it.
        channels: number of channels of its images.
        fills: whether it can start from an image.
        couples_images: whether images share parameters.
        has_code_repr: whether its repr is code.
        same_at_first: whether its first images are the same whatever the seed.
        fillable: images, (B, C, H, W) -> the nearest images that it can represent.
    """

    make: Callable[[Size, Sequence[int]], ImageParam]
    oracle: Callable[[Sequence[Array], Size], Array] | None
    channels: int = 3
    fills: bool = True
    couples_images: bool = False
    has_code_repr: bool = True
    same_at_first: bool = False
    fillable: Callable[[Tensor], Tensor] = lambda images: images


def rgb(canvas: Array, matrix: Array | None = None) -> Array:
    colours = oracles.apply_color_matrix(canvas[:3], param_oracles.imagenet_color() if matrix is None else matrix)
    return oracles.sigmoid(np.concatenate([colours, canvas[3:]]))


def normalized(matrix: Sequence[Sequence[float]]) -> Array:
    return np.array(matrix) / max(np.linalg.norm(np.array(matrix), axis=0))


def render_fft(values: Sequence[Array], size: Size, decay: float = 1.0) -> Array:
    return oracles.fft_image(values[0], size, decay)


def fft(size: Size, seeds: Sequence[int]) -> FFT:
    return FFT(size, Streams(seeds, "canvas"))


def render_shared(values: Sequence[Array], size: Size) -> Array:
    return render_fft(values, size) + param_oracles.sum_of_upsampled(values[1:], size)


def measured_phase(size: Size, seeds: Sequence[int]) -> ImageParam:
    return phase_image(size, seeds=seeds, spectrum=mean_spectrum(torch.rand(2, 3, *size, generator=_generator())))


def render_measured_phase(values: Sequence[Array], size: Size) -> Array:
    spectrum = param_oracles.mean_spectrum(torch.rand(2, 3, *size, generator=_generator()).double().numpy())
    return rgb(param_oracles.phase_image(values[0], spectrum, size))


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(11)


def upper_half(size: Size) -> Tensor:
    """A mask of 1 in the upper half, 0.5 in the row below and 0 elsewhere."""
    mask = torch.zeros(size)
    mask[: size[0] // 2] = 1
    mask[size[0] // 2] = 0.5
    return mask


def half_free(size: Size, seeds: Sequence[int]) -> ImageParam:
    return fix_region(fft_image(size, seeds=seeds), torch.full((1, 3, 1, 1), 0.25), upper_half(size))


def render_half_free(values: Sequence[Array], size: Size) -> Array:
    free = upper_half(size).double().numpy()
    return free * rgb(render_fft(values, size)) + (1 - free) * 0.25


def mix_with_fixed_half(images: Tensor) -> Tensor:
    size = (images.shape[2], images.shape[3])
    return torch.lerp(torch.full_like(images, 0.25), images, upper_half(size).to(images).expand_as(images))


def even_seeds_fixed(size: Size, seeds: Sequence[int]) -> ImageParam:
    images = {index: torch.full((3, *size), 0.25) for index, seed in enumerate(seeds) if seed % 2 == 0}
    return fix_images(fft_image(size, seeds=seeds), images)


MEMBERS = {
    "fft_image": Member(
        lambda size, seeds: fft_image(size, seeds=seeds), lambda values, size: rgb(render_fft(values, size))
    ),
    "fft_image decay=1.7": Member(
        lambda size, seeds: fft_image(size, seeds=seeds, decay=1.7),
        lambda values, size: rgb(render_fft(values, size, 1.7)),
    ),
    "pixel_image": Member(lambda size, seeds: pixel_image(size, seeds=seeds), lambda values, size: rgb(values[0])),
    "pyramid_image": Member(
        lambda size, seeds: pyramid_image(size, seeds=seeds),
        lambda values, size: rgb(param_oracles.sum_of_upsampled(values, size)),
    ),
    "pyramid_image levels=2": Member(
        lambda size, seeds: pyramid_image(size, seeds=seeds, levels=2),
        lambda values, size: rgb(param_oracles.sum_of_upsampled(values, size)),
    ),
    "shared_image": Member(
        lambda size, seeds: shared_image(size, seeds=seeds),
        lambda values, size: rgb(render_shared(values, size)),
        couples_images=True,
    ),
    "cppn_image": Member(
        lambda size, seeds: cppn_image(size, seeds=seeds),
        lambda values, size: oracles.sigmoid(param_oracles.cppn(values, size)),
        fills=False,
        same_at_first=True,
    ),
    "grayscale_image": Member(
        lambda size, seeds: grayscale_image(size, seeds=seeds),
        lambda values, size: oracles.sigmoid(np.repeat(render_fft(values, size), 3, axis=0)),
        fillable=lambda images: images[:, :1].expand(-1, 3, -1, -1),
    ),
    "alpha_image": Member(
        lambda size, seeds: alpha_image(size, seeds=seeds),
        lambda values, size: rgb(render_fft(values, size)),
        channels=4,
    ),
    "channels_image 1": Member(
        lambda size, seeds: channels_image(size, 1, seeds=seeds),
        lambda values, size: oracles.sigmoid(render_fft(values, size)),
        channels=1,
    ),
    "channels_image 5": Member(
        lambda size, seeds: channels_image(size, 5, seeds=seeds),
        lambda values, size: oracles.sigmoid(render_fft(values, size)),
        channels=5,
    ),
    "phase_image": Member(
        lambda size, seeds: phase_image(size, seeds=seeds),
        lambda values, size: rgb(param_oracles.phase_image(values[0], param_oracles.law(size, 1.0), size)),
    ),
    "phase_image measured": Member(measured_phase, render_measured_phase, has_code_repr=False),
    "phase, two channels": Member(
        lambda size, seeds: ImageParam(Phase(size, Streams(seeds, "canvas"), decay=1.5, channels=2), Sigmoid()),
        lambda values, size: oracles.sigmoid(param_oracles.phase_image(values[0], param_oracles.law(size, 1.5), size)),
        channels=2,
    ),
    "own colours": Member(
        lambda size, seeds: ImageParam(Pixels(size, Streams(seeds, "canvas")), DecorrelatedColor(OWN), Sigmoid()),
        lambda values, size: rgb(values[0], normalized(OWN)),
    ),
    "measured colours": Member(
        lambda size, seeds: ImageParam(fft(size, seeds), DecorrelatedColor(color_matrix(PHOTOS)), Sigmoid()),
        lambda values, size: rgb(render_fft(values, size), normalized(color_matrix(PHOTOS))),
    ),
    "a fixed region": Member(half_free, render_half_free, fillable=mix_with_fixed_half),
    "fixed images": Member(
        even_seeds_fixed, None, has_code_repr=False, fillable=lambda images: torch.full_like(images, 0.25)
    ),
    "a fixed colour channel": Member(
        lambda size, seeds: ImageParam(
            fft(size, seeds),
            DecorrelatedColor(),
            Sigmoid(),
            FixedRegion(torch.full((1, 1, 1, 1), 0.5), torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1)),
        ),
        lambda values, size: np.stack(
            [plane if c != 1 else np.full(size, 0.5) for c, plane in enumerate(rgb(render_fft(values, size)))]
        ),
        fillable=lambda images: torch.cat([images[:, :1], torch.full_like(images[:, :1], 0.5), images[:, 2:]], dim=1),
    ),
}
