"""Steps for a pool of icons: a random few at a time, each as often as any other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from optvis.models.classifier import Classifier
from optvis.objectives import Objective
from optvis.params import ImageParam
from optvis.params.image_pool import ImagePool
from optvis.rendering.ascent import Ascent, Step
from optvis.rendering.optimizers import OptimizerMaker, root_mean_square


class RowSteps(torch.optim.Optimizer):
    """Steps that remember nothing of an image, for images that come and go: lr · g / (|g| + eps).

    g is the gradient divided by each image's own root mean square, as in `ImageAdam`; frequencies with less than
    `eps` of that move less. Where a step moves a share `turn` of all images, n steps are n · turn updates of each,
    and the rate is lr / (1 + n · turn / halving).

    Args:
        params: parameters whose first axis is the images'.
        lr: learning rate of the first step.
        eps: in units of an image's root mean square gradient.
        halving: updates of an image after which the rate is half of `lr`.
        turn: which share of the images a step moves.

    Example:
        >>> values = nn.Parameter(torch.zeros(2, 3))
        >>> optimizer = RowSteps([values], lr=0.3, eps=0.5)
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
        halving: float = 32.0,
        turn: float = 1.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "eps": eps})
        self.halving, self.turn, self.taken = halving, turn, 0

    def step(self, closure: Any = None) -> Any:
        """One step, after `closure` has set the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rate = group["lr"] / (1 + self.taken * self.turn / self.halving)
            for values in group["params"]:
                if values.grad is not None:
                    _step(values, values.grad, rate, group["eps"])
        self.taken += 1
        return loss


@torch.no_grad()
def _step(values: nn.Parameter, gradient: Tensor, rate: float, eps: float) -> None:
    gradient = gradient / root_mean_square(gradient)
    values.addcdiv_(gradient, gradient.abs().add_(eps), value=-rate)


def check_forgetful(optimizer: OptimizerMaker) -> None:
    """Refuse an optimizer that remembers gradients: other icons take the place of those that it remembers.

    Raises:
        ValueError: it does.
    """
    probe = nn.Parameter(torch.ones(2, 1, 1, 1, 2))
    probe.grad = torch.ones_like(probe)
    trial = optimizer([probe])
    trial.step(lambda: 0.0)
    if any(
        isinstance(value, Tensor) and value.numel() > 1 for state in trial.state.values() for value in state.values()
    ):
        raise ValueError(
            f"{type(trial).__name__} remembers gradients of images, and each step has others; use one that does not, "
            "such as partial(RowSteps, lr=0.1) of optvis.grids.steps or torch.optim.SGD without momentum"
        )


def turns(count: int, at_once: int, seed: int) -> Iterator[Tensor]:
    """Rows of a pool without end, (at_once,) each: shuffled, none twice in a draw, each as often as any other.

    >>> draws = turns(5, 3, seed=0)
    >>> rows = torch.cat([next(draws) for _ in range(5)])
    >>> rows.bincount().tolist()
    [3, 3, 3, 3, 3]
    """
    generator = torch.Generator().manual_seed(seed)
    waiting = torch.empty(0, dtype=torch.long)
    while True:
        if len(waiting) < at_once:
            shuffled = torch.randperm(count, generator=generator)
            again = torch.isin(shuffled, waiting)
            waiting = torch.cat([waiting, shuffled[~again], shuffled[again]])
        yield waiting[:at_once]
        waiting = waiting[at_once:]


class GridAscent(Ascent):
    """An ascent of a pool of icons, of which each step shows some.

    Args:
        seed: of the shuffle.
        classifier: whose network is asked.
        objective: a row for each icon of the pool.
        image: its canvas is the pool, a `ImagePool`.
        given: as in `Ascent`.

    `scores` holds the last score of each icon as it was seen, (N,), NaN before its first step.
    """

    def __init__(self, seed: int, classifier: Classifier, objective: Objective, image: ImageParam, *given: Any) -> None:
        super().__init__(classifier, objective, image, *given)
        self.canvas: ImagePool = image.canvas  # type: ignore[assignment]
        self.maps, self.pool, self.shown = image.maps, objective, -1
        self.draws = turns(len(self.canvas.pool), len(self.canvas), seed)
        self.scores = self.canvas.weights.new_full((len(self.canvas.pool),), torch.nan)

    def evaluate(self, index: int) -> tuple[Step, Sequence[Tensor | None]]:
        """One forward and backward pass of the icons of this step; asked again, of the same ones."""
        if index != self.shown:
            self.canvas.select(next(self.draws))
            self.objective, self.shown = asked_of(self.pool, self.canvas.rows), index
        step, gradients = super().evaluate(index)
        self.scores[self.canvas.rows] = step.scores
        return step, gradients

    @torch.no_grad()
    def pictures(self, rows: Tensor) -> Tensor:
        """Any icons of the pool as they are now, (R,) -> (R, 3, H, W) in [0, 1]."""
        images = self.canvas.images(rows)
        for color_map in self.maps:
            images = color_map(images)
        return images


def asked_of(objective: Objective, rows: Tensor) -> Objective:
    """The same question for some of the images, in any order."""
    return Objective(
        tuple(replace(term, targets=tuple(target[rows] for target in term.targets)) for term in objective.terms)  # type: ignore[index]
    )


__all__ = ["GridAscent", "RowSteps"]
