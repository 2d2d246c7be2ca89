"""Gradient overrides of max pooling: the gradient of a smoother pooling of the same windows. No module is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from optvis.models.overrides.mode import OverrideMode

Sides: TypeAlias = int | tuple[int, ...]
LUCID_EPSILON = 1e-2  # lucid.optvis.overrides.smoothed_maxpool_grad, 2019


@dataclass(frozen=True)
class Window:
    """The windows of a pooling: arguments of torch.nn.MaxPool2d.

    Args:
        kernel_size: side, or (height, width), in pixels.
        stride: from one window to the next, in pixels; the kernel size by default.
        padding: pixels outside the image; they do not count.
        ceil_mode: whether windows that reach beyond the end count.
    """

    kernel_size: Sides
    stride: Sides | None = None
    padding: Sides = 0
    ceil_mode: bool = False

    def maximum(self, x: Tensor) -> Tensor:
        """Compute the maximum of each window, (…, C, H, W) -> (…, C, H', W')."""
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, 1, self.ceil_mode)

    def mean(self, x: Tensor) -> Tensor:
        """Compute the mean of each window's pixels inside the image, (…, C, H, W) -> (…, C, H', W')."""
        stride = self.kernel_size if self.stride is None else self.stride
        return F.avg_pool2d(x, self.kernel_size, stride, self.padding, self.ceil_mode, count_include_pad=False)


PoolGradient: TypeAlias = Callable[[Tensor, Window], Tensor]


def average(x: Tensor, window: Window) -> Tensor:
    """Pool by the mean: the gradient is shared equally among the pixels of a window.

    Lucid's `avg_smoothed_maxpool_grad` (lucid.optvis.overrides.smoothed_maxpool_grad, 2019).

    Args:
        x: activations, (B, C, H, W).
        window: the windows.

    Returns:
        (B, C, H', W'), of which only the gradient is used.

    Example:
        >>> average(torch.tensor([[[[1.0, 3.0]]]]), Window((1, 2)))
        tensor([[[[2.]]]])
    """
    return window.mean(x)


def squares(x: Tensor, window: Window) -> Tensor:
    """Pool by mean(x²) / (0.01 + mean|x|): a smooth maximum, whose gradient is largest at the largest pixels.

    Lucid's `l2_smoothed_maxpool_grad` (lucid.optvis.overrides.smoothed_maxpool_grad, 2019).

    Args:
        x: activations, (B, C, H, W).
        window: the windows.

    Returns:
        (B, C, H', W'), of which only the gradient is used.

    Example:
        >>> squares(torch.tensor([[[[1.0, 3.0]]]]), Window((1, 2)))
        tensor([[[[2.4876]]]])
    """
    return window.mean(x.square()) / (LUCID_EPSILON + window.mean(x.abs()))


class SmoothMaxPoolFunction(torch.autograd.Function):
    """Max pooling with the gradient of a smoother pooling of the same windows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, window: Window, gradient: PoolGradient) -> Tensor:
        ctx.save_for_backward(x)
        ctx.window, ctx.gradient = window, gradient
        return window.maximum(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            smooth = ctx.gradient(x, ctx.window)
        return torch.autograd.grad(smooth, x, grads)[0], None, None


class smooth_max_pool(OverrideMode):
    """Inside, every 2-d max pooling, module or function, keeps its output and has the gradient of a smoother pooling.

    This removes the grain that max pooling leaves in gradients, at a price: neighbours of a maximum get gradient though
    the network does not use them. Adaptive pooling is not changed, nor is pooling inside torch.vmap and other
    transforms of torch.func.

    Args:
        gradient: `average`, `squares`, or a function of your own of x, (B, C, H, W), and a Window.

    Raises:
        ValueError: inside, for a max pooling with dilation, which no average pooling of torch's has.

    Example:
        >>> x = torch.tensor([[[[1.0, 3.0]]]], requires_grad=True)
        >>> with smooth_max_pool():
        ...     y = torch.nn.functional.max_pool2d(x, (1, 2))
        >>> y.item(), torch.autograd.grad(y.sum(), x)[0]
        (3.0, tensor([[[[0.5000, 0.5000]]]]))
    """

    def __init__(self, gradient: PoolGradient = average) -> None:
        super().__init__({func: partial(new, gradient) for func, new in REPLACEMENTS.items()}, has_vmap=False)


def _max_pool2d(
    gradient: PoolGradient,
    input: Tensor,
    kernel_size: Sides,
    stride: Sides | None = None,
    padding: Sides = 0,
    dilation: Sides = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    if any(step != 1 for step in (dilation if isinstance(dilation, (tuple, list)) else [dilation])):
        raise ValueError(
            f"max pooling with dilation={dilation}; expected 1, as average pooling has none: "
            "leave this network's gradients as they are, with pool_gradient=None"
        )
    window = Window(kernel_size, stride or None, padding, ceil_mode)
    values: Tensor = SmoothMaxPoolFunction.apply(input, window, gradient)
    if not return_indices:
        return values
    _, indices = F.max_pool2d(input.detach(), kernel_size, stride, padding, 1, ceil_mode, return_indices=True)
    return values, indices


REPLACEMENTS: Mapping[Any, Callable[..., Any]] = {
    F.max_pool2d: _max_pool2d,
    torch.max_pool2d: _max_pool2d,
    F.max_pool2d_with_indices: lambda *args, **kwargs: _max_pool2d(*args, **{**kwargs, "return_indices": True}),
}


def override_max_pool(gradient: PoolGradient | None) -> AbstractContextManager[Any]:
    """Return `smooth_max_pool(gradient)`, or a context that does nothing for None."""
    return nullcontext() if gradient is None else smooth_max_pool(gradient)


def gradient_text(gradient: PoolGradient | None) -> str | None:
    """Name a pool gradient for a recipe.

    >>> gradient_text(average)
    'average'
    """
    return None if gradient is None else str(getattr(gradient, "__name__", type(gradient).__name__))
