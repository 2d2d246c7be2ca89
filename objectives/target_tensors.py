"""Targets as users give them, turned into tensors with a row per image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def as_rows(target: Any, axes: int = 1) -> Tensor:
    """A target with a row per image, (B, ...): `axes` axes or one more than a single image's target has."""
    try:
        rows = _copy_tensor(target)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"target is {target!r}; expected numbers: a tensor with a row per image, (B, ...)") from error
    rows = rows.unsqueeze(0) if rows.dim() < axes else rows
    if len(rows) == 0:
        raise ValueError(f"target is {tuple(rows.shape)}; expected a row per image, or one for all")
    return rows


def as_vectors(vector: Any, what: str) -> Tensor:
    """A real vector per image, (B, C), or one for all, (1, C).

    >>> as_vectors([1, 2], "direction")
    tensor([[1., 2.]])
    """
    rows = as_rows(vector, axes=2)
    if rows.dim() != 2 or rows.numel() == 0:
        raise ValueError(f"{what} of shape {tuple(rows.shape)}; expected (C,), or one per image, (B, C)")
    return rows if rows.is_floating_point() else rows.to(torch.get_default_dtype())


def as_index(index: Any, what: str) -> Tensor:
    """Indices, (B,) or (1,), from an integer, a range, a list or a tensor.

    >>> as_index(range(3), "channel"), as_index(7, "channel")
    (tensor([0, 1, 2]), tensor([7]))
    """
    wrong = f"{what} is {index!r}; expected an integer, or a sequence with one integer per image"
    try:
        rows = as_rows(list(index) if isinstance(index, Iterable) and not isinstance(index, Tensor) else index)
    except (TypeError, ValueError) as error:
        raise TypeError(wrong) from error
    if rows.dim() != 1 or rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool:
        raise TypeError(wrong)
    return rows.long()


def _copy_tensor(target: Any) -> Tensor:
    """A copy on the CPU that nobody else can change; rows may also come one by one, as tensors or arrays."""
    if isinstance(target, Tensor):
        return target.detach().cpu().clone()
    if isinstance(target, list | tuple) and any(hasattr(row, "shape") for row in target):
        return torch.stack([_copy_tensor(row) for row in target])
    return torch.tensor(target)
