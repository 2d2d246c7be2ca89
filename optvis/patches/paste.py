"""Pasting patches onto images."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.arguments import check_minimum


def paste(patch: Tensor, images: Tensor, size: int, position: tuple[float, float] = (0.5, 0.5)) -> Tensor:
    """Paste a patch onto each image; what reaches over the edge of the image is cut off. Differentiable.

    Args:
        patch: (4, h, w) in [0, 1]: red, green, blue and alpha; or (3, h, w), which is opaque.
        images: (3, H, W) or (B, 3, H, W) in [0, 1].
        size: the longer side of the patch as pasted, in pixels, at least 1.
        position: of the patch's centre, down and across, as shares of the image's height and width.

    Returns:
        new images in the shape of `images`.

    Raises:
        ValueError: another shape, or a size below 1.
        TypeError: integers; divide bytes by 255 first.

    Example:
        >>> red = torch.tensor([1.0, 0, 0]).view(3, 1, 1)
        >>> paste(red, torch.zeros(3, 4, 4), size=2)[0]
        tensor([[0., 0., 0., 0.],
                [0., 1., 1., 0.],
                [0., 1., 1., 0.],
                [0., 0., 0., 0.]])
    """
    check_patch(patch)
    if not images.is_floating_point():
        raise TypeError(f"images are {images.dtype}; expected floats in [0, 1]: divide by 255")
    if images.ndim not in (3, 4) or images.shape[-3] != 3:
        raise ValueError(f"images have shape {tuple(images.shape)}; expected (3, H, W) or (B, 3, H, W)")
    check_minimum(1, size=size)
    if not all(math.isfinite(share) for share in position):
        raise ValueError(f"position is {position}; expected shares of height and width")
    colors, alpha = _resize(patch.to(images), size)
    axes = zip(position, images.shape[-2:], alpha.shape[-2:], strict=True)
    (rows, down), (columns, across) = (_overlap(share, whole, side) for share, whole, side in axes)
    pasted, image_part = images.clone(), images[..., down, across]
    pasted[..., down, across] = image_part * (1 - alpha[..., rows, columns]) + colors[..., rows, columns]
    return pasted


def check_patch(patch: Tensor, channels: tuple[int, ...] = (3, 4)) -> None:
    """Check shape and dtype of a patch: ValueError, TypeError."""
    if patch.ndim != 3 or patch.shape[0] not in channels or 0 in patch.shape:
        expected = " or ".join(f"({count}, h, w)" for count in channels)
        raise ValueError(f"patch has shape {tuple(patch.shape)}; expected {expected}")
    if not patch.is_floating_point():
        raise TypeError(f"patch is {patch.dtype}; expected floats in [0, 1]: divide by 255")


def split_alpha(patch: Tensor) -> tuple[Tensor, Tensor]:
    """Colors (3, h, w), and alpha (1, h, w), 1 where the patch has none."""
    return patch[:3], patch[3:] if len(patch) == 4 else torch.ones_like(patch[:1])


def _overlap(share: float, whole: int, side: int) -> tuple[slice, slice]:
    """Return the visible part along one axis: of the patch, and of the image."""
    start = round(share * whole - side / 2)
    first = min(max(0, -start), side)
    last = max(first, min(side, whole - start))
    return slice(first, last), slice(start + first, start + last)


def _resize(patch: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return premultiplied colors (3, h, w), and alpha (1, h, w)."""
    colors, alpha = split_alpha(patch)
    sides = [max(1, round(side * size / max(patch.shape[-2:]))) for side in patch.shape[-2:]]
    premultiplied = torch.cat([colors * alpha, alpha])[None]
    resized = F.interpolate(premultiplied, sides, mode="bilinear", antialias=True, align_corners=False)[0]
    return resized[:3], resized[3:]
