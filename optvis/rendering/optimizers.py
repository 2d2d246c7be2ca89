"""Optimizers for images: Adam on gradients of unit mean square, and Lucid's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from optvis.arguments import describe_value

MIXING = frozenset({"LBFGS", "Adafactor", "Muon"})  # of torch, by name, as older versions lack some
OptimizerMaker: TypeAlias = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def default_optimizer(
    param: nn.Module | None, optimizer: OptimizerMaker | None, otherwise: OptimizerMaker | None = None
) -> OptimizerMaker:
    """The given optimizer; else the one that the parameterization's canvas brings; else another one, or `FAST_ADAM`."""
    own: OptimizerMaker | None = getattr(param, "optimizer", None)
    return next(maker for maker in (optimizer, own, otherwise, FAST_ADAM) if maker is not None)


def make_optimizer(maker: OptimizerMaker, params: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Make an optimizer of parameters.

    Raises:
        TypeError: it is none.
    """
    made = maker(params)
    if not isinstance(made, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer={maker!r} made {describe_value(made)} of the parameters; expected a function that returns a "
            "torch optimizer, such as partial(torch.optim.Adam, lr=0.1)"
        )
    return made


def list_parameters(params: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """List the parameters that an optimizer was given.

    Raises:
        ValueError: there are none.
        TypeError: something else is among them.
    """
    found = list(params)
    if not found:
        raise ValueError("no parameters; expected one or more, as param.parameters() gives them")
    for one in found:
        if not isinstance(one, torch.Tensor) or not one.is_leaf or not one.is_floating_point():
            raise TypeError(f"a parameter is {describe_value(one)}; expected leaf tensors of floats")
    return found


def set_rate(optimizer: OptimizerMaker, rate: float | None) -> OptimizerMaker:
    """The optimizer with another learning rate, `lr`; the same where that is None."""
    maker: Any = optimizer
    return optimizer if rate is None else partial(maker, lr=rate)


class ImageOptimizer(torch.optim.Optimizer):
    """An optimizer that does not import torch's compiler.

    The first call of torch's own `add_param_group` does that, and so does each `step` of its optimizers; it takes 1.6 s
    on a core of an AMD EPYC.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with the default settings."""
        self.param_groups.append(self.defaults | param_group)


class ImageAdam(ImageOptimizer):
    """Adam on each image's gradient divided by its own root mean square, with a decreasing learning rate.

    Adam (Kingma & Ba 2014, arXiv:1412.6980) divides the step of each number by the size of its gradients. With the
    usual tiny `eps` the weakest frequency moves as far as the strongest one, and images become noisy. On gradients of
    unit mean square an `eps` near 1 has the same effect for every network and objective: frequencies with a smaller
    share of the gradient move less. After n steps the learning rate is lr / (1 + n / halving).

    Args:
        params: parameters whose first axis is the batch.
        lr: learning rate of the first step.
        betas: decay rates of the running means of gradients and of their squares.
        eps: added to the denominator, in units of an image's root mean square gradient.
        halving: number of steps after which the learning rate is half of `lr`.

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
        if not (lr >= 0 and eps >= 0 and halving > 0 and all(0 <= beta < 1 for beta in betas)):
            expected = "0 or more, 0 or more, over 0, and two numbers from 0 to under 1"
            raise ValueError(f"lr, eps, halving and betas are {lr}, {eps}, {halving}, {betas}; expected {expected}")
        super().__init__(list_parameters(params), {"lr": lr, "betas": betas, "eps": eps})
        self.first_rate, self.halving, self.step_count = lr, halving, 0

    def step(self, closure: Any = None) -> Any:
        """Take one step, after `closure` has set the gradients."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            group["lr"] = self.first_rate / (1 + self.step_count / self.halving)
            for values in group["params"]:
                if values.grad is not None:
                    values.grad /= root_mean_square(values.grad)
                    self._update(values, values.grad, group)
        self.step_count += 1
        return loss

    def _update(self, values: nn.Parameter, gradient: Tensor, group: Mapping[str, Any]) -> None:
        """Take a step of torch's own Adam."""
        if not self.state[values]:
            means = {name: torch.zeros_like(values) for name in ("exp_avg", "exp_avg_sq")}
            self.state[values] = {"step": torch.zeros((), dtype=torch.float32, device=values.device), **means}
        state, (beta1, beta2) = self.state[values], group["betas"]
        with torch.no_grad():
            adam(
                [values],
                [gradient],
                [state["exp_avg"]],
                [state["exp_avg_sq"]],
                [],  # of AMSGrad
                [state["step"]],
                fused=True,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=0.0,
                eps=group["eps"],
                maximize=False,
            )


def root_mean_square(gradient: Tensor) -> Tensor:
    """Root mean square of each image's gradient, (B, 1, ...); 1 where the gradient is zero.

    Rows are summed first, then their sums, so that an image's sum is rounded the same way alone and in a batch.
    """
    rows = gradient.flatten(3) if gradient.dim() > 3 else gradient.reshape(len(gradient), 1, -1)
    norm = torch.linalg.vector_norm(torch.linalg.vector_norm(rows, dim=-1).flatten(1), dim=1)
    mean = norm / math.sqrt(max(1, gradient[0].numel()))
    return torch.where(mean > 0, mean, 1).view(-1, *[1] * (gradient.dim() - 1))


#: The optimizer of the recipe "plain": pictures in an eighth of Lucid's steps.
FAST_ADAM = partial(ImageAdam, lr=0.4, betas=(0.5, 0.99), eps=0.5, halving=32.0)
ADAM = partial(torch.optim.Adam, lr=0.05, fused=True)  #: Lucid's optimizer and learning rate


def mixes_images(maker: OptimizerMaker) -> bool:
    """Whether an optimizer takes one step size for all parameters together, so that each image has to have its own.

    >>> mixes_images(ADAM), mixes_images(partial(torch.optim.LBFGS, lr=0.5))
    (False, True)
    """
    kind: Any = maker.func if isinstance(maker, partial) else maker
    if not isinstance(kind, type):
        with suppress(Exception):  # whatever a function of the user's raises, it raises again for the images
            kind = type(maker([nn.Parameter(torch.zeros(1, 1, dtype=torch.float32, device="cpu"))]))
    return isinstance(kind, type) and kind.__name__ in MIXING


def describe_optimizer(optimizer: OptimizerMaker) -> str:
    """Name an optimizer with its settings, for a recipe.

    >>> describe_optimizer(ADAM)
    'Adam(lr=0.05, fused=True)'
    """
    maker: Any = optimizer.func if isinstance(optimizer, partial) else optimizer
    name = str(getattr(maker, "__name__", type(maker).__name__))
    if not isinstance(optimizer, partial):
        return name
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in optimizer.keywords.items())})"
