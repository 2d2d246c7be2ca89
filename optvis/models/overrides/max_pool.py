"""Smoothed gradients of max pooling: what pulls at a maximum pulls at its neighbours too. Touches no module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

Sides: TypeAlias = int | tuple[int, ...]
LUCID_EPSILON = 1e-2  # lucid.optvis.overrides.smoothed_maxpool_grad, 2019


@dataclass(frozen=True)
class Window:
    """Which pixels a pooling looks at together: arguments of torch.nn.MaxPool2d.

    Args:
        kernel_size: side, or (height, width), in pixels.
        stride: from one window to the next; as large as a window by default.
        padding: pixels outside the image that the first window reaches; they do not count.
        ceil_mode: whether windows that reach beyond the far end count.
    """

    kernel_size: Sides
    stride: Sides | None = None
    padding: Sides = 0
    ceil_mode: bool = False

    def maximum(self, x: Tensor) -> Tensor:
        """The largest number in each window, (…, C, H, W) -> (…, C, H', W')."""
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, 1, self.ceil_mode)

    def mean(self, x: Tensor) -> Tensor:
        """The mean of each window's numbers that lie in the image, (…, C, H, W) -> (…, C, H', W')."""
        stride = self.kernel_size if self.stride is None else self.stride
        return F.avg_pool2d(x, self.kernel_size, stride, self.padding, self.ceil_mode, count_include_pad=False)


PoolGradient: TypeAlias = Callable[[Tensor, Window], Tensor]


def average(x: Tensor, window: Window) -> Tensor:
    """The mean of each window: its gradient is shared equally among a window's pixels.

    Lucid's `avg_smoothed_maxpool_grad` (lucid.optvis.overrides.smoothed_maxpool_grad, 2019).

    Args:
        x: what is pooled, (B, C, H, W).
        window: how.

    Returns:
        (B, C, H', W'), of which only the gradient is used.

    Example:
        >>> average(torch.tensor([[[[1.0, 3.0]]]]), Window((1, 2)))
        tensor([[[[2.]]]])
    """
    return window.mean(x)


def squares(x: Tensor, window: Window) -> Tensor:
    """mean(x²) / (0.01 + mean|x|) of each window: a smooth maximum, whose gradient pulls most at what is largest.

    Lucid's `l2_smoothed_maxpool_grad` (lucid.optvis.overrides.smoothed_maxpool_grad, 2019).

    Args:
        x: what is pooled, (B, C, H, W).
        window: how.

    Returns:
        (B, C, H', W'), of which only the gradient is used.

    Example:
        >>> squares(torch.tensor([[[[1.0, 3.0]]]]), Window((1, 2)))
        tensor([[[[2.4876]]]])
    """
    return window.mean(x.square()) / (LUCID_EPSILON + window.mean(x.abs()))


class SmoothedMaxPool(torch.autograd.Function):
    """Max pooling whose gradient is that of a smoother pooling of the same windows."""

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


class smooth_max_pool(TorchFunctionMode):
    """Inside, every 2-d max pooling, module or function, has the gradient of a smoother one and its own output.

    It takes away the grain that max pooling leaves in a gradient, and with it some of the truth about the network:
    what pulls at a maximum pulls at its neighbours too. Adaptive pooling is left alone.

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
        super().__init__()
        self.gradient = gradient

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        replacement = SMOOTHED.get(func)
        arguments = {} if kwargs is None else kwargs
        return func(*args, **arguments) if replacement is None else replacement(self.gradient, *args, **arguments)


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
    values: Tensor = SmoothedMaxPool.apply(input, window, gradient)
    if not return_indices:
        return values
    _, indices = F.max_pool2d(input.detach(), kernel_size, stride, padding, 1, ceil_mode, return_indices=True)
    return values, indices


def _max_pool2d_with_indices(gradient: PoolGradient, *args: Any, **kwargs: Any) -> Any:
    return _max_pool2d(gradient, *args, **{**kwargs, "return_indices": True})


SMOOTHED: Mapping[Any, Callable[..., Any]] = {
    F.max_pool2d: _max_pool2d,
    torch.max_pool2d: _max_pool2d,
    F.max_pool2d_with_indices: _max_pool2d_with_indices,
}


def smoothed(gradient: PoolGradient | None) -> AbstractContextManager[Any]:
    """`smooth_max_pool`, or nothing where nothing is asked."""
    return nullcontext() if gradient is None else smooth_max_pool(gradient)


def gradient_text(gradient: PoolGradient | None) -> str | None:
    """How a recipe names it.

    >>> gradient_text(average)
    'average'
    """
    return None if gradient is None else str(getattr(gradient, "__name__", type(gradient).__name__))
