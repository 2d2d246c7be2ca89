"""Sampling of images after an affine map, and the padding outside them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.params.canvas import height_and_width
from optvis.params.streams import Streams

Size = tuple[int, int]
MIN_SIDE = 1e-14  # of an image with one pixel, as in kornia


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


def warp(images: Tensor, matrix: Tensor, size: Size, padding: Padding, streams: Streams | None = None) -> Tensor:
    """Sample images (B, C, H, W) once, bilinearly: pixel p of the result shows pixel matrix⁻¹ p, (N, C, *size).

    Args:
        images: (B, C, H, W).
        matrix: one per result, (N, 3, 3): N = B, or N = V · B for V views of each image, one after the other.
        size: (H, W) of the results.
        padding: what is outside of the images; a level has a row for all, or one per result.
        streams: bring what is computed of the matrices to the images; by default at once.

    Raises:
        ValueError: results of more than 2^26 pixels.
    """
    height_and_width(size)
    streams = Streams((0,), "warp") if streams is None else streams
    level = padding.level
    if level is not None and level.dim() == 4 and len(level) > 1:  # each result has a level of its own
        images = repeat_each(images, len(matrix))
    count, channels, *sides = images.shape
    views, (height, width) = len(matrix) // count, size
    source, result = (_pixels_to_unit((pair[0], pair[1])) for pair in (sides, size))
    maps = streams.place(lambda: (source @ torch.linalg.inv(matrix) @ torch.linalg.inv(result))[:, :2], images)
    if images.is_meta:  # no numbers to sample, for which torch takes as long as for a picture
        return images.new_empty(len(matrix), channels, *size)
    # The grids of an image's views are one grid, one below the other, so that the image is not copied.
    grid = _affine_grid(maps.view(count, views, 2, 3), size)
    sampled = _sample(images if level is None else images - level, grid, padding.mode)
    rows = sampled.view(count, channels, views, height, width).transpose(1, 2).flatten(0, 1)
    return rows if level is None else rows + level


def repeat_each(images: Tensor, count: int) -> Tensor:
    """Repeat each image in a row, so that there are `count`."""
    views = count // len(images)
    return images.repeat_interleave(views, dim=0) if views > 1 else images


def _sample(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Sample at the positions of a grid; on CUDA with a gradient that has the same bits each time."""
    if images.device.type == "cuda" and images.dtype == torch.float32 and images.requires_grad:
        from optvis.transforms.sample import SampleBilinearly

        return SampleBilinearly.apply(images, grid, mode)  # type: ignore[no-any-return]
    return torch.nn.functional.grid_sample(images, grid, padding_mode=mode, align_corners=True)


def _affine_grid(maps: Tensor, size: Size) -> Tensor:
    """As torch's `affine_grid`, of several maps of each image one below the other, with fewer passes over memory.

    Args:
        maps: (B, V, 2, 3), from and to coordinates in [−1, 1].
        size: (H, W) of each view.

    Returns:
        (B, V · H, W, 2), in memory all x, then all y.
    """
    ys, xs = (torch.linspace(-1, 1, side, dtype=maps.dtype, device=maps.device) for side in size)
    along_x, along_y, shift = maps.transpose(1, 2).unsqueeze(-2).unbind(-1)  # each (B, 2, V, 1)
    planes = (along_y * ys + shift).unsqueeze(-1) + (along_x * xs).unsqueeze(-2)  # (B, 2, V, H, W)
    return planes.flatten(2, 3).permute(0, 2, 3, 1)


def _pixels_to_unit(size: Size) -> Tensor:
    """The matrix from pixels (x, y, 1) to [−1, 1], with the centres of the outermost pixels at ±1."""
    scales = [2 / max(side - 1, MIN_SIDE) for side in (size[1], size[0])]
    rows = [[scales[0], 0.0, -1.0], [0.0, scales[1], -1.0], [0.0, 0.0, 1.0]]
    return torch.tensor(rows, dtype=torch.float64, device="cpu")
