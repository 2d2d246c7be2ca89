"""The largest activation of each channel, or its whole attribution, over the positions of a layer, and where it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from optvis.objectives.layout import channels_first

Locate = Callable[[Tensor, Tensor], Tensor]


def find_peaks(a: Tensor, channel_axis: int | None = None) -> tuple[Tensor, Locate, tuple[int, int]]:
    """Find the largest activation of each channel in each image of a batch.

    A map with channels last in memory is read once, row by row; the place is then looked for in the best row alone, and
    only where it is asked for.

    Args:
        a: activations of a layer, in any layout.
        channel_axis: see `channels_first`.

    Returns:
        The values (B, C), float32; a function of images and channels, both (N,), that gives the positions (N,), row by
        row, of equal ones the first; and the rows and columns of positions, (1, 1) where there are none.

    Example:
        >>> values, locate, grid = find_peaks(torch.tensor([[[[0.0, 2.0], [2.0, 1.0]]]]))
        >>> values, locate(torch.tensor([0]), torch.tensor([0])), grid
        (tensor([[2.]]), tensor([1]), (2, 2))
    """
    a = channels_first(a, channel_axis)
    if a.dim() == 2:
        return a.float().cpu(), lambda images, _: torch.zeros_like(images), (1, 1)
    if a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last):
        rows = a.permute(0, 2, 3, 1).amax(2)  # (B, H, C)
        values = rows.amax(1)

        def locate(images: Tensor, channels: Tensor) -> Tensor:
            y = _first_largest(rows[images, :, channels])
            return y * a.shape[3] + _first_largest(a[images, channels, y])

        return values.float().cpu(), locate, (a.shape[2], a.shape[3])
    flat = a.flatten(2)
    grid = (a.shape[2], a.shape[3]) if a.dim() == 4 else (1, flat.shape[2])
    return flat.amax(2).float().cpu(), lambda images, channels: _first_largest(flat[images, channels]), grid


def find_totals(a: Tensor, channel_axis: int | None = None) -> tuple[Tensor, Locate]:
    """Add up the attributions of each channel in each image of a batch, in float64, and find the largest.

    Args:
        a: attributions of a layer, in any layout.
        channel_axis: see `channels_first`.

    Returns:
        The sums over positions (B, C), float32; and a function as `find_peaks` returns it.

    Example:
        >>> values, locate = find_totals(torch.tensor([[[[0.0, -2.0], [2.0, 1.0]]]]))
        >>> values, locate(torch.tensor([0]), torch.tensor([0]))
        (tensor([[1.]]), tensor([2]))
    """
    a = channels_first(a, channel_axis)
    flat = a.flatten(2) if a.dim() > 2 else a.unsqueeze(2)
    return flat.double().sum(2).float().cpu(), lambda images, channels: _first_largest(flat[images, channels])


def _first_largest(rows: Tensor) -> Tensor:
    """The first place of the largest number of each row."""
    return torch.from_numpy(np.argmax(rows.float().cpu().numpy(), axis=1))
