"""Every transform of `optvis.transforms`, with a second implementation. Each listed one is tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from optvis.params import Streams
from optvis.transforms import (
    ATLAS,
    COARSE_TO_FINE,
    STANDARD,
    Blur,
    Compose,
    Crop,
    CropOrPad,
    Flip,
    GaussianNoise,
    Jitter,
    Margin,
    NormalizeGradient,
    NormalizeGradientRMS,
    OnColor,
    OnRandomColor,
    OnRandomNoise,
    Pad,
    RandomResizedCrop,
    Resize,
    Rotate,
    Scale,
    Stages,
    UniformNoise,
    Zoom,
    maco_crops,
    natural_crops,
)

from . import transform_oracles as oracles
from .transform_oracles import Oracle, affine

SEEDS = (5, 6, 7, 5)


def streams(*seeds: int) -> Streams:
    return Streams(seeds, "transform")


def random_images(
    height: int = 13,
    width: int = 18,
    images: int = len(SEEDS),
    dtype: torch.dtype = torch.float64,
    channels: int = 3,
) -> Tensor:
    generator = torch.Generator().manual_seed(height)
    return torch.rand(images, channels, height, width, generator=generator, dtype=torch.float64).to(dtype)


@dataclass(frozen=True)
class Member:
    """One transform.

    Args:
        make: builds it.
        oracle: (image (C, H, W), its own streams) -> the transformed image, (C', H', W').
        channels: number of channels of the images that it takes.
        min_side: the smallest side of an image that it takes.
        draws: whether it draws random numbers.
        passes: whether its gradient is that of its output.
    """

    make: Callable[[], nn.Module]
    oracle: Oracle
    channels: int = 3
    min_side: int = 1
    draws: bool = True
    passes: bool = True


LUCID_SCALES = [0.9, 0.92, 0.94, 0.96, 0.98, 1, 1.02, 1.04, 1.06, 1.08, 1.1]
LUCID_ANGLES = [*range(-10, 11), 0, 0, 0, 0, 0]
STANDARD_PARTS = (oracles.jitter(8), oracles.scale(LUCID_SCALES), oracles.rotate(LUCID_ANGLES), oracles.jitter(4))
ATLAS_PARTS = (
    *(oracles.jitter(pixels) for pixels in (4, 4, 8, 8, 8)),
    oracles.scale([0.998**n for n in range(20, 40)]),
    oracles.rotate([*range(-20, 20), *range(-10, 10), *range(-5, 5), 0, 0, 0, 0, 0]),
    oracles.jitter(2),
)
GREY = oracles.level(0.5)

MEMBERS = {
    "Jitter": Member(lambda: Jitter(5), affine(oracles.edge, oracles.jitter(5))),
    "Scale": Member(lambda: Scale([0.8, 1, 1.3]), affine(oracles.edge, oracles.scale([0.8, 1, 1.3]))),
    "Rotate": Member(lambda: Rotate([-20, 0, 3, 11]), affine(oracles.edge, oracles.rotate([-20, 0, 3, 11]))),
    "Flip": Member(lambda: Flip(), affine(oracles.edge, oracles.flip(0.5))),
    "Flip 0.85": Member(lambda: Flip(0.85), affine(oracles.edge, oracles.flip(0.85))),
    "Resize": Member(lambda: Resize((12, 9)), affine(oracles.edge, oracles.resize((12, 9))), draws=False),
    "Resize to a share": Member(lambda: Resize(0.7), affine(oracles.edge, oracles.resize(0.7)), draws=False),
    "Resize to a share at least": Member(
        lambda: Resize(0.5, at_least=(8, 20)), affine(oracles.edge, oracles.resize(0.5, (8, 20))), draws=False
    ),
    "Margin": Member(lambda: Margin(3), affine(oracles.edge, oracles.margin(3)), draws=False),
    "Pad and Margin": Member(lambda: Compose(Pad(0.5), Margin(3)), affine(GREY, oracles.margin(3)), draws=False),
    "CropOrPad": Member(lambda: CropOrPad((10, 23)), affine(oracles.edge, oracles.crop_or_pad((10, 23))), draws=False),
    "Crop": Member(lambda: Crop((4, 5)), affine(oracles.edge, oracles.crop((4, 5))), min_side=5),
    "Crop to a share": Member(lambda: Crop(0.4), affine(oracles.edge, oracles.crop(0.4)), min_side=4),
    "Zoom": Member(lambda: Zoom(), affine(oracles.edge, oracles.zoom((0.5, 0.15), (0.25, 0.1), 0.05))),
    "Zoom far": Member(
        lambda: Compose(Pad(0.2), Zoom((0.4, 0.4), (0.6, 0.5), 0.3)),
        affine(oracles.level(0.2), oracles.zoom((0.4, 0.4), (0.6, 0.5), 0.3)),
    ),
    "RandomResizedCrop": Member(
        lambda: RandomResizedCrop(), affine(oracles.edge, oracles.random_resized_crop((0.4, 1.0), 0.05))
    ),
    "RandomResizedCrop far": Member(
        lambda: Compose(Pad("reflect"), RandomResizedCrop((0.2, 1.5), 0.3)),
        affine(oracles.reflect, oracles.random_resized_crop((0.2, 1.5), 0.3)),
    ),
    "Pad colour": Member(
        lambda: Compose(Pad((0.1, 0.2, 0.3)), Jitter(5)), affine(oracles.level(0.1, 0.2, 0.3), oracles.jitter(5))
    ),
    "Pad reflect": Member(
        lambda: Compose(Pad("reflect"), Rotate([30, -40])), affine(oracles.reflect, oracles.rotate([30, -40]))
    ),
    "Pad edge": Member(lambda: Compose(Pad("edge"), Jitter(5)), affine(oracles.edge, oracles.jitter(5))),
    "Pad random": Member(
        lambda: Compose(Pad("random"), Rotate([30, -40]), Margin(2)),
        affine(oracles.random_level, oracles.rotate([30, -40]), oracles.margin(2)),
    ),
    "Blur": Member(lambda: Blur(0.8), oracles.blur(0.8), draws=False),
    "Blur drawn": Member(lambda: Blur((0.3, 1.2)), oracles.blur(0.3, 1.2)),
    "GaussianNoise": Member(lambda: GaussianNoise(0.2), oracles.gaussian_noise(0.2)),
    "UniformNoise": Member(lambda: UniformNoise(0.3), oracles.uniform_noise(0.3)),
    "OnColor": Member(lambda: OnColor(0.25), oracles.blended(oracles.color(0.25)), channels=4, draws=False),
    "OnColor RGB": Member(
        lambda: OnColor((0.9, 0.2, 0.0)), oracles.blended(oracles.color(0.9, 0.2, 0.0)), channels=4, draws=False
    ),
    "OnRandomColor": Member(lambda: OnRandomColor(), oracles.blended(oracles.random_color), channels=4),
    "OnRandomNoise": Member(lambda: OnRandomNoise(), oracles.blended(oracles.random_noise(0.5, 1.0)), channels=4),
    "OnRandomNoise white": Member(
        lambda: OnRandomNoise(2.0, 0.0), oracles.blended(oracles.random_noise(2.0, 0.0)), channels=4
    ),
    "NormalizeGradient": Member(lambda: NormalizeGradient(), oracles.unchanged, draws=False, passes=False),
    "NormalizeGradientRMS": Member(lambda: NormalizeGradientRMS(2.5), oracles.unchanged, draws=False, passes=False),
    "Stages": Member(
        lambda: Stages({0: Compose(Pad(0.3), Jitter(3), Resize((7, 9))), 8: Jitter(1)}),
        affine(oracles.level(0.3), oracles.jitter(3), oracles.resize((7, 9))),
    ),
    "Compose": Member(
        lambda: Compose(Pad(0.5), Jitter(4), nn.AvgPool2d(2), Rotate([-5, 5]), Scale([0.9, 1.1]), Resize(10)),
        oracles.sequence(
            affine(GREY, oracles.jitter(4)),
            oracles.average_pool,
            affine(GREY, oracles.rotate([-5, 5]), oracles.scale([0.9, 1.1]), oracles.resize((10, 10))),
        ),
        min_side=2,
    ),
    "Compose of all kinds": Member(
        lambda: Compose(OnRandomNoise(), Pad("random"), Jitter(3), Flip(), Blur(0.5), Crop(0.75), GaussianNoise(0.1)),
        oracles.sequence(
            oracles.blended(oracles.random_noise(0.5, 1.0)),
            affine(oracles.random_level, oracles.jitter(3), oracles.flip(0.5)),
            oracles.blur(0.5),
            affine(oracles.edge, oracles.crop(0.75)),
            oracles.gaussian_noise(0.1),
        ),
        channels=4,
    ),
    "Compose of nothing": Member(lambda: Compose(), oracles.unchanged, draws=False),
    "STANDARD": Member(lambda: STANDARD, affine(GREY, *STANDARD_PARTS)),
    "ATLAS": Member(lambda: ATLAS, affine(GREY, *ATLAS_PARTS)),
    "COARSE_TO_FINE": Member(lambda: COARSE_TO_FINE, affine(GREY, *STANDARD_PARTS, oracles.resize(0.72))),
    "natural_crops": Member(
        lambda: natural_crops((12, 9)),
        oracles.sequence(
            affine(
                oracles.reflect,
                oracles.random_resized_crop((0.55, 1.1), 0.05),
                oracles.flip(0.5),
                oracles.rotate(range(-10, 11)),
                oracles.resize((12, 9)),
            ),
            oracles.gaussian_noise(0.1),
        ),
    ),
    "maco_crops": Member(
        lambda: maco_crops((12, 9)),
        oracles.sequence(
            affine(GREY, oracles.zoom((0.5, 0.15), (0.25, 0.1), 0.05), oracles.resize((12, 9))),
            oracles.gaussian_noise(0.04),
            oracles.uniform_noise(0.02),
        ),
    ),
}
