"""What pages ask of the tensors that they are given."""

from __future__ import annotations

from torch import Tensor


def check_axes(name: str, a: Tensor, axes: str) -> None:
    if a.dim() != axes.count(",") + 1 or 0 in a.shape:
        raise ValueError(f"{name}: expected {axes}; got {text_of(a.shape)}")


def check_shape(name: str, a: Tensor, shape: tuple[int, ...], *, finite: bool = True) -> None:
    if tuple(a.shape) != shape:
        raise ValueError(f"{name}: expected {text_of(shape)}; got {text_of(a.shape)}")
    if finite and not a.isfinite().all():
        raise ValueError(f"{name}: has numbers that are not finite")


def square(icons: Tensor) -> tuple[int, int]:
    return icons.shape[-1], icons.shape[-1]


def text_of(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
