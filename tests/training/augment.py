"""Augmentation of scenes for training."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def augment(images: Tensor, generator: Generator) -> Tensor:
    """Rotate, scale, shift and mirror images (B, 3, H, W) in [0, 1], and change contrast, brightness and colours.

    One image in ten becomes grey.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(len(images), *shape, generator=generator) * (high - low) + low

    mirror = 1 - 2 * (uniform(0, 1) < 0.5).float()
    angle, scale = uniform(-0.26, 0.26), uniform(0.8, 1.3)  # radians; of the sampling grid: above 1, objects shrink
    sine, cosine = angle.sin() * scale, angle.cos() * scale
    rotation = torch.stack([torch.stack([cosine * mirror, -sine], 1), torch.stack([sine * mirror, cosine], 1)], 1)
    matrices = torch.cat([rotation, uniform(-0.2, 0.2, 2, 1)], 2)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * uniform(0.7, 1.3, 1, 1, 1) + mean + uniform(-0.1, 0.1, 1, 1, 1)
    images = images * uniform(0.9, 1.1, 3, 1, 1)
    grey = (uniform(0, 1, 1, 1, 1) < 0.1).float()
    return (images * (1 - grey) + images.mean(1, keepdim=True) * grey).clamp(0, 1)
