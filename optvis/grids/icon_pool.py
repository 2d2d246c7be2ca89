"""The icons of an activation grid: one for each position where anything is active, and one for each group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from optvis.data.images import RGB
from optvis.features.groups import Groups
from optvis.grids.ascent import IconAscent
from optvis.grids.result import ActivationGrid
from optvis.params import DecorrelatedColor, ImageParam, Sigmoid
from optvis.params.image_pool import ImagePool
from optvis.viz.sheet import as_rgb

BORDER = 2  # pixels cut from each side of a finished icon, as in Lucid's notebook "Activation Grids" (2018)
ICON_BATCH_SIZE = 64  # icons synthesised together, so that memory does not grow with the grid
GRAY_LEVEL = 0.5  # where there is no icon


@dataclass(frozen=True, eq=False)
class IconPool:
    """N icons in one pool: those of positions first, then those of groups."""

    activations: Tensor  # (B, C, h, w), float32, on the CPU
    groups: Groups | None  # of neurons that icons share; None for a naive grid

    def __len__(self) -> int:
        return int(self.present.sum()) + (0 if self.groups is None else len(self.groups))

    @cached_property
    def present(self) -> Tensor:
        """Where anything is active, (B, h, w)."""
        return self.activations.ne(0).any(1)

    @property
    def vectors(self) -> Tensor:
        """The activation vector that each icon maximises, (N, C)."""
        vectors = self.activations.movedim(1, -1)[self.present]
        return vectors if self.groups is None else torch.cat([vectors, self.groups.directions.to(vectors)])

    @property
    def weights(self) -> Tensor:
        """The weight of each group in each icon, (N, K)."""
        if self.groups is None:
            return torch.zeros(len(self), 0, dtype=torch.float32, device="cpu")
        return torch.cat(
            [
                self.groups.normalized_maps().movedim(1, -1)[self.present],
                torch.eye(len(self.groups), dtype=torch.float32, device="cpu"),
            ]
        )

    def build_param(self, size: int, batch_size: int, seed: int, channels: int = RGB) -> ImageParam:
        """Build the parameterization: with groups all icons start from the same noise, without each from its own."""
        count = len(self)
        seeds = tuple(range(seed, seed + count)) if self.groups is None else (seed,) * count
        pool = ImagePool(size + 2 * BORDER, seeds, self.weights, min(batch_size, count), channels=channels)
        return ImageParam(pool, *([DecorrelatedColor()] if channels == RGB else []), Sigmoid())

    def build_grid(self, ascent: IconAscent, images: Tensor, recipe: dict[str, Any]) -> ActivationGrid:
        """Build the result from the current icons of an ascent."""
        places = self.present.flatten().nonzero().squeeze(1)
        count, size = len(places), ascent.canvas.size[0] - 2 * BORDER
        icons = torch.full((self.present.numel(), 3, size, size), GRAY_LEVEL, dtype=torch.float32, device="cpu")
        for rows, some in _synthesize(ascent, range(count)):
            icons[places[rows]] = some
        scores = torch.full((self.present.numel(),), torch.nan, dtype=torch.float32, device="cpu")
        scores[places] = ascent.scores.cpu()[:count].float()
        group_icons = [some for _, some in _synthesize(ascent, range(count, len(self)))]
        return ActivationGrid(
            as_rgb(images.detach().cpu()),
            recipe["layer"],
            self.activations,
            icons.view(*self.present.shape, 3, size, size),
            self.present,
            scores.view(self.present.shape),
            recipe,
            self.groups,
            torch.cat(group_icons) if group_icons else None,
        )


def _synthesize(ascent: IconAscent, rows: range) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield icons in batches, without their border: rows of the pool, and (R, 3, S, S), float32, on the CPU."""
    inside = slice(BORDER, -BORDER)
    for start in rows[::ICON_BATCH_SIZE]:
        batch = torch.arange(start, min(start + ICON_BATCH_SIZE, rows.stop), device="cpu")
        yield batch, as_rgb(ascent.icons(batch)[:, :, inside, inside].float().cpu())
