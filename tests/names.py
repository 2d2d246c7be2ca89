"""Names of parameters that are the same in every process that collects the tests."""

import re


def named(value: object) -> str:
    """
    >>> named([1, "a"])
    "[1, 'a']"
    """
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
