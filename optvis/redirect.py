"""Redirected ReLU gradients: a way out for images that no unit sees yet. Touches no module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

INFINITE = float("inf")


class RedirectedReLU(torch.autograd.Function):
    """ReLU, or ReLU6, whose gradient is redirected for images that it would leave without any.

    Backward, per image: g·[0 <= x <= top], unless that is zero everywhere in the image; then g wherever
    descending it pulls x back into the open range. Lucid's rule (lucid.misc.redirected_relu_grad, 2017).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float, in_place: bool) -> Tensor:
        ctx.save_for_backward(x < 0, x > top if top < INFINITE else None)
        if in_place:
            ctx.mark_dirty(x)
            return x.clamp_(0, top)
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        below, above = ctx.saved_tensors
        usual = grad.masked_fill(below if above is None else below | above, 0)
        dead = torch.linalg.vector_norm(_rows(usual), ord=1, dim=1) == 0  # no square that underflows
        if dead.device.type == "cpu" and not dead.any():  # looking is free there, and saves two passes
            return usual, None, None
        pushing = below & (grad > 0)
        pushing = pushing if above is None else pushing | (above & (grad < 0))
        dead = dead.view(grad.shape[:1] + (1,) * (grad.dim() - 1))
        return torch.where(dead, grad.masked_fill(pushing, 0), usual), None, None


def _rows(a: Tensor) -> Tensor:
    """(B, ...) -> (B, numbers), in the order in which they lie, so that nothing is copied."""
    if a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last):
        a = a.permute(0, 2, 3, 1)
    images = a.shape[0] if a.dim() else 1
    return a.reshape(images, a.numel() // max(images, 1))


def _relu(x: Tensor, inplace: bool = False) -> Tensor:
    return RedirectedReLU.apply(x, INFINITE, inplace)  # type: ignore[no-any-return]


def _relu_(x: Tensor) -> Tensor:
    return _relu(x, inplace=True)


def _relu6(x: Tensor, inplace: bool = False) -> Tensor:
    return RedirectedReLU.apply(x, 6.0, inplace)  # type: ignore[no-any-return]


def _hardtanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    if (min_val, max_val) == (0.0, 6.0):
        return _relu6(x, inplace)
    return F.hardtanh(x, min_val, max_val, inplace)


REDIRECTED: Mapping[Any, Callable[..., Tensor]] = {
    F.relu: _relu,
    torch.relu: _relu,
    Tensor.relu: _relu,
    torch.relu_: _relu_,
    Tensor.relu_: _relu_,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
}


class redirected_relu(TorchFunctionMode):
    """Inside, every ReLU and ReLU6, as module, function or in place, has a redirected gradient.

    Example:
        >>> x = torch.tensor([[-1.0, -2.0]], requires_grad=True)
        >>> with redirected_relu():
        ...     y = torch.relu(x)
        >>> torch.autograd.grad(-y.sum(), x)
        (tensor([[-1., -1.]]),)
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        replacement = REDIRECTED.get(func, func)
        return replacement(*args, **({} if kwargs is None else kwargs))
