"""Levels of an atlas: the same points in coarse cells and in fine ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.atlas.layout import cells_of
from optvis.atlas.samples import Samples


@dataclass(frozen=True, eq=False)
class Level:
    """The occupied cells of an n × n map, M of them, row by row.

    Args:
        size: n.
        cells: row, from the top, and column of each, (M, 2).
        counts: how many points it holds, (M,).
        vectors: their mean activation, (M, C).
        attribution: their mean attribution to each class, (M, K).
        nearest: rows of the samples nearest to the mean by cosine, nearest first, (M, J); -1 where there is none.
        icons: what the mean activation looks like, (M, 3, S, S) in [0, 1].
        present: which cells have an icon, (M,).
        scores: of each icon, as seen last through its transforms, (M,); NaN where there is none.
    """

    size: int
    cells: Tensor
    counts: Tensor
    vectors: Tensor
    attribution: Tensor
    nearest: Tensor
    icons: Tensor
    present: Tensor
    scores: Tensor

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        return f"Level({self.size} × {self.size}, {len(self)} cells, {int(self.present.sum())} with an icon)"


def level_of(samples: Samples, points: Tensor, size: int, nearest: int) -> Level:
    """The cells of one level, without icons.

    Args:
        samples: N of them.
        points: across and down, (N, 2) in [0, 1].
        size: n.
        nearest: J, how many of the nearest samples are named.
    """
    numbers, member = cells_of(points, size).unique(return_inverse=True)  # type: ignore[no-untyped-call]
    counts = member.bincount(minlength=len(numbers))
    vectors = means(samples.vectors, member, counts)
    nothing = torch.empty(len(numbers), 3, 0, 0)
    return Level(
        size,
        torch.stack([numbers // size, numbers % size], dim=1),
        counts,
        vectors,
        means(samples.attribution, member, counts),
        _nearest(samples.vectors, vectors, member, counts, nearest),
        nothing,
        torch.zeros(len(numbers), dtype=torch.bool),
        torch.full((len(numbers),), torch.nan),
    )


def means(values: Tensor, member: Tensor, counts: Tensor) -> Tensor:
    """The mean of each group's rows.  values (N, D), member (N,) in 0 … M − 1, counts (M,) -> (M, D)"""
    sums = torch.zeros(len(counts), values.shape[1], dtype=torch.float64).index_add_(0, member, values.double())
    return (sums / counts.unsqueeze(1)).to(values.dtype)


def _nearest(vectors: Tensor, centres: Tensor, member: Tensor, counts: Tensor, nearest: int) -> Tensor:
    """Rows of each group nearest to its centre by cosine, (M, J)."""
    cosines = torch.nn.functional.cosine_similarity(vectors.double(), centres.double()[member], dim=1)
    order = cosines.argsort(descending=True, stable=True)
    order = order[member[order].argsort(stable=True)]  # group by group, nearest first
    starts = counts.cumsum(0) - counts
    ranks = torch.arange(nearest)
    places = (starts.unsqueeze(1) + ranks).clamp(max=max(0, len(order) - 1))
    return torch.where(ranks < counts.unsqueeze(1), order[places], -1)


def checked_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """From coarse to fine.

    Raises:
        ValueError: none, or one under 1.
    """
    found = tuple(sorted(set(sizes)))
    if not found or any(type(size) is not int or size < 1 for size in found):
        raise ValueError(f"levels are {list(sizes)}; expected numbers of cells a side, such as (10, 20, 40)")
    return found


__all__ = ["Level", "level_of"]
