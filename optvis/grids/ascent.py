"""Gradient ascent on a pool of icons: each step updates a random few, all equally often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from optvis.objectives import Objective
from optvis.params.image_pool import ImagePool
from optvis.rendering.ascent import Ascent
from optvis.rendering.steps.step import Step


def shuffle_batches(count: int, batch_size: int, seed: int) -> Iterator[Tensor]:
    """Yield shuffled batches of the numbers 0 … count − 1 without end, (batch_size,), each number equally often.

    No number occurs twice in a batch.

    Example:
        >>> batches = shuffle_batches(5, 3, seed=0)
        >>> rows = torch.cat([next(batches) for _ in range(5)])
        >>> rows.bincount().tolist()
        [3, 3, 3, 3, 3]
    """
    generator = torch.Generator().manual_seed(seed)
    queue = torch.empty(0, dtype=torch.long, device="cpu")
    while True:
        if len(queue) < batch_size:
            order = torch.randperm(count, generator=generator, device="cpu")
            in_queue = torch.isin(order, queue)
            queue = torch.cat([queue, order[~in_queue], order[in_queue]])
        yield queue[:batch_size]
        queue = queue[batch_size:]


class IconAscent(Ascent):
    """An ascent on a pool of icons, of which each step updates a batch.

    The objective has one row for each icon of the pool; the parameterization's canvas is an `ImagePool`. `scores` holds
    the last score of each icon under its transforms, (N,), NaN before its first step.
    """

    chooses_images: ClassVar[bool] = True

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.canvas: ImagePool = self.param.canvas  # type: ignore[assignment]
        self.pool_objective, self.current_step = self.objective, -1
        self.batches = shuffle_batches(len(self.canvas.pool), len(self.canvas), self.draws.streams.seeds[0])
        self.scores = self.canvas.weights.new_full((len(self.canvas.pool),), torch.nan)

    def evaluate(self, index: int) -> tuple[Step, Sequence[Tensor | None]]:
        """Run one forward and backward pass of this step's icons; repeated calls of a step use the same icons."""
        if index != self.current_step:
            self.canvas.select(next(self.batches))
            self.objective, self.current_step = select_images(self.pool_objective, self.canvas.rows), index
        step, gradients = super().evaluate(index)
        self.scores[self.canvas.rows] = step.scores.to(self.scores.dtype)
        return step, gradients

    @torch.no_grad()
    def icons(self, rows: Tensor) -> Tensor:
        """The current images of some icons of the pool, (R,) -> (R, 3, H, W) in [0, 1]."""
        images = self.canvas.images(rows)
        for color_map in self.param.maps:  # type: ignore[union-attr]
            images = color_map(images)
        return images


def select_images(objective: Objective, rows: Tensor) -> Objective:
    """Select the rows of an objective for some of its images, in any order."""
    return Objective(
        tuple(replace(term, targets=tuple(target[rows] for target in term.targets)) for term in objective.terms)  # type: ignore[index]
    )
