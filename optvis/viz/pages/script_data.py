"""Numbers and texts for the scripts of pages, as JSON that can stand inside HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torch import Tensor

DIGITS = 3  # significant ones that a page shows


def safe_json(values: Mapping[str, Any]) -> str:
    r"""JSON in which no `<`, `>` or `&` is left.

    Example:
        >>> print(safe_json({"name": "<b>"}))
        {"name":"\u003cb\u003e"}
    """
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def round_values(a: Tensor) -> list[float]:
    """All numbers of a tensor in the precision that pages show."""
    return [float(f"{value:.{DIGITS}g}") for value in a.detach().flatten().tolist()]
