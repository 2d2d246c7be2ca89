"""Checks of the tensors of a page."""

from __future__ import annotations

from torch import Tensor


def check_axes(name: str, a: Tensor, axes: str) -> None:
    """Check the number of axes, such as "(h, w)", and that none is empty.

    Raises:
        ValueError: otherwise; the message begins with the name.
    """
    if a.dim() != axes.count(",") + 1 or 0 in a.shape:
        raise ValueError(f"{name}: expected {axes}; got {format_shape(a.shape)}")


def check_shape(name: str, a: Tensor, shape: tuple[int, ...], *, finite: bool = True) -> None:
    """Check the shape, and that all numbers are finite.

    Raises:
        ValueError: otherwise; the message begins with the name.
    """
    if tuple(a.shape) != shape:
        raise ValueError(f"{name}: expected {format_shape(shape)}; got {format_shape(a.shape)}")
    if finite and not a.isfinite().all():
        raise ValueError(f"{name}: has numbers that are not finite")


def icon_size(icons: Tensor) -> tuple[int, int]:
    """Height and width of square icons (…, s, s)."""
    return icons.shape[-1], icons.shape[-1]


def format_shape(shape: tuple[int, ...]) -> str:
    """Write a shape without a trailing comma.

    >>> format_shape((3, 4))
    '(3, 4)'
    """
    return "(" + ", ".join(map(str, shape)) + ")"
