"""Does a value fit a hint? The function that says so is built once for each hint."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

MAX_INT = 2**63  # larger integers fit no tensor
SKIP = object()  # what a value that does not fit becomes
Fit = Callable[[Any], Any]  # a value -> the value to pass on, or SKIP


class _Late(type):
    def __instancecheck__(cls, value: Any) -> bool:
        module = sys.modules.get("PIL.Image")  # where nobody has imported it, there is no image
        return module is not None and isinstance(value, module.Image)


class PillowImage(metaclass=_Late):
    """Stands for `PIL.Image.Image` without importing Pillow."""


@functools.cache
def build_fit(hint: Any) -> Fit:
    """Build the function that fits values to a hint; anything fits what is neither a class nor a container of them.

    Example:
        >>> fit = build_fit(int | tuple[int, int])
        >>> fit([64, np.int64(96)]), fit("64") is SKIP
        ((64, 96), True)
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if origin in (typing.Union, types.UnionType):
        return _fit_union([build_fit(part) for part in parts])
    if origin is typing.Literal:
        return _fit_class(tuple({type(part) for part in parts}))
    if origin is tuple and parts[-1:] != (...,):
        return _fit_row([build_fit(part) for part in parts])
    if origin in _COLLECTIONS:
        return _fit_items(origin, build_fit(parts[0]))
    if origin is Mapping:
        return _fit_mapping(*map(build_fit, parts))
    if isinstance(hint, typing.TypeVar) and hint.__bound__ is not None:
        return build_fit(hint.__bound__)
    cls = origin or hint
    is_protocol = getattr(cls, "_is_protocol", False)  # isinstance refuses those that do not allow it
    return _fit_class((cls,)) if isinstance(cls, type) and not is_protocol else anything


def anything(value: Any) -> Any:
    """Fit any value."""
    return value


def _int(value: Any) -> Any:
    value = int(value) if isinstance(value, np.integer) or _is_whole_tensor(value) else value
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return value if is_int and -MAX_INT <= value < MAX_INT else SKIP


def _float(value: Any) -> Any:
    value = value.item() if isinstance(value, np.integer | np.floating) else value
    return value if isinstance(value, float) or (isinstance(value, int) and abs(value) <= sys.float_info.max) else SKIP


def _bool(value: Any) -> Any:
    return bool(value) if isinstance(value, bool | np.bool_) else SKIP


def _callable(value: Any) -> Any:
    return value if callable(value) else SKIP


_SIMPLE: dict[Any, Fit] = {
    **dict.fromkeys((Any, object, inspect.Parameter.empty), anything),
    int: _int,
    float: _float,
    bool: _bool,
    Callable: _callable,
}
_COLLECTIONS = (tuple, list, set, frozenset, Sequence, Collection, Iterable)


def _fit_class(classes: tuple[type, ...]) -> Fit:
    return lambda value: value if isinstance(value, classes) else SKIP


def _fit_union(fits: Sequence[Fit]) -> Fit:
    """A value that fits one member as it is stays as it is."""

    def fit(value: Any) -> Any:
        found = SKIP
        for each in fits:  # no generator: an interrupt that comes while one is closed would be lost
            fitted = each(value)
            if fitted is value:
                return value
            if found is SKIP:
                found = fitted
        return found

    return anything if anything in fits else fit


def _fit_row(fits: Sequence[Fit]) -> Fit:
    """A tuple of a fixed length; a list of that length becomes one."""

    def fit(value: Any) -> Any:
        value = _as_list(value)
        if not isinstance(value, tuple | list) or len(value) != len(fits):
            return SKIP
        return _rebuild(value, [each(item) for each, item in zip(fits, value, strict=True)], tuple)

    return fit


def _fit_items(origin: Any, item: Fit) -> Fit:
    """A collection. A text is none; the items of iterators and of lazy sequences are not looked at."""

    def fit(value: Any) -> Any:
        value = _as_list(value)
        if isinstance(value, str | bytes) or not _is_collection(value, origin):
            return SKIP
        if isinstance(value, range) and any(item(end) is SKIP for end in (*value[:1], *value[-1:])):
            return SKIP
        if isinstance(value, dict):  # its keys
            return value if all(item(each) is each for each in value) else SKIP
        if isinstance(value, tuple | list | set | frozenset):
            return _rebuild(value, [item(each) for each in value], tuple if origin is tuple else type(value))
        return tuple(value) if origin is tuple else value

    return fit


def _fit_mapping(key: Fit, item: Fit) -> Fit:
    """A mapping; the items of lazy ones are not looked at."""

    def fit(value: Any) -> Any:
        if not isinstance(value, dict):
            return value if isinstance(value, Mapping) else SKIP
        keys = _rebuild(tuple(value), [key(each) for each in value], tuple)
        items = _rebuild(tuple(value.values()), [item(each) for each in value.values()], tuple)
        if keys is SKIP or items is SKIP:
            return SKIP
        return dict(zip(keys, items, strict=True))

    return fit


def _rebuild(value: Collection[Any], items: list[Any], kind: Callable[[list[Any]], Any]) -> Any:
    """The fitted items in a container of this kind; the container itself where nothing changed."""
    if any(each is SKIP for each in items):
        return SKIP
    is_same = kind is type(value) and all(new is old for new, old in zip(items, value, strict=True))
    return value if is_same else kind(items)


def _as_list(value: Any) -> Any:
    """A list in place of a one-dimensional array or tensor."""
    is_row = isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 1
    return value.tolist() if is_row else value


def _is_collection(value: Any, origin: Any) -> bool:
    """Whether a value is what the hint's class asks for.

    Whatever has a length and takes an index is a sequence; units of this package, which take slices alone, are not.
    """
    if origin in (tuple, Sequence):
        if type(value).__module__.startswith("optvis."):
            return isinstance(value, Sequence)
        is_table = isinstance(value, Mapping | set | frozenset | np.ndarray | torch.Tensor)
        return hasattr(value, "__len__") and hasattr(value, "__getitem__") and not is_table
    return isinstance(value, origin)


def _is_whole_tensor(value: Any) -> bool:
    """Whether this is a tensor of one integer, such as `torch.tensor(3)`."""
    is_integer = isinstance(value, torch.Tensor) and not value.is_floating_point() and not value.is_complex()
    return is_integer and value.dim() == 0 and value.dtype != torch.bool
