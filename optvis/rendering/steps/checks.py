"""Checks of a step's numbers: whether they are finite, and whether a faster way of computing them gives the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from optvis.errors import NotFiniteError
from optvis.rendering.steps.step import Step

SCORE_TOLERANCE = 0.01  # of their size
GRADIENT_TOLERANCE = 0.05
STEPS_BETWEEN_CHECKS = 16  # on devices where reading a number waits for the queue


class FiniteChecks:
    """Checks of an ascent's steps: at each on a CPU, and together where reading a number waits for the device."""

    def __init__(self, device: torch.device) -> None:
        self.interval = 1 if device.type == "cpu" else STEPS_BETWEEN_CHECKS
        self.waiting: list[tuple[int, Mapping[str, Tensor], Tensor]] = []  # without images, which fill memory

    def add(self, step: Step, gradients: Sequence[Tensor | None]) -> None:
        """Check a step, now or with later ones; see `finish`."""
        self.waiting.append((step.index, step.report, _all_finite(step.scores, gradients)))
        if len(self.waiting) == self.interval:
            self.finish()

    def finish(self) -> None:
        """Raise NotFiniteError for the first step since the last check whose scores or gradients are not finite."""
        waiting, self.waiting = self.waiting, []
        flags = torch.stack([flag for *_, flag in waiting]).tolist() if waiting else []
        for (index, report, _), is_finite in zip(waiting, flags, strict=True):
            if not is_finite:
                state = "; the image is as before that step" if self.interval == 1 else ""
                raise NotFiniteError(_describe_failure(index, report) + state)


def _all_finite(scores: Tensor, gradients: Sequence[Tensor | None]) -> Tensor:
    """Whether all scores and gradients are finite, as a tensor: the device is not synchronised."""
    sums = [scores.sum(), *(gradient.sum() for gradient in gradients if gradient is not None)]
    return torch.stack([total.to(scores.dtype) for total in sums]).isfinite().all()


def _describe_failure(index: int, report: Mapping[str, Tensor]) -> str:
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
