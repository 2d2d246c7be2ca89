"""What channels, directions and projections share: ranges, fills, orthonormal vectors, and how they are printed."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_SINGULAR_VALUE = 1e-6  # share of the largest; smaller ones are rounding errors


def validate_range(within: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return (lowest, highest) as floats, or None."""
    if within is None:
        return None
    lowest, highest = within
    if not all(isinstance(end, int | float) for end in (lowest, highest)):
        raise TypeError(f"within is {within!r}; expected two numbers, (lowest, highest)")
    lowest, highest = float(lowest), float(highest)
    if not lowest <= highest:
        raise ValueError(f"within is ({lowest:g}, {highest:g}); expected (lowest, highest)")
    return lowest, highest


def orthonormalize(rows: Tensor) -> Tensor:
    """Return a basis of the rows' span: one row, scaled, or the right singular vectors that are not rounding errors."""
    scaled: Tensor = rows.double() / torch.linalg.vector_norm(rows.double(), dim=1, keepdim=True)
    if len(scaled) == 1:
        return scaled
    _, strengths, right = torch.linalg.svd(scaled, full_matrices=False)
    basis: Tensor = right[strengths > MIN_SINGULAR_VALUE * strengths[0]]
    return basis


def expand_fill(fill: Tensor | float, values: Tensor) -> Tensor:
    """Make the fill broadcast with activations (B, C, ...); (C,) is one number a channel."""
    filling = torch.as_tensor(fill, dtype=values.dtype, device=values.device)
    return filling.view(1, -1, *[1] * (values.dim() - 2)) if filling.dim() == 1 else filling


def format_options(within: tuple[float, float] | None, channel_axis: int | None) -> str:
    """Format the options that are given, such as ", channel_axis=1"."""
    options = (("within", within), ("channel_axis", channel_axis))
    return "".join(f", {name}={value}" for name, value in options if value is not None)
