"""Levels of an atlas: the same points in coarse cells and in fine ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from optvis.arguments import TensorFields, check_range, describe_value
from optvis.atlas.layout import cell_index
from optvis.atlas.samples import Samples
from optvis.errors import warn_user

ZOOMS = (1, 2, 4)  # of the levels, where none are given
MAX_CELLS, MAX_LEVELS = 500, 16  # cells per side: more are smaller than the points of a map


@dataclass(frozen=True, eq=False)
class Level(TensorFields):
    """The occupied cells of an n × n map, M of them, row by row.

    Args:
        size: n.
        cells: row, from the top, and column of each, (M, 2).
        counts: how many points each holds, (M,).
        vectors: their mean activation, (M, C).
        attribution: their mean attribution to each class, (M, K).
        nearest: rows of the samples nearest to the mean by cosine, nearest first, (M, J); -1 where there is none.
        icons: feature visualizations of the mean activation, (M, 3, S, S) in [0, 1].
        present: which cells have an icon, (M,).
        scores: of each icon, at the last step under its transforms, (M,); NaN where there is no icon.

    Raises:
        ValueError: tensors of other axes, or cells outside the map.
    """

    TENSOR_FIELDS: ClassVar = {
        "cells": "M 2: int",
        "counts": "M: int",
        "vectors": "M C",
        "attribution": "M K",
        "nearest": "M J: int",
        "icons": "M 3 S Z",
        "present": "M: bool",
        "scores": "M",
    }

    size: int
    cells: Tensor
    counts: Tensor
    vectors: Tensor
    attribution: Tensor
    nearest: Tensor
    icons: Tensor
    present: Tensor
    scores: Tensor

    def _check(self, sizes: Mapping[str, int]) -> None:
        check_range("cells", self.cells, 0, self.size)

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        return f"Level({self.size} × {self.size}, {len(self)} cells, {int(self.present.sum())} with an icon)"


def build_level(samples: Samples, points: Tensor, size: int, nearest: int) -> Level:
    """Build the cells of a level, without icons.

    Args:
        samples: N of them.
        points: across and down, (N, 2) in [0, 1].
        size: n.
        nearest: J, how many of the nearest samples are listed.
    """
    numbers, member = cell_index(points, size).unique(return_inverse=True)  # type: ignore[no-untyped-call]
    counts = member.bincount(minlength=len(numbers))
    vectors = group_means(samples.vectors, member, counts)
    return Level(
        size=size,
        cells=torch.stack([numbers // size, numbers % size], dim=1),
        counts=counts,
        vectors=vectors,
        attribution=group_means(samples.attribution, member, counts),
        nearest=_nearest_rows(samples.vectors, vectors, member, counts, nearest),
        icons=torch.empty(len(numbers), 3, 0, 0, dtype=torch.float32, device="cpu"),
        present=torch.zeros(len(numbers), dtype=torch.bool, device="cpu"),
        scores=torch.full((len(numbers),), torch.nan, dtype=torch.float32, device="cpu"),
    )


def group_means(values: Tensor, member: Tensor, counts: Tensor) -> Tensor:
    """The mean of each group's rows.  values (N, D), member (N,) in 0 … M − 1, counts (M,) -> (M, D)"""
    sums = torch.zeros(len(counts), values.shape[1], dtype=torch.float64, device="cpu").index_add_(
        0, member, values.double()
    )
    return (sums / counts.unsqueeze(1)).to(values.dtype)


def resolve_levels(sizes: Sequence[int] | None) -> tuple[int, ...] | None:
    """Sort sizes of levels from coarse to fine, each once; None stays.

    Raises:
        ValueError: there are none or over 16, or one is below 1 or over 500.
    """
    if sizes is None:
        return None
    levels = tuple(sorted(set(sizes[: MAX_LEVELS + 1])))
    if not levels or levels[0] < 1 or levels[-1] > MAX_CELLS or len(levels) > MAX_LEVELS:
        expected = f"at most {MAX_LEVELS} numbers of cells per side, 1 to {MAX_CELLS}, such as (10, 20, 40)"
        raise ValueError(f"levels are {describe_value(sizes)}; expected {expected}")
    return levels


def choose_levels(points: int, min_points: int, coarsest: int) -> tuple[int, ...]:
    """Choose cells per side for so many points: on average the coarsest cells hold as many as an icon needs.

    Args:
        points: number of points.
        min_points: how many points an icon needs.
        coarsest: the most cells per side of the coarsest level; each finer one has twice as many.

    Example:
        >>> choose_levels(4000, 5, 10), choose_levels(14, 1, 10)
        ((10, 20, 40), (3, 6, 12))
    """
    first = max(1, min(coarsest, math.isqrt(points // min_points)))
    return tuple(first * zoom for zoom in ZOOMS)


def keep_occupied(levels: Sequence[Level], min_points: int, *, are_chosen: bool) -> list[Level]:
    """Leave out chosen levels of which no cell holds enough points for an icon; warn of those that were given.

    Raises:
        ValueError: no cell of any level holds enough points.
    """
    occupied = [level for level in levels if bool((level.counts >= min_points).any())]
    if not occupied:
        points, largest = int(levels[0].counts.sum()), max(int(level.counts.max()) for level in levels)
        raise ValueError(
            f"no cell of {_list_sizes(levels)} holds {min_points} of the {points} points, so that the map would be "
            f"empty; give more images, fewer cells (levels=[1, 2]), or options=AtlasOptions(min_points={largest})"
        )
    empty = [level for level in levels if level not in occupied]
    if are_chosen or not empty:
        return occupied
    warn_user(f"no cell of {_list_sizes(empty)} holds {min_points} points: these levels are empty")
    return list(levels)


def _list_sizes(levels: Sequence[Level]) -> str:
    return ", ".join(f"{level.size} × {level.size}" for level in levels)


def _nearest_rows(vectors: Tensor, means: Tensor, member: Tensor, counts: Tensor, nearest: int) -> Tensor:
    """Rows of each group nearest to its mean by cosine, (M, J)."""
    cosines = F.cosine_similarity(vectors.double(), means.double()[member], dim=1)
    order = cosines.argsort(descending=True, stable=True)
    order = order[member[order].argsort(stable=True)]  # group by group, nearest first
    starts = counts.cumsum(0) - counts
    ranks = torch.arange(nearest, device="cpu")
    indices = (starts.unsqueeze(1) + ranks).clamp(max=max(0, len(order) - 1))
    return torch.where(ranks < counts.unsqueeze(1), order[indices], -1)
