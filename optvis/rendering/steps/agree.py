"""Whether a faster way of computing a step gives its numbers, but for what rounding may change."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

SCORE_TOLERANCE = 0.01  # of their size
GRADIENT_TOLERANCE = 0.05


def agree(scores: Iterable[tuple[Tensor, Tensor]], gradients: Iterable[tuple[Tensor | None, Tensor | None]]) -> bool:
    """Whether numbers agree with those that are expected.

    Args:
        scores: pairs of what was found and what is expected.
        gradients: likewise; both may be missing.

    Example:
        >>> agree([(torch.tensor([1.001]), torch.tensor([1.0]))], [])
        True
        >>> agree([(torch.tensor([1.1]), torch.tensor([1.0]))], [])
        False
    """
    pairs = [(found, expected, SCORE_TOLERANCE) for found, expected in scores]
    for found, expected in gradients:
        if found is not None and expected is not None:
            pairs.append((found, expected, GRADIENT_TOLERANCE))
    return all(_is_near(*pair) for pair in pairs)


def _is_near(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    gap, size = (torch.linalg.vector_norm(numbers.flatten()) for numbers in (found - expected, expected))
    return bool(gap <= tolerance * size)
