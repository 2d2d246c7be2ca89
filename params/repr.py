"""Tensors written as the code that makes them again."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

MOST_NUMBERS = 64  # longer tensors are told by shape and digest


def format_tensor(values: Tensor) -> str:
    """`torch.tensor(...)`; long ones by shape and digest.

    >>> format_tensor(torch.tensor([[0.5, 1.0]])), format_tensor(torch.zeros(100))
    ('torch.tensor([[0.5, 1.0]])', '<(100,) float32 sha256 7a12e5613633>')
    """
    values = values.detach().cpu().contiguous()
    name = str(values.dtype).removeprefix("torch.")
    if values.numel() > MOST_NUMBERS:
        digest = hashlib.sha256(values.view(torch.uint8).numpy().tobytes()).hexdigest()
        return f"<{tuple(values.shape)} {name} sha256 {digest[:12]}>"
    usual = values.dtype in (torch.get_default_dtype(), torch.int64, torch.bool)
    return f"torch.tensor({values.tolist()}{'' if usual else f', dtype=torch.{name}'})"
