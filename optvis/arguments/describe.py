"""Hints, values and large tensors in words, for error messages and the repr of objects."""

from __future__ import annotations

import collections.abc
import hashlib
import inspect
import types
import typing
from collections.abc import Iterable
from reprlib import Repr
from typing import Any

import numpy as np
import torch

LONGEST_VALUE = 60  # characters of a value that are shown
MAX_NUMBERS = 64  # of a tensor that is written out
DIGEST_LENGTH = 12  # hexadecimal digits


def describe_hint(hint: Any) -> str:
    """Say what fits a hint.

    Example:
        >>> from collections.abc import Sequence
        >>> describe_hint(int | tuple[int, int] | Sequence[str] | None)
        'int, (int, int), a sequence of str or None'
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _alternatives(describe_hint(kind) for part in parts for kind in _list_kinds(part))
    if origin is typing.Literal:
        return _alternatives(map(repr, parts))
    if origin is tuple and parts[-1:] != (...,):
        return f"({', '.join(map(describe_hint, parts))})"
    if origin is collections.abc.Mapping:
        return f"a mapping of {describe_hint(parts[0])} to {describe_hint(parts[1])}"
    if origin is collections.abc.Callable:
        return "a function"
    if origin is not None:
        name = origin.__name__.casefold()
        return f"{'an' if name == 'iterable' else 'a'} {name} of {describe_hint(parts[0])}"
    if isinstance(hint, typing.TypeVar):
        return describe_hint(hint.__bound__)
    names = ["None" if kind is type(None) else getattr(kind, "__name__", str(kind)) for kind in _list_kinds(hint)]
    return _alternatives(names)


def _list_kinds(hint: Any) -> list[Any]:
    """The classes that can be built, where a hint is an abstract class of this package; else the hint itself."""
    if not inspect.isabstract(hint) or not hint.__module__.startswith("optvis."):
        return [hint]
    return [kind for below in hint.__subclasses__() for kind in _list_kinds(below)]


def describe_value(value: Any) -> str:
    """Say what a value is: its type, and what is short of it.

    Example:
        >>> describe_value("16"), describe_value(None), describe_value(torch.zeros(2, 8))
        ("str '16'", 'None', 'Tensor of shape (2, 8)')
    """
    kind = type(value).__name__
    if value is None:
        return kind.removesuffix("Type")
    if isinstance(value, torch.Tensor | np.ndarray):
        return f"{kind} of shape {tuple(value.shape)}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, torch.nn.Module) or callable(value):
        return f"{kind} {getattr(value, '__name__', '')}".rstrip()
    if isinstance(value, int) and value.bit_length() > 63:
        return f"{kind} of {value.bit_length()} bits; 63 is the most"
    text = " ".join(_SHORT.repr(value).split())
    return kind if text.startswith("<") else f"{kind} {text}"


def abbreviate_tensor(values: torch.Tensor) -> str | None:
    """Describe a tensor of more than 64 numbers by shape, dtype and digest; None for a smaller one.

    Example:
        >>> abbreviate_tensor(torch.zeros(100)), abbreviate_tensor(torch.zeros(64))
        ('<(100,) float32 sha256 7a12e5613633>', None)
    """
    if values.numel() <= MAX_NUMBERS:
        return None
    data = values.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
    name = str(values.dtype).removeprefix("torch.")
    return f"<{tuple(values.shape)} {name} sha256 {hashlib.sha256(data).hexdigest()[:DIGEST_LENGTH]}>"


_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = LONGEST_VALUE


def _alternatives(texts: Iterable[str]) -> str:
    """Texts joined by commas and "or", each once."""
    *first, last = dict.fromkeys(texts)
    return f"{', '.join(first)} or {last}" if first else last
