"""The dtype of new parameters, and constants in the dtype of images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor


def parameter_dtype() -> torch.dtype:
    """Return torch's default dtype, but at least float32: half precision is too coarse for pixels and spectra.

    >>> parameter_dtype()
    torch.float32
    """
    return torch.promote_types(torch.get_default_dtype(), torch.float32)


def constant_like(numbers: float | Sequence[float], images: Tensor) -> Tensor:
    """Numbers as a tensor of the images' dtype, on their device. It is kept: never write into it.

    Example:
        >>> constant_like((0.5, 1.0), torch.zeros(1, dtype=torch.float64))
        tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    kept = tuple(map(float, numbers)) if isinstance(numbers, Sequence) else float(numbers)
    return _make_constant(kept, images.dtype, images.device)


@cache  # for good: a CUDA graph may read it later
@torch.inference_mode(mode=False)
def _make_constant(numbers: float | tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(numbers, dtype=dtype, device=device)
