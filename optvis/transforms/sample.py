"""Bilinear sampling on CUDA whose gradient has the same bits each time: it is summed in integers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

TAP_BITS = 35  # of the largest gradient of an image; 2^26 of them, as many as a result has pixels, fit into 63 bits


class SampleBilinearly(torch.autograd.Function):
    """torch's `grid_sample`, bilinear and with corners aligned, with the gradient of `spread_gradient`.

    torch's own gradient on CUDA adds numbers in the order in which threads come, so that its last bits differ from call
    to call, and ascent amplifies them. The grid gets no gradient.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor, mode: str) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape, ctx.mode = images.shape, mode
        return F.grid_sample(images, grid, padding_mode=mode, align_corners=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return spread_gradient(grads[0], grid, ctx.shape, ctx.mode), None, None


def spread_gradient(grad: Tensor, grid: Tensor, shape: tuple[int, int, int, int], mode: str) -> Tensor:
    """The gradient of `grid_sample` with respect to its images.

    Each number of the gradient goes to the four pixels around its position, in proportion to the weights of bilinear
    sampling. It is added in units of 2^-35 of the largest number of its image, as 64-bit integers, whose sum does not
    depend on the order.

    Args:
        grad: of the result, (B, C, H', W').
        grid: (B, H', W', 2).
        shape: of the images, (B, C, H, W).
        mode: of padding, "zeros", "border" or "reflection".

    Returns:
        (B, C, H, W); NaN for images whose gradient holds a number that is not finite.

    Example:
        >>> images, grid = torch.rand(1, 3, 4, 4, requires_grad=True), torch.rand(1, 5, 5, 2)
        >>> grad = torch.rand(1, 3, 5, 5)
        >>> expected = torch.autograd.grad(F.grid_sample(images, grid, align_corners=True), images, grad)[0]
        >>> torch.allclose(spread_gradient(grad, grid, images.shape, "zeros"), expected, atol=1e-6)
        True
    """
    images, channels, height, width = shape
    flat = grad.flatten(2)
    largest = flat.abs().amax((1, 2), keepdim=True)
    exponent = TAP_BITS - torch.frexp(largest).exponent
    halves = (torch.exp2(half.to(flat.dtype)) for half in (exponent // 2, exponent - exponent // 2))
    scale, rest = halves  # the power of two for the smallest gradients is no number in float32
    rows, row_weights = _neighbours(grid[..., 1], height, mode)
    columns, column_weights = _neighbours(grid[..., 0], width, mode)
    pixels = (rows.unsqueeze(2) * width + columns.unsqueeze(1)).view(images, 1, -1)  # of each tap, (B, 1, 4 N)
    weights = (row_weights.unsqueeze(2) * column_weights.unsqueeze(1)).view(images, 1, 4, -1)
    taps = ((flat * scale).unsqueeze(2) * (weights * rest.unsqueeze(2))).long().flatten(2)
    sums = torch.zeros(images, channels, height * width, dtype=torch.long, device=grad.device)
    sums.scatter_add_(2, pixels.expand_as(taps), taps)
    return (sums * (1 / scale) * (1 / rest + 0 * largest)).view(shape)


def _neighbours(positions: Tensor, side: int, mode: str) -> tuple[Tensor, Tensor]:
    """The two pixels beside positions in [−1, 1] along an axis, and the weights of both, (B, 2, N) each."""
    place = (positions.flatten(1) + 1) / 2 * (side - 1)
    if mode == "reflection" and side > 1:
        last = side - 1
        place = last - (place.abs().remainder(2 * last) - last).abs()
    if mode != "zeros":
        place = place.clamp(0, side - 1)
    first = place.floor()
    share = place - first
    pixels = torch.stack([first, first + 1], 1)
    is_inside = (pixels >= 0) & (pixels < side)
    weights = torch.stack([1 - share, share], 1) * is_inside
    return pixels.clamp(0, side - 1).long(), weights
