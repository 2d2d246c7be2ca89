"""Redirected ReLU gradients: a way out for images that no unit sees yet. Touches no module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

INFINITE = float("inf")
LOOKED_AT = 4096  # numbers of an image that tell of most images that they are alive


class RedirectedReLU(torch.autograd.Function):
    """ReLU, or ReLU6, whose gradient is redirected for images that it would leave without any.

    Backward, per image: g·[0 <= x <= top], unless that is zero everywhere in the image; then g wherever
    descending it pulls x back into the open range. Lucid's rule (lucid.misc.redirected_relu_grad, 2017).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float, in_place: bool) -> Tensor:
        ctx.top = top
        ctx.save_for_backward(x.clone())
        if in_place:
            ctx.mark_dirty(x)
            return x.clamp_(0, top)
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        (x,) = ctx.saved_tensors
        usual, dead = _usual(grad, x, ctx.top)
        if dead is None:
            return usual, None, None
        pushing = ((x < 0) & (grad > 0)) | ((x > ctx.top) & (grad < 0))
        return torch.where(dead, grad.masked_fill(pushing, 0), usual), None, None


class OpenedReLU(RedirectedReLU):
    """ReLU, or ReLU6, that lets the whole gradient through for images that it would leave without any.

    So a unit that is off can be pushed further below zero, which shows what it is against.
    """

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        (x,) = ctx.saved_tensors
        usual, dead = _usual(grad, x, ctx.top)
        return usual if dead is None else torch.where(dead, grad, usual), None, None


def _usual(grad: Tensor, x: Tensor, top: float) -> tuple[Tensor, Tensor | None]:
    """A ReLU's own gradient, and the images for which it is all zero, (B, 1, ...), or None where there are none."""
    usual = _inside(grad, x, top)
    rows = _rows(usual)
    some = rows[:, :: max(1, rows.shape[1] // LOOKED_AT)]
    if usual.device.type == "cpu" and bool(some.any(1).all()):  # looking is free there, and saves three passes
        return usual, None
    dead = torch.linalg.vector_norm(rows, ord=1, dim=1) == 0  # no square that underflows
    if usual.device.type == "cpu" and not dead.any():
        return usual, None
    return usual, dead.view(grad.shape[:1] + (1,) * (grad.dim() - 1))


def _inside(grad: Tensor, x: Tensor, top: float) -> Tensor:
    """g·[0 <= x <= top], by torch's own kernels, which are many times faster than a mask; their ends are open."""
    least = torch.finfo(x.dtype)
    below = -least.smallest_normal * least.eps  # no number lies between this and 0
    if top == INFINITE:
        return torch.ops.aten.threshold_backward(grad, x, below)  # type: ignore[no-any-return]
    above = float(torch.nextafter(torch.tensor(top, dtype=x.dtype), torch.tensor(INFINITE, dtype=x.dtype)))
    return torch.ops.aten.hardtanh_backward(grad, x, below, above)  # type: ignore[no-any-return]


def _rows(a: Tensor) -> Tensor:
    """(B, ...) -> (B, numbers), in the order in which they lie, so that nothing is copied."""
    if a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last):
        a = a.permute(0, 2, 3, 1)
    images = a.shape[0] if a.dim() else 1
    return a.reshape(images, a.numel() // max(images, 1))


Replacement: TypeAlias = type[RedirectedReLU]


def _relu(own: Replacement, x: Tensor, inplace: bool = False) -> Tensor:
    return own.apply(x, INFINITE, inplace)  # type: ignore[no-any-return]


def _relu_(own: Replacement, x: Tensor) -> Tensor:
    return _relu(own, x, inplace=True)


def _relu6(own: Replacement, x: Tensor, inplace: bool = False) -> Tensor:
    return own.apply(x, 6.0, inplace)  # type: ignore[no-any-return]


def _hardtanh(
    own: Replacement, x: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    if (min_val, max_val) == (0.0, 6.0):
        return _relu6(own, x, inplace)
    return F.hardtanh(x, min_val, max_val, inplace)


REPLACED: Mapping[Any, Callable[..., Tensor]] = {
    F.relu: _relu,
    torch.relu: _relu,
    Tensor.relu: _relu,
    torch.relu_: _relu_,
    Tensor.relu_: _relu_,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
}


class _Replaced(TorchFunctionMode):
    """Inside, every ReLU and ReLU6, as module, function or in place, is another function."""

    own: ClassVar[Replacement]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = {} if kwargs is None else kwargs
        return REPLACED[func](self.own, *args, **named) if func in REPLACED else func(*args, **named)


class redirect_relu(_Replaced):
    """Inside, every ReLU and ReLU6, as module, function or in place, has a redirected gradient.

    Example:
        >>> x = torch.tensor([[-1.0, -2.0]], requires_grad=True)
        >>> with redirect_relu():
        ...     y = torch.relu(x)
        >>> torch.autograd.grad(-y.sum(), x)
        (tensor([[-1., -1.]]),)
    """

    own = RedirectedReLU


class open_relu(_Replaced):
    """Inside, every ReLU and ReLU6 lets the whole gradient through for images that would have none.

    Example:
        >>> x = torch.tensor([[-1.0, -2.0]], requires_grad=True)
        >>> with open_relu():
        ...     y = torch.relu(x)
        >>> torch.autograd.grad(y.sum(), x)
        (tensor([[1., 1.]]),)
    """

    own = OpenedReLU
