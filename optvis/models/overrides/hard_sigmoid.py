"""Hard sigmoids whose derivative can be differentiated; torch's cannot. No module is changed."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from optvis.models.overrides.mode import OverrideMode


def _hard_sigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Torch's hard sigmoid as a line: the same number, and the same slope, which is a constant here.

    >>> import torch
    >>> _hard_sigmoid(torch.tensor([-4.0, 0.0, 1.5, 4.0]))
    tensor([0.0000, 0.5000, 0.7500, 1.0000])
    """
    x = input.clone() if inplace else input
    fixed = x.detach()
    slope = ((fixed > -3) & (fixed < 3)).to(x.dtype) / 6
    found = F.hardsigmoid(fixed) + (x - fixed) * slope
    return input.copy_(found) if inplace else found


class differentiable_hard_sigmoid(OverrideMode):
    """Inside, hard sigmoids, as those of MobileNetV3, have second derivatives.

    Example:
        >>> import torch
        >>> x = torch.tensor([1.5], requires_grad=True)
        >>> with differentiable_hard_sigmoid():
        ...     y = F.hardsigmoid(x)
        >>> weight = torch.ones(1, requires_grad=True)
        >>> (slope,) = torch.autograd.grad(y, x, weight, create_graph=True)
        >>> torch.autograd.grad(slope, weight)
        (tensor([0.1667]),)
    """

    def __init__(self) -> None:
        super().__init__({F.hardsigmoid: _hard_sigmoid}, has_vmap=False)
