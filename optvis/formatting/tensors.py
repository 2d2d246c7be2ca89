"""Large tensors as text: their shape, dtype and a digest."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

MAX_NUMBERS = 64  # of a tensor that is written out
DIGEST_LENGTH = 12  # hexadecimal digits


def abbreviate_tensor(values: Tensor) -> str | None:
    """Describe a tensor of more than 64 numbers by shape, dtype and digest; None for a smaller one.

    Example:
        >>> abbreviate_tensor(torch.zeros(100)), abbreviate_tensor(torch.zeros(64))
        ('<(100,) float32 sha256 7a12e5613633>', None)
    """
    if values.numel() <= MAX_NUMBERS:
        return None
    data = values.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
    name = str(values.dtype).removeprefix("torch.")
    return f"<{tuple(values.shape)} {name} sha256 {hashlib.sha256(data).hexdigest()[:DIGEST_LENGTH]}>"
