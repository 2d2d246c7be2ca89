"""Values laid over a photograph as colours."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.viz.sheet import AGAINST, FOR

FAINTEST_PHOTO = 0.35  # of the photograph's contrast that is left below


def tinted(photo: Tensor, values: Tensor, extent: float | None = None) -> Tensor:
    """A photograph in pale grey with signed values over it: orange above zero, violet below.

    Args:
        photo: (3, H, W) in [0, 1].
        values: (h, w), one a cell; enlarged to the photograph's size.
        extent: the value that gets the full colour; by default the largest absolute one.

    Returns:
        (3, H, W) in [0, 1].

    Example:
        >>> tinted(torch.rand(3, 8, 8), torch.tensor([[1.0, -1.0]])).shape
        torch.Size([3, 8, 8])
    """
    most = values.abs().max().clamp(min=torch.finfo(values.dtype).tiny) if extent is None else values.new_tensor(extent)
    shares = enlarged((values / most).clamp(-1, 1), (photo.shape[1], photo.shape[2]))
    grey = 1 - FAINTEST_PHOTO * (1 - photo.mean(0, keepdim=True))
    return _mixed(grey, shares.clamp(min=0), FOR) + _mixed(grey, -shares.clamp(max=0), AGAINST) - grey


def enlarged(values: Tensor, size: tuple[int, int]) -> Tensor:
    """(h, w) -> (1, H, W), bilinear."""
    return torch.nn.functional.interpolate(values[None, None].float(), size, mode="bilinear")[0]


def _mixed(grey: Tensor, shares: Tensor, color: tuple[int, int, int]) -> Tensor:
    """So much of a colour, in bytes, in place of the grey."""
    ink = torch.tensor(color).view(3, 1, 1) / 255
    return grey * (1 - shares) + grey * ink * shares
