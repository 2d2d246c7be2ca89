"""Errors and warnings of the package's own, and the nearest known names that error messages suggest."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable
from typing import Any

OWN_FRAMES = ("optvis", "contextlib")  # modules whose frames are not the user's: decorators are contexts
CUTOFF = 0.5  # of difflib's similarity in [0, 1]; names less alike are not suggested


class NotFiniteError(ValueError):
    """A score or a gradient is NaN or infinite; the message names the step, the image and the term.

    Where `render` or `dream` raise it, the attribute `rendering` holds the result up to then.
    """

    rendering: Any = None


class NetworkError(RuntimeError):
    """A network fails in its own forward pass, for example because images are too small for it."""


def suggest(name: str, known: Iterable[str], otherwise: str = "", *, count: int = 3, cutoff: float = CUTOFF) -> str:
    """List the known names nearest to a wrong one, for an error message.

    Args:
        name: what the user wrote; upper and lower case are the same.
        known: the names that exist.
        otherwise: the text to return where no name is near.
        count: how many names at most.
        cutoff: how alike a name must be, in [0, 1].

    Example:
        >>> suggest("mixd4", ["mixed3", "mixed4", "head"])
        "nearest: 'mixed4', 'mixed3'"
        >>> suggest("zebra", ["mixed4"], "layers(net) lists them")
        'layers(net) lists them'
    """
    folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=count, cutoff=cutoff)
    return "nearest: " + ", ".join(repr(folded[each]) for each in close) if close else otherwise


def warn_user(message: str) -> None:
    """Warn, and point at the line of the user's own code that called the package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in OWN_FRAMES:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


class MissingPartError(ValueError):
    """A file describes something that it does not hold, such as the autoencoder of features, and that was not given."""
