"""Outputs of layers that hold one tensor, in a tuple, a dict or an object: they are read and replaced as that tensor.

Layers of Hugging Face give a tensor in one version and a tuple of it in another, or with None beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor


def single_tensor(output: Any) -> Any:
    """The one tensor in a tuple, list or dict whose other parts hold none; any other output as it is.

    Example:
        >>> import torch
        >>> single_tensor((torch.ones(2), None)), single_tensor([1, 2])
        (tensor([1., 1.]), [1, 2])
    """
    place = _find_place(output)
    return output if place is None else output[place]


def replace_single(output: Any, new: Any) -> Any:
    """The same output with another tensor in place of its one; where it has none such, the new one alone.

    Example:
        >>> import torch
        >>> replace_single((torch.ones(2), None), torch.zeros(2))
        (tensor([0., 0.]), None)
    """
    place = _find_place(output)
    if place is None:
        return new
    if isinstance(output, Mapping):
        changed = copy.copy(output)
        changed[place] = new  # type: ignore[index]
        return changed
    parts = [new if index == place else part for index, part in enumerate(output)]
    return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)


def _find_place(output: Any) -> Any:
    """The index or key of the one tensor; None where there is no such."""
    if not isinstance(output, tuple | list | Mapping):
        return None
    parts = dict(output) if isinstance(output, Mapping) else dict(enumerate(output))
    places = [key for key, part in parts.items() if isinstance(part, Tensor)]
    others = [part for part in parts.values() if not isinstance(part, Tensor)]
    return places[0] if len(places) == 1 and not any(map(_holds_tensor, others)) else None


def _holds_tensor(tree: Any) -> bool:
    if isinstance(tree, Mapping):
        return any(map(_holds_tensor, tree.values()))
    return isinstance(tree, Tensor) or (isinstance(tree, tuple | list) and any(map(_holds_tensor, tree)))
