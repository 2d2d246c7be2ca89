"""Outputs of modules as trees: tensors in tuples, lists and dicts, at any depth."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def map_tensors(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change the tensors in tuples, lists and dicts; return anything else as it is."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, dict):
        new = copy.copy(tree)
        for key, value in tree.items():
            new[key] = map_tensors(value, change)
        return new
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_tensors(value, change) for value in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(map_tensors(value, change) for value in tree)
    return tree


def list_leaves(tree: Any) -> list[Any]:
    """All that is in tuples, lists and dicts, one after the other."""
    if isinstance(tree, dict | list | tuple):
        values = tree.values() if isinstance(tree, dict) else tree
        return [leaf for value in values for leaf in list_leaves(value)]
    return [tree]


def is_same(found: Any, expected: Any) -> bool:
    """Whether two outputs have the same leaves, up to rounding; False where there is no tensor to compare."""
    leaves = list_leaves(found), list_leaves(expected)
    has_tensor = any(isinstance(leaf, Tensor) for leaf in leaves[1])
    return has_tensor and len(leaves[0]) == len(leaves[1]) and all(map(_is_same_leaf, *leaves))


def _is_same_leaf(found: Any, expected: Any) -> bool:
    if not (isinstance(found, Tensor) and isinstance(expected, Tensor)):
        return type(found) is type(expected) and bool(found == expected)
    if found.shape != expected.shape or not expected.is_floating_point():
        return torch.equal(found, expected)
    found = found.detach()
    tolerance = torch.finfo(expected.dtype).eps ** 0.5
    gap, size = (torch.linalg.vector_norm(a.double()) for a in (found - expected, expected))
    return bool(gap <= tolerance * size)


def count_writes(tree: Any) -> int:
    """Count the in-place writes into the tensors of an output."""
    versions = [0]
    map_tensors(tree, lambda a: versions.append(0 if a.is_inference() else a._version) or a)  # type: ignore[func-returns-value]
    return sum(versions)


def copy_tensors(tree: Any) -> Any:
    """Copy the tensors of an output."""
    return map_tensors(tree, Tensor.clone)


def repeat_batch(tree: Any, times: int) -> Any:
    """Repeat a batch, one copy after the other; a single image is expanded without copying."""

    def repeat(a: Tensor) -> Tensor:
        if times == 1 or a.dim() == 0:
            return a
        return a.unsqueeze(0).expand(times, *a.shape).flatten(0, 1)

    return map_tensors(tree, repeat)
