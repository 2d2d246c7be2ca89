"""Progress bars of all long operations."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from threading import RLock
from typing import Any

_ARE_HIDDEN: ContextVar[bool] = ContextVar("bars are hidden", default=False)
LONG = 10.0  # seconds, from which on an estimate is worth a line


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
        show: False for no bar. There is none either inside `hide_bars`, and where standard error is a file or a pipe;
            the kernel of a notebook shows bars, as widgets where ipywidgets is installed, else as text.
        smoothing: weight of the latest speed in the estimate of what is left, in [0, 1]; 0.3 is tqdm's own.

    Example:
        >>> [2 * step for step in progress_bar(range(3), description="double", show=False)]
        [0, 2, 4]
    """
    if find_spec("ipywidgets") is None:  # without it, tqdm.auto warns in every notebook
        from tqdm import tqdm
    else:
        from tqdm.auto import tqdm

    return tqdm(
        iterable,
        total=total,
        desc=description,
        unit=unit,
        unit_scale=unit_scale,
        disable=(False if runs_in_kernel() else None) if show and not _ARE_HIDDEN.get() else True,
        leave=False,
        smoothing=smoothing,
    )


@contextmanager
def hide_bars(hide: bool = True) -> Iterator[None]:
    """Inside, operations of this thread show no progress bars and no estimates of their time.

    Args:
        hide: False to change nothing.

    Example:
        >>> with hide_bars():
        ...     bar = progress_bar(range(3), description="double")
        >>> bar.disable
        True
    """
    before = _ARE_HIDDEN.set(hide or _ARE_HIDDEN.get())
    try:
        yield
    finally:
        _ARE_HIDDEN.reset(before)


def use_thread_lock() -> None:
    """Let the bars of this process share a lock of its threads.

    tqdm's own is a semaphore of the system, which a process that is ended leaves behind.
    """
    from tqdm import tqdm

    tqdm.set_lock(RLock())


def runs_in_kernel() -> bool:
    """Whether this is the kernel of a notebook, whose standard error is seen though it is no terminal.

    Example:
        >>> runs_in_kernel()
        False
    """
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def estimate_time(what: str, seconds: float, count: int, unit: str) -> None:
    """Say on standard error how long an operation will take, from its first part; nothing where it is short.

    Args:
        what: name of the operation.
        seconds: that the first part took.
        count: number of parts.
        unit: what they are called.

    Example:
        >>> import contextlib
        >>> with contextlib.redirect_stderr(sys.stdout):
        ...     estimate_time("leave_one_out", 12.0, 30, "selections")
        leave_one_out: 30 selections of about 12 s, 6 min in all
    """
    total = seconds * count
    if total < LONG or _ARE_HIDDEN.get():
        return
    text = f"{total:.0f} s" if total < 120 else f"{total / 60:.0f} min"
    print(f"{what}: {count} {unit} of about {seconds:.2g} s, {text} in all", file=sys.stderr, flush=True)
