"""Penalties on the picture itself; subtract them."""

from __future__ import annotations

from torch import Tensor

from optvis.objectives.layout import IMAGE, channels_second
from optvis.objectives.objective import Objective, made


def neighbour_differences(a: Tensor, channel_axis: int | None = None) -> Tensor:
    """Σ|Δ_h A| + Σ|Δ_w A|.  a (B, C, H, W) -> (B,)"""
    a = channels_second(a, channel_axis)
    if a.dim() != 4:
        raise ValueError(f"total variation needs rows and columns, (B, C, H, W); got {tuple(a.shape)}")
    return a.diff(dim=2).abs().flatten(1).sum(1) + a.diff(dim=3).abs().flatten(1).sum(1)


def total_variation(layer: str = IMAGE, *, channel_axis: int | None = None) -> Objective:
    """Σ|Δ_h x| + Σ|Δ_w x|: how much neighbouring pixels differ (Rudin, Osher & Fatemi 1992; anisotropic).

    Mahendran & Vedaldi 2015 (arXiv:1412.0035) brought it to network inversion. Subtract it to smooth.

    Args:
        layer: name as in `layers(net)`; the untransformed image in [0, 1] by default.
        channel_axis: axis of the channels in the layer's output; by default the second.

    Raises:
        ValueError: at the first step, a layer without rows and columns.

    Example:
        >>> import torch
        >>> total_variation()({IMAGE: torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])})
        tensor([2.])
    """
    return made("total_variation", (layer,), neighbour_differences, channel_axis=channel_axis)
