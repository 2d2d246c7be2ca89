"""Progress bars of all long operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def progress_bar(
    iterable: Iterable[Any] | None = None,
    *,
    description: str | None = None,
    total: int | None = None,
    unit: str = "it",
    unit_scale: float = 1,
    show: bool = True,
    smoothing: float = 0.3,
) -> Any:
    """Return a tqdm bar that is cleared at the end; iterate over it, or call its `update`.

    Args:
        iterable: what to iterate over; None for a bar that is updated by hand.
        description: the text before the bar.
        total: how many steps, where the iterable has no length.
        unit: what one step is called.
        unit_scale: how many units one step is.
        show: False for no bar. None is shown where standard error is a file or a pipe, either.
        smoothing: weight of the latest speed in the estimate of what is left, in [0, 1]; 0.3 is tqdm's own.

    Example:
        >>> [2 * step for step in progress_bar(range(3), description="double", show=False)]
        [0, 2, 4]
    """
    from tqdm.auto import tqdm

    return tqdm(
        iterable,
        total=total,
        desc=description,
        unit=unit,
        unit_scale=unit_scale,
        disable=None if show else True,
        leave=False,
        smoothing=smoothing,
    )
