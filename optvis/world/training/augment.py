"""What training does to scenes before the network sees them."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def augmented(images: Tensor, draws: Generator) -> Tensor:
    """Images (B, 3, H, W) in [0, 1] turned, scaled, moved and mirrored, in other light and colours, at times grey."""

    def between(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(len(images), *shape, generator=draws) * (high - low) + low

    mirror = 1 - 2 * (between(0, 1) < 0.5).float()
    angle, scale = between(-0.26, 0.26), between(0.8, 1.3)  # radians; of what is sampled, so above 1 is smaller
    sine, cosine = angle.sin() * scale, angle.cos() * scale
    turned = torch.stack([torch.stack([cosine * mirror, -sine], 1), torch.stack([sine * mirror, cosine], 1)], 1)
    matrices = torch.cat([turned, between(-0.2, 0.2, 2, 1)], 2)
    places = F.affine_grid(matrices, list(images.shape), align_corners=False)
    images = F.grid_sample(images, places, padding_mode="reflection", align_corners=False)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * between(0.7, 1.3, 1, 1, 1) + mean + between(-0.1, 0.1, 1, 1, 1)
    images = images * between(0.9, 1.1, 3, 1, 1)
    grey = (between(0, 1, 1, 1, 1) < 0.1).float()
    return (images * (1 - grey) + images.mean(1, keepdim=True) * grey).clamp(0, 1)
