"""Tensors in the repr of parameterizations, as code that builds them."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

MAX_NUMBERS = 64  # larger tensors are shown by shape and digest


def format_tensor(values: Tensor) -> str:
    """Write `torch.tensor(...)`, and a large tensor by shape and digest.

    Example:
        >>> format_tensor(torch.tensor([[0.5, 1.0]])), format_tensor(torch.zeros(100))
        ('torch.tensor([[0.5, 1.0]])', '<(100,) float32 sha256 7a12e5613633>')
    """
    values = values.detach().cpu().contiguous()
    name = str(values.dtype).removeprefix("torch.")
    if values.numel() > MAX_NUMBERS:
        digest = hashlib.sha256(values.view(torch.uint8).numpy().tobytes()).hexdigest()
        return f"<{tuple(values.shape)} {name} sha256 {digest[:12]}>"
    usual = values.dtype in (torch.get_default_dtype(), torch.int64, torch.bool)
    return f"torch.tensor({values.tolist()}{'' if usual else f', dtype=torch.{name}'})"
