"""The dtype of new parameters."""

from __future__ import annotations

import torch


def parameter_dtype() -> torch.dtype:
    """Return torch's default dtype, but at least float32: half precision is too coarse for pixels and spectra.

    >>> parameter_dtype()
    torch.float32
    """
    return torch.promote_types(torch.get_default_dtype(), torch.float32)
