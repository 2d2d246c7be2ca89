"""Transforms that pass the images on unchanged and rescale the gradient in the backward pass."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from optvis.params.streams import Streams
from optvis.transforms.transform import Transform


class RescaleGradient(torch.autograd.Function):
    """The identity. In the backward pass each image's gradient g becomes g · size / ‖g‖₂, and 0 stays 0."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, size: float) -> Tensor:
        ctx.size = size
        return images.clone()  # in-place changes of a view would raise

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grad,) = grads
        largest = grad.abs().amax(dim=(1, 2, 3), keepdim=True)
        unit = grad / largest.where(largest > 0, 1)  # squares cannot underflow
        norm = torch.linalg.vector_norm(unit, dim=(1, 2, 3), keepdim=True)
        return unit * (ctx.size / norm.where(norm > 0, 1)), None


class NormalizeGradient(Transform):
    """Pass the images on, and divide each image's gradient by its L2 norm in the backward pass.

    Lucid's `normalize_gradient` (lucid.optvis.transform, 2018). A gradient of zero stays zero; in Lucid it becomes NaN.
    Terms on the image itself (`"<image>"`) do not pass through the chain. `ImageAdam`, the default optimizer, has much
    the same effect on an image's parameters; this transform is for other optimizers, and for parameters that images
    share.

    Args:
        norm: norm of each image's gradient, (3, H, W), after the division.

    Example:
        >>> x = torch.rand(2, 3, 4, 4, requires_grad=True)
        >>> score = 1e-9 * NormalizeGradient()(x, Streams((0, 1), "demo")).square().sum()
        >>> torch.autograd.grad(score, x)[0].flatten(1).norm(dim=1).round(decimals=4)
        tensor([1., 1.])
    """

    def __init__(self, norm: float = 1.0) -> None:
        super().__init__(norm)
        self.norm = _require_positive(norm, "NormalizeGradient")

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        return RescaleGradient.apply(images, self.norm)  # type: ignore[no-any-return]


class NormalizeGradientRMS(Transform):
    """Pass the images on, and divide each image's gradient by its root mean square in the backward pass.

    Like `NormalizeGradient`, but the size of a step does not depend on the number of pixels. DeepDream divides by the
    standard deviation, `g /= g.std()` (Mordvintsev et al. 2015, in TensorFlow's deepdream tutorial); here the mean is
    not subtracted.

    Args:
        rms: root mean square of each image's gradient after the division.

    Example:
        >>> x = torch.rand(2, 3, 4, 4, requires_grad=True)
        >>> score = 1e-9 * NormalizeGradientRMS()(x, Streams((0, 1), "demo")).square().sum()
        >>> torch.autograd.grad(score, x)[0].square().mean((1, 2, 3)).round(decimals=4)
        tensor([1., 1.])
    """

    def __init__(self, rms: float = 1.0) -> None:
        super().__init__(rms)
        self.rms = _require_positive(rms, "NormalizeGradientRMS")

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        return RescaleGradient.apply(images, self.rms * math.sqrt(images[0].numel()))  # type: ignore[no-any-return]


def _require_positive(size: float, name: str) -> float:
    if not 0 < size < math.inf:
        raise ValueError(f"{name} got {size!r}; expected a positive number")
    return size
