"""Sampling of images after an affine map, and the padding outside them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Padding:
    """The values outside an image.

    Args:
        mode: kornia's padding mode: "border", "reflection", or "zeros", which means `level`.
        level: the constant outside, (B, C, 1, 1) or fewer axes; None for other modes.
    """

    mode: str
    level: Tensor | None = None


EDGE = Padding("border")


def warp(images: Tensor, matrix: Tensor, size: Size, padding: Padding) -> Tensor:
    """Sample images (B, C, H, W) once, bilinearly: pixel p of the result shows pixel matrix⁻¹ p, (B, C, *size)."""
    from kornia.geometry.transform import warp_affine

    matrix = matrix[:, :2].to(images.dtype).to(images.device)
    level = padding.level
    shifted = images if level is None else images - level
    sampled: Tensor = warp_affine(shifted, matrix, size, padding_mode=padding.mode)
    return sampled if level is None else sampled.add_(level)
