"""JSON checked against type hints: one sentence for what is missing, unknown or of another type."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any

from optvis.arguments import describe_hint, describe_value


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: the text is no JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is JSON nested too deeply") from None


def read_value(hint: Any, value: Any, name: str = "it") -> Any:
    """Build what a hint names from JSON types.

    Args:
        hint: int, float, bool, str, None, Any, a Literal, a union, a tuple, a mapping, a dataclass, or these nested.
            Lists become tuples, objects become dataclasses. Numbers are finite, and integers fit 64 bits.
        value: what `json.loads` returned.
        name: what error messages call the value.

    Raises:
        ValueError: the value does not fit; the message names the innermost value that does not.

    Example:
        >>> read_value(tuple[int, ...], [1, 2])
        (1, 2)
        >>> read_value(dict[str, float], {"a": 1, "b": "x"}, "shares")
        Traceback (most recent call last):
        ValueError: shares['b'] must be float, got str 'x'
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _read_union(parts, value, name, hint)
    if origin is typing.Literal:
        return _require(type(value) in map(type, parts) and value in parts, value, name, hint)
    if origin in (tuple, Sequence):
        _require(isinstance(value, list | tuple), value, name, hint)
        is_row = parts[-1:] != (...,) and origin is tuple
        _require(not is_row or len(value) == len(parts), value, name, hint)
        hints = parts if is_row else parts[:1] * len(value)
        return tuple(read_value(h, v, f"{name}[{at}]") for at, (h, v) in enumerate(zip(hints, value, strict=True)))
    if origin in (dict, Mapping):
        _require(isinstance(value, dict), value, name, hint)
        return {key: read_value(parts[1], item, f"{name}[{key!r}]") for key, item in value.items()}
    if is_dataclass(hint):
        return _read_dataclass(typing.cast(Any, hint), value, name)
    return _require(_is_plain(hint, value), value, name, hint)


def _is_plain(hint: Any, value: Any) -> bool:
    """Whether a value is the number, text, truth value or None that a hint asks for."""
    if hint in (int, float):
        is_number = isinstance(value, int | float if hint is float else int) and not isinstance(value, bool)
        return is_number and (math.isfinite(value) if isinstance(value, float) else value.bit_length() < 64)
    return type(value) is hint or (hint is None and value is None)


def _require(is_right: bool, value: Any, name: str, hint: Any) -> Any:
    if not is_right:
        raise ValueError(f"{name} must be {describe_hint(hint)}, got {describe_value(value)}")
    return value


def _read_union(parts: Sequence[Any], value: Any, name: str, hint: Any) -> Any:
    """The first member that fits; an error of the only one besides None says more."""
    if value is None and type(None) in parts:
        return None
    others = [part for part in parts if part is not type(None)]
    if len(others) == 1:
        return read_value(others[0], value, name)
    for part in others:
        with suppress(ValueError):
            return read_value(part, value, name)
    return _require(False, value, name, hint)


def _read_dataclass(cls: type[Any], value: Any, name: str) -> Any:
    _require(isinstance(value, dict), value, name, Mapping[str, Any])
    hints: dict[str, Any] = _hints(cls)  # type: ignore[arg-type]
    needed = {one.name for one in fields(cls) if one.default is MISSING and one.default_factory is MISSING}
    missing, unknown = sorted(needed - value.keys()), sorted(map(repr, value.keys() - hints.keys()))
    if missing or unknown:
        what = f"lacks {', '.join(map(repr, missing))}" if missing else f"has the unknown {', '.join(unknown)}"
        raise ValueError(f"{name} {what}; expected {', '.join(hints)}")
    return cls(**{key: read_value(hints[key], item, f"{name}.{key}") for key, item in value.items()})


@cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {one.name: hints[one.name] for one in fields(cls)}
