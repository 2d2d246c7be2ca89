"""How exactly a network computes in float32: CUDA's TF32 and bfloat16 are faster, and round more coarsely."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from optvis.errors import suggest
from optvis.interrupts import finish, hold_interrupts, hold_lock

Precision: TypeAlias = Literal["highest", "tf32", "bf16"]
PRECISIONS: tuple[str, ...] = get_args(Precision)

_LOCK = threading.RLock()
_wanted: list[tuple[object, bool]] = []  # of the open contexts of all threads
_before: list[Any] = []  # the flags as they were before the first of these


def check_precision(precision: str, dtype: torch.dtype = torch.float32) -> Precision:
    """Return a precision for a network of a dtype.

    Raises:
        ValueError: none of "highest", "tf32" and "bf16"; "bf16" for a network of float16, which autocast does not cast.

    Example:
        >>> check_precision("tf32")
        'tf32'
    """
    if precision not in PRECISIONS:
        listing = f"there are {', '.join(map(repr, PRECISIONS))}"
        raise ValueError(f"no precision {precision!r}; {suggest(str(precision), PRECISIONS, listing)}")
    if precision == "bf16" and dtype == torch.float16:
        raise ValueError(
            "precision is 'bf16' for a network of float16, which computes in half precision already; leave it out, or "
            "give the network in float32, network.float()"
        )
    return precision  # type: ignore[return-value]


@contextmanager
def multiply_in(precision: str, device: torch.device) -> Iterator[None]:
    """Inside, products of float32 on CUDA are exact to float32 at "highest" and TF32 otherwise, whatever the flags.

    Convolutions have the same bits each time, as with `torch.backends.cudnn.deterministic`. The flags are of the whole
    process: of contexts in several threads, the last one that was entered counts.

    Args:
        precision: "highest", "tf32" or "bf16".
        device: the network's; on others than CUDA, nothing changes.
    """
    if device.type != "cuda":
        yield
        return
    mark = object()

    def leave() -> None:
        with hold_lock(_LOCK):
            others = [pair for pair in _wanted if pair[0] is not mark]
            if len(others) < len(_wanted):
                _set_flags(_choose_flags(others[-1][1]) if others else _before)
                _wanted[:] = others

    with hold_interrupts():
        try:
            with hold_lock(_LOCK):
                if not _wanted:
                    _before[:] = [getattr(*flag) for flag in _list_flags()]
                _wanted.append((mark, precision != "highest"))
                _set_flags(_choose_flags(precision != "highest"))
            yield
        finally:
            finish(leave)


def cast_network(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Inside, a network computes in bfloat16 where that is asked for, by autocast: for its forward pass alone."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


def uncast(a: Tensor) -> Tensor:
    """Activations of a network in bfloat16, in float32, in which they are scored."""
    return a.float() if a.dtype == torch.bfloat16 else a


def _list_flags() -> list[tuple[Any, str]]:
    """Torch's flags of convolutions and products on CUDA: whether bits are the same each time, then of float32.

    Reading the older ones of float32 is an error where the newer ones were set.
    """
    return [(torch.backends.cudnn, "deterministic"), *_list_precisions()]


def _list_precisions() -> list[tuple[Any, str]]:
    if hasattr(torch.backends.cudnn, "conv"):
        places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
        return [(place, "fp32_precision") for place in places]
    return [(torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32")]


def _choose_flags(is_tf32: bool) -> list[Any]:
    """The values of the flags for reproducible bits, with TF32 or without."""
    flags = _list_precisions()
    value = ("tf32" if is_tf32 else "ieee") if flags[0][1] == "fp32_precision" else is_tf32
    return [True, *[value] * len(flags)]


def _set_flags(values: list[Any]) -> None:
    for (place, name), value in zip(_list_flags(), values, strict=True):
        setattr(place, name, value)
