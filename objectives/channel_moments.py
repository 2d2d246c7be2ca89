"""Mean and variance of each channel of an image, with a gradient that takes one pass over the activations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from optvis.objectives.layout import channels_first


def moments(a: Tensor, channel_axis: int | None = None) -> Tensor:
    """Compute the mean and the variance of each channel of each image over its positions.

    The variance is the mean of (A − mean)², as BatchNorm computes it in training; of a layer without positions it
    is 0.

    Args:
        a: (B, C, ...).
        channel_axis: axis of the channels; by default axis 1, or axis 2 of three.

    Returns:
        (B, 2, C): the means, and the variances.

    Example:
        >>> moments(torch.tensor([[[[1.0, 3.0]]]]))
        tensor([[[2.],
                 [1.]]])
    """
    values: Tensor = _Moments.apply(channels_first(a, channel_axis))
    return values


class _Moments(torch.autograd.Function):
    """The moments of (B, C, ...): autograd's own gradient of the variance takes several passes."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        axes = tuple(range(2, a.dim()))
        if not axes:
            values = torch.stack([a, torch.zeros_like(a)], 1)
        elif a.device.type == "cpu":  # where var_mean takes up to 50 times as long
            mean = a.mean(axes, keepdim=True)
            squares = torch.nn.functional.mse_loss(a, mean.expand_as(a), reduction="none")  # in one pass
            values = torch.stack([mean.flatten(1), squares.mean(axes)], 1)
        else:
            variance, mean = torch.var_mean(a, axes, correction=0)
            values = torch.stack([mean, variance], 1)
        ctx.save_for_backward(a, values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return (g_mean + 2 g_variance (A − mean)) / P."""
        a, values = ctx.saved_tensors
        axes, places = [1] * (a.dim() - 2), a[0, 0].numel()
        slope = 2 * gradient[:, 1] / places if axes else torch.zeros_like(a)
        shift = gradient[:, 0] / places - slope * values[:, 0]
        return torch.addcmul(shift.view(*shift.shape, *axes), slope.view(*slope.shape, *axes), a)
