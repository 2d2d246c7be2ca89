"""Whether a step's numbers are finite, and which of them are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def all_finite(scores: Tensor, gradients: Sequence[Tensor | None]) -> Tensor:
    """Whether all scores and gradients are finite, as a tensor: the device is not synchronised."""
    sums = [scores.sum(), *(gradient.sum() for gradient in gradients if gradient is not None)]
    return torch.stack([total.to(scores.dtype) for total in sums]).isfinite().all()


def describe_failure(index: int, report: Mapping[str, Tensor]) -> str:
    """Say what of a step is not finite."""
    for name, scores in report.items():
        rows = (~scores.isfinite()).nonzero().flatten().tolist()
        if rows:
            return f"step {index}: the score of {name!r} is {float(scores[rows[0]])} for image {rows[0]}"
    names = ", ".join(map(repr, report))
    return (
        f"step {index}: the gradient of {names} is not finite though every score is; "
        "look for a root, a logarithm or a division at zero in it"
    )
