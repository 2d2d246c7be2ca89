"""The optimizer of activation grids: without state, because each step updates other icons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from optvis.rendering.optimizers import ImageOptimizer, OptimizerMaker, list_parameters, root_mean_square


class SoftSignSGD(ImageOptimizer):
    """Stateless steps along the soft sign of the gradient, `lr · g / (|g| + eps)`, for images that change each step.

    g is the gradient divided by each image's root mean square, as in `ImageAdam`; frequencies with less than `eps` of
    that move less. Where each step updates a share `share` of all images, n steps are n · share updates of each, and
    the learning rate is lr / (1 + n · share / half_updates).

    Args:
        params: parameters with one image per row.
        lr: learning rate of the first step.
        eps: in units of an image's root mean square gradient.
        half_updates: updates of an image after which the learning rate is half of `lr`.
        share: the share of all images that each step updates.

    Example:
        >>> values = nn.Parameter(torch.zeros(2, 3))
        >>> optimizer = SoftSignSGD([values], lr=0.3, eps=0.5)
        >>> values.grad = torch.tensor([[1.0, 1.0, 1.0], [-8.0, 8.0, 8.0]])
        >>> _ = optimizer.step()
        >>> values.data
        tensor([[-0.2000, -0.2000, -0.2000],
                [ 0.2000, -0.2000, -0.2000]])
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.4,
        eps: float = 1.0,
        half_updates: float = 32.0,
        share: float = 1.0,
    ) -> None:
        super().__init__(list_parameters(params), {"lr": lr, "eps": eps})
        self.half_updates, self.share, self.step_count = half_updates, share, 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step, after `closure` has set the gradients."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            rate = group["lr"] / (1 + self.step_count * self.share / self.half_updates)
            for values in group["params"]:
                if values.grad is not None:
                    gradient = values.grad / root_mean_square(values.grad)
                    values.addcdiv_(gradient, gradient.abs().add_(group["eps"]), value=-rate)
        self.step_count += 1
        return loss


def require_stateless(optimizer: OptimizerMaker) -> None:
    """Raise ValueError if an optimizer keeps state of gradients: each step has other icons in the same rows."""
    probe = nn.Parameter(torch.ones(2, 1, 1, 1, 2, dtype=torch.float32, device="cpu"))
    probe.grad = torch.ones_like(probe)
    built = optimizer([probe])
    built.step(lambda: 0.0)
    state = [value for values in built.state.values() for value in values.values()]
    if any(isinstance(value, Tensor) and value.numel() > 1 for value in state):
        raise ValueError(
            f"{type(built).__name__} keeps state of gradients, but each step updates other icons; use a stateless one, "
            "such as partial(SoftSignSGD, lr=0.1) of optvis.grids, or torch.optim.SGD without momentum"
        )
