"""Contexts that are safe: Ctrl-C leaves none half entered or half left, and threads do not undo each other's."""

from __future__ import annotations

import _thread
import contextlib
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from functools import partial
from types import FrameType
from typing import Any, cast

Filter = tuple[str, "re.Pattern[str] | None", type[Warning], None, int]  # of `warnings`
ENTERING_OR_LEAVING = ("__enter__", "__exit__", "enter_context")
IMPORTING = "<frozen importlib._bootstrap>"  # the file of the frames below an import
_FILTERS = threading.RLock()  # around changes of the list of filters, of which each takes several instructions
CATCHING = threading.RLock()  # around scikit-learn and UMAP: they call `warnings.catch_warnings`, made for one thread
SECONDS_UNTIL_RETRY = 0.002
SECONDS_BETWEEN_LOOKS = 0.05  # for Ctrl-C, while a lock is waited for


class _Holder:
    """The handler of SIGINT while a `hold_interrupts` block is open; used by the main thread alone.

    Attributes:
        bases: for each open block the frame of its `with`; what called the innermost of them is not looked at.
        previous: the handler of before.
        is_waiting: whether an interrupt waits until it can be delivered.
    """

    def __init__(self) -> None:
        self.bases: list[FrameType] = []
        self.previous: Callable[[int, FrameType | None], Any] | None = None
        self.is_waiting = False

    def open(self, caller: FrameType) -> None:
        """Begin a block; the first one sets the handler."""
        previous = signal.getsignal(signal.SIGINT)
        if not self.bases and callable(previous) and previous != self.handle:
            self.previous = previous  # one that cannot be called ignores SIGINT, or ends the process
            signal.signal(signal.SIGINT, self.handle)
        self.bases.append(_find_base(caller))

    def close(self) -> None:
        """End a block; the last one sets the handler of before, and delivers an interrupt that waits."""
        self.bases.pop()
        if not self.bases and self.previous is not None:
            previous, self.previous = self.previous, None
            if signal.getsignal(signal.SIGINT) == self.handle:  # nobody has set another one meanwhile
                signal.signal(signal.SIGINT, previous)
            self.deliver(previous)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Deliver an interrupt, or let it wait while a context is entered or left, or something is imported."""
        if _is_vital(frame, self.bases[-1] if self.bases else None):
            self.is_waiting = True
            with contextlib.suppress(RuntimeError):  # where no thread can be started, the end of the block delivers it
                _thread.start_new_thread(self._retry, ())
        elif self.previous is not None:
            self.previous(number, frame)

    def deliver(self, handler: Callable[[int, FrameType | None], Any] | None) -> None:
        """Deliver an interrupt that waits, where nothing is changed any more, or not yet."""
        if self.is_waiting and handler is not None:
            self.is_waiting = False
            handler(signal.SIGINT, None)

    def _retry(self) -> None:
        main, interrupt = threading.main_thread().ident, _thread.interrupt_main
        if main is not None and hasattr(signal, "pthread_kill"):  # this also wakes a thread that sleeps
            interrupt = partial(signal.pthread_kill, main, signal.SIGINT)
        time.sleep(SECONDS_UNTIL_RETRY)
        if self.is_waiting:  # no other thread runs between this line and the interrupt
            self.is_waiting = False
            interrupt()


_HOLDER = _Holder()


class hold_interrupts(ContextDecorator):  # noqa: N801, a context manager has the name of a function
    """Inside, Ctrl-C waits while a context is entered or left, or something is imported; then it is delivered.

    Python may raise KeyboardInterrupt at the first line of any `__enter__` or `__exit__`, and `with` cannot help there:
    a hook, a mode of torch or an eval mode would stay. All contexts of the block are safe, those of torch and of the
    standard library too. Everywhere else Ctrl-C works at once, with the handler that was set before the block; that
    handler is set again at the end. Blocks nest, and a function can be decorated. Threads other than the main one get
    no interrupts, so that there the block does nothing.

    Example:
        >>> from contextlib import contextmanager
        >>> @contextmanager
        ... def switch_on(light):
        ...     with hold_interrupts():
        ...         try:
        ...             light["on"] = True
        ...             yield
        ...         finally:
        ...             light["on"] = False
        >>> with switch_on(light := {}):
        ...     print(light)
        {'on': True}
        >>> light
        {'on': False}
    """

    def __enter__(self) -> None:
        if _is_main_thread():
            _HOLDER.open(sys._getframe(1))

    def __exit__(self, *_error: object) -> None:
        if _is_main_thread():
            _HOLDER.close()


@contextmanager
def hold_lock(lock: Any) -> Iterator[None]:
    """Inside, no other thread has a lock of `threading`; Ctrl-C ends the waiting."""
    with hold_interrupts():
        while not lock.acquire(timeout=SECONDS_BETWEEN_LOOKS):
            if _is_main_thread():
                _HOLDER.deliver(_HOLDER.previous)
        try:
            yield
        finally:
            lock.release()


@contextmanager
def ignore_warnings(category: type[Warning] = Warning, message: str = "") -> Iterator[None]:
    """Inside, warnings of a category are not shown. Several threads may be inside at once.

    `warnings.catch_warnings` copies the list of filters, and puts the old one back: where two threads do that by turns,
    the filters of one stay for ever. This adds one filter of its own, and takes that one away.

    Args:
        category: of the warnings, with all that are derived from it.
        message: a regular expression for the beginning of their text.

    Example:
        >>> before = list(warnings.filters)
        >>> with ignore_warnings(FutureWarning):
        ...     warnings.warn("this will change", FutureWarning)
        >>> warnings.filters == before
        True
    """
    own: Filter = ("ignore", re.compile(message, re.IGNORECASE) if message else None, category, None, 0)
    filters = cast(list[Any], warnings.filters)
    with hold_interrupts():
        try:
            with _FILTERS:
                filters.insert(0, own)
            yield
        finally:
            _remove_filter(filters, own)
            if warnings.filters is not filters:  # somebody has copied the list meanwhile
                _remove_filter(cast(list[Any], warnings.filters), own)


def finish(restore: Callable[[], None]) -> None:
    """Run something to its end: after KeyboardInterrupt it is run again, and the interrupt is raised afterwards.

    `hold_interrupts` holds SIGINT back; handlers of other signals can raise KeyboardInterrupt at any moment.
    """
    interrupt: KeyboardInterrupt | None = None
    while True:
        try:
            restore()
            break
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


def _remove_filter(filters: list[Any], own: Filter) -> None:
    """Remove a filter itself, not one that is equal to it; the list stays the same object."""
    with _FILTERS:
        filters[:] = [each for each in filters if each is not own]


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _find_base(frame: FrameType) -> FrameType:
    """The frame of the `with` statement: the first that is neither a context manager's nor contextlib's."""
    while frame.f_back is not None and (
        frame.f_code.co_name in ENTERING_OR_LEAVING or frame.f_back.f_code.co_filename == contextlib.__file__
    ):
        frame = frame.f_back
    return frame


def _is_vital(frame: FrameType | None, base: FrameType | None) -> bool:
    """Whether a context is being entered or left, or something imported, by a frame or one of its callers."""
    while frame is not None and frame is not base:
        if frame.f_code.co_name in ENTERING_OR_LEAVING or frame.f_code.co_filename == IMPORTING:
            return True
        frame = frame.f_back
    return False
