"""Gradient overrides of ReLU: images whose gradient would be zero still get one. No module is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.nn import functional as F

from optvis.models.overrides.mode import OverrideMode

INFINITE = float("inf")
SAMPLE_SIZE = 4096  # numbers of an image: a subsample for a cheap test whether any gradient is left


class RedirectedReLU(torch.autograd.Function):
    """ReLU, or ReLU6, whose gradient is redirected for images whose gradient would be zero.

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
        ordinary, dead = _relu_gradient(grad, x, ctx.top)
        if dead is None:
            return ordinary, None, None
        pulls_back = (x >= 0) | (grad <= 0)
        if ctx.top < INFINITE:
            pulls_back &= (x <= ctx.top) | (grad >= 0)
        return torch.where(dead & pulls_back, grad, ordinary), None, None  # where an image is dead, that is zero


class OpenedReLU(RedirectedReLU):
    """ReLU, or ReLU6, that passes the whole gradient through for images whose gradient would be zero.

    So a unit that is off can be pushed further below zero, which shows what inhibits it.
    """

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grad,) = grads
        (x,) = ctx.saved_tensors
        ordinary, dead = _relu_gradient(grad, x, ctx.top)
        return ordinary if dead is None else torch.where(dead, grad, ordinary), None, None


def _relu_gradient(grad: Tensor, x: Tensor, top: float) -> tuple[Tensor, Tensor | None]:
    """Compute ReLU's gradient, and which images have none, (B, 1, ...); None where all have one."""
    ordinary = _mask_gradient(grad, x, top)
    rows = _flatten_images(ordinary)
    may_look = ordinary.device.type == "cpu" and get_proxy_mode() is None  # at numbers, which are recorded otherwise
    some = rows[:, :: max(1, rows.shape[1] // SAMPLE_SIZE)]
    if may_look and some.any(1).all():  # a cheap test that saves three passes
        return ordinary, None
    dead = torch.linalg.vector_norm(rows, ord=1, dim=1) == 0  # no square that underflows
    if may_look and not dead.any():
        return ordinary, None
    return ordinary, dead.view(grad.shape[:1] + (1,) * (grad.dim() - 1))


def _mask_gradient(grad: Tensor, x: Tensor, top: float) -> Tensor:
    """g·[0 <= x <= top], with torch's own kernels, many times faster than a mask; their interval is open."""
    least = torch.finfo(x.dtype)
    below = -least.smallest_normal * least.eps  # no number lies between this and 0
    if top == INFINITE:
        return torch.ops.aten.threshold_backward(grad, x, below)  # type: ignore[no-any-return]
    above = float(
        torch.nextafter(
            torch.tensor(top, dtype=x.dtype, device="cpu"), torch.tensor(INFINITE, dtype=x.dtype, device="cpu")
        )
    )
    return torch.ops.aten.hardtanh_backward(grad, x, below, above)  # type: ignore[no-any-return]


def _flatten_images(a: Tensor) -> Tensor:
    """(B, ...) -> (B, numbers), in memory order, so that nothing is copied."""
    if a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last):
        a = a.permute(0, 2, 3, 1)
    images = a.shape[0] if a.dim() else 1
    return a.reshape(images, a.numel() // max(images, 1))


Replacement: TypeAlias = type[RedirectedReLU]


def _relu(own: Replacement, x: Tensor, inplace: bool = False) -> Tensor:
    return own.apply(x, INFINITE, inplace)  # type: ignore[no-any-return]


def _relu6(own: Replacement, x: Tensor, inplace: bool = False) -> Tensor:
    return own.apply(x, 6.0, inplace)  # type: ignore[no-any-return]


def _hardtanh(
    own: Replacement, x: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    if (min_val, max_val) == (0.0, 6.0):
        return _relu6(own, x, inplace)
    return F.hardtanh(x, min_val, max_val, inplace)


REPLACEMENTS: Mapping[Any, Callable[..., Tensor]] = {
    **dict.fromkeys((F.relu, torch.relu, Tensor.relu), _relu),
    **dict.fromkeys((torch.relu_, Tensor.relu_), partial(_relu, inplace=True)),
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
}


class _ReplaceReLU(OverrideMode):
    """Inside, every ReLU and ReLU6, as module, function or in place, is replaced."""

    own: ClassVar[Replacement]

    def __init__(self) -> None:
        super().__init__({func: partial(new, self.own) for func, new in REPLACEMENTS.items()}, has_vmap=False)


class redirect_relu(_ReplaceReLU):
    """Inside, every ReLU and ReLU6, as module, function or in place, has a redirected gradient.

    Inside torch.vmap and other transforms of torch.func they keep their own.

    Example:
        >>> x = torch.tensor([[-1.0, -2.0]], requires_grad=True)
        >>> with redirect_relu():
        ...     y = torch.relu(x)
        >>> torch.autograd.grad(-y.sum(), x)
        (tensor([[-1., -1.]]),)
    """

    own = RedirectedReLU


class open_relu(_ReplaceReLU):
    """Inside, every ReLU and ReLU6 passes the whole gradient through for images whose gradient would be zero.

    Inside torch.vmap and other transforms of torch.func they keep their own.

    Example:
        >>> x = torch.tensor([[-1.0, -2.0]], requires_grad=True)
        >>> with open_relu():
        ...     y = torch.relu(x)
        >>> torch.autograd.grad(y.sum(), x)
        (tensor([[1., 1.]]),)
    """

    own = OpenedReLU
