"""Heatmaps over images."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.arguments import check_axes
from optvis.viz.sheet import NEGATIVE_COLOR, POSITIVE_COLOR

IMAGE_CONTRAST = 0.35  # of the gray image below the colors


def overlay_heatmap(image: Tensor, values: Tensor, extent: float | None = None) -> Tensor:
    """Draw signed values over a pale gray image: orange above zero, violet below.

    Args:
        image: (C, H, W) in [0, 1], of any number of channels; their mean is drawn in gray.
        values: (h, w), one a cell; resized to the image's size.
        extent: the value that gets the full color; by default the largest absolute one.

    Returns:
        (3, H, W) in [0, 1].

    Example:
        >>> overlay_heatmap(torch.rand(3, 8, 8), torch.tensor([[1.0, -1.0]])).shape
        torch.Size([3, 8, 8])
    """
    check_axes({"image": image, "values": values}, {"image": "C H W", "values": "h w"})
    if not values.numel() or (extent is not None and not extent > 0):
        raise ValueError(f"values have shape {tuple(values.shape)}, extent is {extent}; expected one or more, over 0")
    most = values.abs().max().clamp(min=torch.finfo(values.dtype).tiny) if extent is None else values.new_tensor(extent)
    shares = resize_map((values / most).clamp(-1, 1), (image.shape[1], image.shape[2]))
    gray = 1 - IMAGE_CONTRAST * (1 - image.mean(0, keepdim=True))
    return _blend(gray, shares.clamp(min=0), POSITIVE_COLOR) + _blend(gray, -shares.clamp(max=0), NEGATIVE_COLOR) - gray


def resize_map(values: Tensor, size: tuple[int, int]) -> Tensor:
    """(h, w) -> (1, H, W), bilinear."""
    return torch.nn.functional.interpolate(values[None, None].float(), size, mode="bilinear")[0]


def _blend(gray: Tensor, shares: Tensor, color: tuple[int, int, int]) -> Tensor:
    """Replace a share of the gray by a color, whose channels are bytes."""
    tint = torch.tensor(color, dtype=torch.float32, device=gray.device).view(3, 1, 1) / 255
    return gray * (1 - shares) + gray * tint * shares
