"""Networks without their nonlinearities: what the weights alone compute. No module is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.models.overrides.max_pool import Window
from optvis.models.overrides.mode import OverrideMode


def _identity(input: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return input


def _average_pool(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor:
    if return_indices or any(step != 1 for step in (dilation if isinstance(dilation, tuple | list) else [dilation])):
        return _refuse("indices" if return_indices else "dilation")
    return Window(kernel_size, stride or None, padding, ceil_mode).mean(input)


def _refuse(what: str) -> Tensor:
    raise ValueError(f"max pooling with {what}: average pooling has none, so this network has no linear form")


def _adaptive_average_pool(input: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
    return _refuse("indices") if return_indices else F.adaptive_avg_pool2d(input, output_size)


_POINTWISE = ("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "softplus",
              "rrelu", "prelu", "threshold", "hardtanh")  # fmt: skip
_IN_PLACE = ("relu_", "leaky_relu_", "elu_", "celu_", "selu_", "rrelu_", "threshold_", "hardtanh_")

LINEAR: Mapping[Any, Callable[..., Tensor]] = {
    **{getattr(F, name): _identity for name in (*_POINTWISE, *_IN_PLACE) if hasattr(F, name)},
    **dict.fromkeys((torch.relu, torch.relu_, Tensor.relu, Tensor.relu_), _identity),
    F.max_pool2d: _average_pool,
    torch.max_pool2d: _average_pool,
    F.adaptive_max_pool2d: _adaptive_average_pool,
    F.max_pool2d_with_indices: lambda *_args, **_kwargs: _refuse("indices"),
    F.adaptive_max_pool2d_with_indices: lambda *_args, **_kwargs: _refuse("indices"),
}


class linearize(OverrideMode):
    """Inside, activation functions return their input, and max pooling averages.

    The derivative of a layer by an earlier one is then given by the weights between them, for any input: the expanded
    weights of Voss et al., "Visualizing Weights", Distill 2021, doi:10.23915/distill.00024.007. Attention, and
    normalisation with statistics of its own input, are not changed: where they lie between, the derivative holds for
    the input at hand.

    Raises:
        ValueError: inside, for a max pooling with dilation or with indices.

    Example:
        >>> x = torch.tensor([[-1.0, 2.0]])
        >>> with linearize():
        ...     torch.relu(x)
        tensor([[-1.,  2.]])
    """

    def __init__(self) -> None:
        super().__init__(LINEAR, has_vmap=True)
