"""Pictures at each precision; on a CPU, the numbers of convolutions and linear layers are rounded as a GPU rounds them.

A CPU has no TF32, and bfloat16 takes many times as long on most.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis import Classifier, render
from optvis.models.adapted.precision import Precision
from optvis.models.overrides.mode import OverrideMode

DROPPED = {"tf32": 13, "bf16": 16}  # bits of a float32's 23 that these lack


def render_at(precision: Precision, recipe: str, classifier: Classifier, targets: Any, seed: int, steps: int) -> Tensor:
    """Make pictures at a precision."""
    is_rounded = precision in DROPPED and classifier.device.type == "cpu"
    rounding: AbstractContextManager[Any] = round_products(precision) if is_rounded else nullcontext()
    with rounding:
        options = {"recipe": recipe, "precision": "highest" if is_rounded else precision, "progress": False}
        images: Tensor = render(classifier, targets.objective(), seed=seed, steps=steps, **options).images
    return images


def round_products(precision: str) -> OverrideMode:
    """Inside, convolutions and linear layers multiply rounded numbers, forward and backward; sums are in float32.

    In bfloat16 their results and gradients are rounded too, as autocast leaves them.
    """

    def convolve(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        result: Tensor = _Convolution.apply(precision, input, weight, bias, stride, padding, dilation, groups)
        return result

    def apply_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        result: Tensor = _Linear.apply(precision, input, weight, bias)
        return result

    return OverrideMode({F.conv2d: convolve, torch.conv2d: convolve, F.linear: apply_linear}, has_vmap=False)


def round_numbers(a: Tensor, precision: str) -> Tensor:
    """Round to the nearest numbers that a precision has, and keep their order in memory."""
    dropped = DROPPED[precision]
    bits = a.view(torch.int32) + (1 << (dropped - 1))
    return (bits & -(1 << dropped)).view(torch.float32)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, precision: str, input: Tensor, weight: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
        factors = round_numbers(input, precision), round_numbers(weight, precision)
        ctx.save_for_backward(*factors)
        ctx.precision, ctx.options = precision, options
        return _round_result(F.conv2d(*factors, bias, *options), precision)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        input, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.options
        pairs = ([one, one] if isinstance(one, int) else list(one) for one in (stride, padding, dilation))
        gradient = torch.ops.aten.convolution_backward(
            round_numbers(grads[0], ctx.precision),
            input,
            weight,
            None,
            *pairs,
            False,
            [0, 0],
            groups,
            [True, False, False],
        )[0]
        return None, _round_result(gradient, ctx.precision), *[None] * 6


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, precision: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        factors = round_numbers(input, precision), round_numbers(weight, precision)
        ctx.save_for_backward(factors[1])
        ctx.precision = precision
        return _round_result(F.linear(*factors, bias), precision)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        return None, _round_result(round_numbers(grads[0], ctx.precision) @ weight, ctx.precision), None, None


def _round_result(a: Tensor, precision: str) -> Tensor:
    return a.bfloat16().float() if precision == "bf16" else a
