"""Targets of objectives: numbers, lists, arrays and tensors turned into tensors with a row per image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from optvis.arguments import describe_value

MAX_NUMBERS = 2**24  # of a target that is given as a range


def as_rows(target: Any, axes: int = 1, name: str = "target", expected: str = "") -> Tensor:
    """Turn a target into a tensor with a row per image, (B, ...), or with one for all, (1, ...).

    Args:
        target: numbers in any form.
        axes: number of axes of the result; a target with fewer gets the axis of images.
        name: what error messages call it.
        expected: its shapes, in words; the result must then have exactly `axes` axes and hold a number.

    Raises:
        TypeError: a target that does not hold real numbers.
        ValueError: a target without rows, or of another shape than is expected.
    """
    rows = as_numbers(target, name, ": a tensor with a row per image, (B, ...)")
    rows = rows.unsqueeze(0) if rows.dim() < axes else rows
    if len(rows) == 0:
        raise ValueError(f"{name} is {tuple(rows.shape)}; expected a row per image, or one for all")
    if expected and (rows.dim() != axes or rows.numel() == 0):
        raise ValueError(f"{name} is {tuple(rows.shape)}; expected {expected}")
    return rows


def as_numbers(target: Any, name: str, form: str = "") -> Tensor:
    """Copy numbers in any form to a tensor on the CPU.

    Args:
        target: numbers in any form.
        name: what error messages call it.
        form: what they add to "expected numbers".

    Raises:
        TypeError: what does not hold real numbers.
    """
    try:
        numbers = _copy_tensor(target)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} is {describe_value(target)}; expected numbers{form}") from error
    if numbers.is_complex():
        raise TypeError(f"{name} is {numbers.dtype}; expected real numbers: take .real, .imag or .abs()")
    return numbers


def as_vectors(vector: Any, name: str) -> Tensor:
    """Turn a target into one real vector per image, (B, C), or one for all, (1, C).

    Example:
        >>> as_vectors([1, 2], "direction")
        tensor([[1., 2.]])
    """
    rows = as_rows(vector, 2, name, "(C,), or one per image, (B, C)")
    return rows if rows.is_floating_point() else rows.float()


def as_index(index: Any, name: str) -> Tensor:
    """Turn an integer, a range, a list or a tensor into indices, (B,) or (1,).

    Example:
        >>> as_index(range(3), "channel"), as_index(7, "channel")
        (tensor([0, 1, 2]), tensor([7]))
    """
    message = f"{name} is {describe_value(index)}; expected an integer, or a sequence with one integer per image"
    try:
        is_list = isinstance(index, Iterable) and not isinstance(index, Tensor | range)
        rows = as_rows(list(index) if is_list else index)
    except (TypeError, ValueError) as error:
        raise TypeError(message) from error
    if rows.dim() != 1 or rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool:
        raise TypeError(message)
    return rows.long()


@torch.inference_mode(mode=False)
def _copy_tensor(target: Any) -> Tensor:
    """Copy to the CPU, so that later changes by the caller have no effect. Lists may hold tensors or arrays."""
    if isinstance(target, Tensor):
        return target.detach().cpu().clone()
    if isinstance(target, range) and len(target) > MAX_NUMBERS:
        raise ValueError(f"{len(target):,} numbers; expected at most {MAX_NUMBERS:,}")
    if isinstance(target, list | tuple) and any(hasattr(row, "shape") for row in target):
        return torch.stack([_copy_tensor(row) for row in target])
    values = torch.tensor(target, device="cpu")
    is_coarse = values.is_floating_point() and not hasattr(target, "dtype") and values.dtype.itemsize < 4
    return torch.tensor(target, dtype=torch.float32, device="cpu") if is_coarse else values
