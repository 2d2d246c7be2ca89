"""Warnings of other libraries that say nothing to the user."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from optvis.interrupts import hold_interrupts

Filter = tuple[str, "re.Pattern[str] | None", type[Warning], None, int]


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
            filters.insert(0, own)
            yield
        finally:
            _remove(filters, own)
            if warnings.filters is not filters:  # somebody has copied the list meanwhile
                _remove(cast(list[Any], warnings.filters), own)


def _remove(filters: list[Any], own: Filter) -> None:
    """Remove a filter itself, not one that is equal to it; the list stays the same object."""
    filters[:] = [each for each in filters if each is not own]
