"""The icons of an atlas: what the mean activation of each cell looks like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from optvis.atlas.levels import Level
from optvis.models.classifier import Classifier
from optvis.objectives import Objective, direction, whitening
from optvis.objectives.directions import power_option
from optvis.rendering.render import render
from optvis.rendering.result import Rendering
from optvis.transforms import STANDARD

CHUNK = 64  # icons that are drawn together, so that memory does not grow with the map


@dataclass(frozen=True, eq=False)
class Drawing:
    """How icons are drawn.

    An icon maximises the mean over positions of (a·v S) · max(0.1, cos)^p for the mean activation v of its cell, see
    `direction`. All begin with the same noise and see the same transforms, so that neighbours look alike.

    Args:
        size: side of an icon in pixels.
        steps: updates of each.
        power: p.
        damping: of the whitening S, see `whitening`; None asks for v itself.
        fewest: points under which a cell gets no icon.
        transform: between icon and network.
        seed: of noise and transforms.
        channel_axis: axis of the channels in the layer's output.
        progress: show a progress bar.

    Raises:
        ValueError: numbers out of range.
    """

    size: int
    steps: int
    power: float
    damping: float | None
    fewest: int
    transform: nn.Module | None = STANDARD
    seed: int = 0
    channel_axis: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        for name, value, least in (("size", self.size, 1), ("steps", self.steps, 0), ("fewest", self.fewest, 1)):
            if type(value) is not int or value < least:
                raise ValueError(f"{name} is {value!r}; expected a whole number, {least} or more")
        power_option(self.power)
        if self.damping is not None and not self.damping >= 0:
            raise ValueError(f"damping is {self.damping}; expected 0 or more, or None for no whitening")

    def drawn(
        self, classifier: Classifier, layer: str, levels: Sequence[Level], vectors: Tensor
    ) -> tuple[tuple[Level, ...], dict[str, Any]]:
        """Levels with their icons, coarse ones first; and what made these, with "interrupted" after Ctrl-C.

        Args:
            classifier: whose network is asked.
            layer: of which.
            levels: without icons.
            vectors: of all samples, whose second moment whitens, (N, C).
        """
        wanted = [(level.counts >= self.fewest).nonzero().flatten() for level in levels]
        asked = torch.cat([level.vectors[rows] for level, rows in zip(levels, wanted, strict=True)])
        if not len(asked):
            return tuple(_with_icons(level, rows, torch.empty(0, 3, self.size, self.size), torch.empty(0))
                         for level, rows in zip(levels, wanted, strict=True)), {"interrupted": False}  # fmt: skip
        made = render(
            classifier,
            self._question(layer, asked, vectors),
            size=self.size,
            steps=self.steps,
            transform=self.transform,
            seed=self.seed,
            batch_size=CHUNK,
            progress=self.progress,
        )
        count, scores = _begun(made)
        ends = torch.tensor([len(rows) for rows in wanted]).cumsum(0).clamp(max=count).tolist()
        starts = [0, *ends[:-1]]
        drawn = tuple(
            _with_icons(level, rows[: end - start], made.images[start:end], scores[start:end])
            for level, rows, start, end in zip(levels, wanted, starts, ends, strict=True)
        )
        left_out = ("objective", "seeds")  # as long as there are icons
        return drawn, {name: value for name, value in made.recipe.items() if name not in left_out}

    def _question(self, layer: str, asked: Tensor, vectors: Tensor) -> Objective:
        matrix = None if self.damping is None else whitening(vectors, damping=self.damping)
        return direction(layer, asked, power=self.power, whitening=matrix, channel_axis=self.channel_axis)


def _begun(made: Rendering) -> tuple[int, Tensor]:
    """How many of the images had a step, if they were to have any; and the last score of each, NaN where none."""
    if not len(made.scores):
        return len(made), made.scores.new_full((len(made),), torch.nan)
    steps = (~made.scores.isnan()).sum(0)
    last = made.scores.gather(0, (steps - 1).clamp(min=0).unsqueeze(0)).squeeze(0)
    return int((steps > 0).sum()), last


def _with_icons(level: Level, rows: Tensor, icons: Tensor, scores: Tensor) -> Level:
    """A level with icons for some of its cells."""
    side = icons.shape[-1]
    all_icons, all_scores = torch.full((len(level), 3, side, side), 0.5), torch.full((len(level),), torch.nan)
    present = torch.zeros(len(level), dtype=torch.bool)
    all_icons[rows], all_scores[rows], present[rows] = icons, scores.float(), True
    return replace(level, icons=all_icons, scores=all_scores, present=present)


__all__ = ["Drawing"]
