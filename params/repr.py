"""Tensors in the repr of parameterizations, as code that builds them."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.arguments import abbreviate_tensor


def format_tensor(values: Tensor) -> str:
    """Write `torch.tensor(...)`, and a large tensor by shape and digest.

    Example:
        >>> format_tensor(torch.tensor([[0.5, 1.0]])), format_tensor(torch.zeros(100))
        ('torch.tensor([[0.5, 1.0]])', '<(100,) float32 sha256 7a12e5613633>')
    """
    short = abbreviate_tensor(values)
    if short is not None:
        return short
    usual = values.dtype in (torch.get_default_dtype(), torch.int64, torch.bool)
    return f"torch.tensor({values.tolist()}{'' if usual else f', dtype={values.dtype}'})"
