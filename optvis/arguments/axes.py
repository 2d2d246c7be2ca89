"""Axes and dtypes of tensors, checked against texts such as "B 3 H W"; counts and ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

DTYPES: dict[str, Callable[[torch.dtype], bool]] = {
    **dict.fromkeys(("float", "finite float"), lambda dtype: dtype.is_floating_point),
    "bool": lambda dtype: dtype == torch.bool,
    "any": lambda _: True,
    "int": lambda dtype: not (dtype.is_floating_point or dtype.is_complex or dtype == torch.bool),
}


def check_axes(
    tensors: Mapping[str, Tensor], axes: Mapping[str, str] | str, sizes: Mapping[str, int] = MappingProxyType({})
) -> dict[str, int]:
    """Check axes and dtypes of tensors.

    Args:
        tensors: by name.
        axes: of each tensor, or of all, a text such as "B 3 H W": a number is a size, and the same letter is the same
            size in all tensors. "..." at the end stands for any further axes. The dtype follows after a colon:
            "B h w: bool", "B: int", "B: any", "B: finite float", without NaN or infinity; the default is "float".
        sizes: known sizes of letters.

    Returns:
        The sizes of all letters.

    Raises:
        ValueError: a tensor has another shape or dtype, or numbers that are not finite.

    Example:
        >>> check_axes({"images": torch.rand(2, 3, 8, 6), "scores": torch.rand(9, 2)},
        ...            {"images": "B 3 H W", "scores": "T B"})
        {'B': 2, 'H': 8, 'W': 6, 'T': 9}
        >>> check_axes({"scores": torch.rand(9, 4)}, "T B", {"B": 2})
        Traceback (most recent call last):
        ValueError: scores has shape (9, 4); expected (T, B) with B = 2
    """
    found = dict(sizes)
    for name, tensor in tensors.items():
        text, _, dtype = (axes if isinstance(axes, str) else axes[name]).partition(":")
        letters = text.removesuffix("...").split()
        is_open = text.endswith("...")
        expected = f"({', '.join(text.split())})" + "".join(f" with {a} = {found[a]}" for a in letters if a in found)
        if tensor.dim() < len(letters) or (tensor.dim() > len(letters) and not is_open):
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected {expected}")
        for letter, size in zip(letters, tensor.shape, strict=False):
            if size != (int(letter) if letter.isdecimal() else found.setdefault(letter, size)):
                raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected {expected}")
        kind = dtype.strip() or "float"
        if not DTYPES[kind](tensor.dtype):
            raise ValueError(f"{name} is {str(tensor.dtype).removeprefix('torch.')}; expected {kind}")
        if kind == "finite float" and not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} has NaN or infinite numbers; expected finite ones")
    return found


def check_count(name: str, count: int, expected: int, of: str) -> None:
    """Check the length of a list beside tensors.

    Raises:
        ValueError: it has another length.
    """
    if count != expected:
        raise ValueError(f"{name} has {count} entries for {expected} {of}")


def check_minimum(minimum: float, /, **values: float | None) -> None:
    """Check that numbers, each given by its name, are not below a minimum; None is not checked.

    Raises:
        ValueError: one is, or is NaN.

    Example:
        >>> check_minimum(1, steps=8, size=None, top=0)
        Traceback (most recent call last):
        ValueError: top is 0; expected 1 or more
    """
    for name, value in values.items():
        if value is not None and not value >= minimum:
            raise ValueError(f"{name} is {value}; expected {minimum} or more")


def check_range(name: str, numbers: Tensor, start: int, stop: int) -> None:
    """Check that integers are in [start, stop).

    Raises:
        ValueError: one is not.
    """
    low, high = (int(numbers.min()), int(numbers.max())) if numbers.numel() else (start, stop - 1)
    if low < start or high >= stop:
        raise ValueError(f"{name} has numbers from {low} to {high}; expected {start}..{stop - 1}")
