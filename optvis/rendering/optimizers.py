"""Optimizers for images: what `render` uses by default, and Lucid's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

OptimizerMaker: TypeAlias = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def suited(image: nn.Module | None, optimizer: OptimizerMaker | None) -> OptimizerMaker:
    """The optimizer that was asked for; else the one that the image's canvas brings; else `FAST_ADAM`."""
    own: OptimizerMaker | None = getattr(image, "optimizer", None)
    return next((maker for maker in (optimizer, own) if maker is not None), FAST_ADAM)


class ImageAdam(torch.optim.Adam):
    """Adam on each image's gradient divided by its own root mean square, with a rate that falls off.

    Adam (Kingma & Ba 2014, arXiv:1412.6980) divides each number's step by the size of its gradients; with the usual
    tiny `eps` that makes the faintest frequency move as far as the strongest one, and images noisy. On gradients of
    unit mean square an `eps` near 1 means the same for every network and objective: frequencies with less than that
    share of the gradient move less. After n steps the rate is lr / (1 + n / halving).

    Args:
        params: parameters whose first axis is the images'.
        lr: learning rate of the first step.
        betas: how slowly the means of gradients and of their squares follow.
        eps: in units of an image's root mean square gradient.
        halving: steps after which the rate is half of `lr`.

    Example:
        >>> values = nn.Parameter(torch.zeros(2, 3))
        >>> optimizer = ImageAdam([values], lr=0.3)
        >>> values.grad = torch.tensor([[1.0, 1.0, 1.0], [1e6, 1e6, 1e6]])
        >>> _ = optimizer.step()
        >>> bool((values[0] == values[1]).all())
        True
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.4,
        betas: tuple[float, float] = (0.5, 0.99),
        eps: float = 0.5,
        halving: float = 32.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, fused=True)
        self.first_rate, self.halving, self.taken = lr, halving, 0

    def step(self, closure: Any = None) -> Any:
        """One step, after `closure` has set the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["lr"] = self.first_rate / (1 + self.taken / self.halving)
            for values in group["params"]:
                if values.grad is not None:
                    values.grad /= root_mean_square(values.grad)
        self.taken += 1
        super().step()
        return loss


def root_mean_square(gradient: Tensor) -> Tensor:
    """Of each image's own numbers, (B, 1, ...); 1 where they are all zero.

    Rows are summed before they are added up, so that an image's sum is rounded the same way alone and in a batch.
    """
    rows = gradient.flatten(3) if gradient.dim() > 3 else gradient.reshape(len(gradient), 1, -1)
    norm = torch.linalg.vector_norm(torch.linalg.vector_norm(rows, dim=-1).flatten(1), dim=1)
    mean = norm / math.sqrt(max(1, gradient[0].numel()))
    return torch.where(mean > 0, mean, 1).view(-1, *[1] * (gradient.dim() - 1))


FAST_ADAM = partial(ImageAdam, lr=0.4, betas=(0.5, 0.99), eps=0.5, halving=32.0)
ADAM = partial(torch.optim.Adam, lr=0.05, fused=True)  # Lucid's optimizer and rate


def optimizer_text(optimizer: OptimizerMaker) -> str:
    """How a recipe names an optimizer.

    >>> optimizer_text(ADAM)
    'Adam(lr=0.05, fused=True)'
    """
    if isinstance(optimizer, partial):
        options = ", ".join(f"{key}={value!r}" for key, value in optimizer.keywords.items())
        return f"{_name(optimizer.func)}({options})"
    return _name(optimizer)


def _name(maker: Any) -> str:
    return str(getattr(maker, "__name__", type(maker).__name__))
