"""Ids of test parameters that are the same in every process that collects the tests."""

import re


def stable_id(value: object) -> str:
    """Return the repr without addresses.

    >>> stable_id([1, "a"])
    "[1, 'a']"
    """
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
