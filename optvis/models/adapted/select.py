"""Which tensor of a network's output holds its scores, where the output is a dict, a tuple or an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

from torch import Tensor

Selector: TypeAlias = str | int | Callable[[Any], Tensor] | None

NAMES = ("logits", "out")  # of scores: Hugging Face's and torchvision's


def select_scores(output: Any, selector: Selector = None) -> Any:
    """Select the scores in a network's output.

    Args:
        output: what the network returns.
        selector: a key or an attribute, an index, or a function of the output. None finds the scores where there is no
            choice: the one field called "logits" or "out", or the one whose name contains "logits".

    Returns:
        The tensor; or, without a selector, the output itself where none is found.

    Raises:
        KeyError, IndexError: a selector that the output lacks.
        TypeError: what is selected is no tensor.
    """
    if selector is None:
        return output if isinstance(output, Tensor) else _find_scores(output)
    scores = selector(output) if callable(selector) else _take(output, selector)
    if not isinstance(scores, Tensor):
        raise TypeError(
            f"output={selector!r} gives a {type(scores).__name__}; expected a tensor, a score for each class"
        )
    return scores


def require_scores(output: Any) -> Tensor:
    """Return the scores in a network's output.

    Raises:
        ValueError: there are none, or it is not clear which they are.
    """
    scores = select_scores(output)
    if not isinstance(scores, Tensor):
        parts = {} if isinstance(scores, list) else list_parts(scores)  # a list may have an entry for each image
        listing = f" of {', '.join(map(repr, parts))}" if parts else ""
        raise ValueError(
            f"the network gives {type(output).__name__}; expected a score for each class, (B, classes); say which part"
            f"{listing} holds them, Classifier(..., output=key, index or function), or name a layer"
        )
    return scores


def _take(output: Any, selector: str | int) -> Any:
    parts = list_parts(output)
    if selector in parts:
        return parts[selector]
    try:
        return output[selector]
    except (KeyError, IndexError, TypeError) as error:
        listing = f"it has {', '.join(map(repr, parts))}" if parts else f"it is a {type(output).__name__}"
        kind = IndexError if isinstance(error, IndexError) else KeyError
        raise kind(f"output={selector!r} is not in the network's output; {listing}") from error


def _find_scores(output: Any) -> Any:
    tensors = {name: part for name, part in list_parts(output).items() if isinstance(part, Tensor)}
    for candidates in (
        [name for name in tensors if name in NAMES],
        [name for name in tensors if isinstance(name, str) and "logits" in name],
    ):
        if candidates:
            return tensors[candidates[0]] if len(candidates) == 1 else output
    return output


def list_parts(output: Any) -> dict[Any, Any]:
    """List the parts of a dict, a tuple, a list or a dataclass, by key, index or field."""
    if isinstance(output, Mapping):
        return dict(output)
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return dict(zip(output._fields, output, strict=True))
    if isinstance(output, list | tuple):
        return dict(enumerate(output))
    if is_dataclass(output) and not isinstance(output, type):
        return {field.name: getattr(output, field.name) for field in fields(output)}
    return {}
