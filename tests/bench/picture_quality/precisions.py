"""Pictures at each precision; on a CPU, which has no TF32, the factors of a network's products are rounded to it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis import Classifier, render
from optvis.models.adapted.precision import Precision
from optvis.models.overrides.mode import OverrideMode

DROPPED = 13  # bits of a float32's 23 that TF32 lacks


def render_at(precision: Precision, recipe: str, classifier: Classifier, targets: Any, seed: int, steps: int) -> Tensor:
    """Make pictures at a precision."""
    is_rounded = precision == "tf32" and classifier.device.type == "cpu"
    rounding: AbstractContextManager[Any] = round_products() if is_rounded else nullcontext()
    with rounding:
        options = {"recipe": recipe, "precision": precision, "progress": False}
        images: Tensor = render(classifier, targets.objective(), seed=seed, steps=steps, **options).images
    return images


def round_products() -> OverrideMode:
    """Inside, convolutions and linear layers multiply numbers that are rounded to TF32, forward and backward."""
    return OverrideMode({F.conv2d: _convolve, torch.conv2d: _convolve, F.linear: _apply_linear}, has_vmap=False)


def round_to_tf32(a: Tensor) -> Tensor:
    """Round to the nearest number with 10 bits behind the leading one, as TF32 has them."""
    bits = a.contiguous().view(torch.int32) + (1 << (DROPPED - 1))
    return (bits & -(1 << DROPPED)).view(torch.float32)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
        ctx.save_for_backward(rounded := _round_in_place(input), weight)
        ctx.options = options
        return F.conv2d(rounded, _round_in_place(weight), bias, *options)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.options
        pairs = ([one, one] if isinstance(one, int) else list(one) for one in (stride, padding, dilation))
        places = (False, [0, 0], groups, [True, False, False])
        gradient = torch.ops.aten.convolution_backward(
            _round_in_place(grads[0]), input, _round_in_place(weight), None, *pairs, *places
        )[0]
        return gradient, None, None, None, None, None, None


def _convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    result: Tensor = _Convolution.apply(input, weight, bias, stride, padding, dilation, groups)
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return F.linear(round_to_tf32(input), round_to_tf32(weight), bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return round_to_tf32(grads[0]) @ round_to_tf32(weight), None, None


def _apply_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    result: Tensor = _Linear.apply(input, weight, bias)
    return result


def _round_in_place(a: Tensor) -> Tensor:
    """Round, and keep the order of channels in memory."""
    is_last = a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last)
    return round_to_tf32(a.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) if is_last else round_to_tf32(a)
