"""What came of a call: a result, a clear error, or a raw one from inside torch, numpy, Pillow or Python."""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import optvis
from tests.checks import FOLDERS, ROOT

DOCUMENTED = (ValueError, TypeError, KeyError, IndexError, OSError, RuntimeError, ImportError)
LONGEST = 900  # characters of a message
# Python's own sentences about a call that does not fit a signature say what is wrong.
SIGNATURE = re.compile(
    r"\S+\(\) (got an unexpected|got multiple|missing \d+ required|takes )|Can't instantiate abstract"
)
# The package as it is imported: from the checkout, or as it is installed.
FOLDER_TEXTS = tuple(f"{folder}/" for folder in (*FOLDERS.values(), Path(optvis.__file__).resolve().parent))


@dataclass(frozen=True)
class Outcome:
    """Of one call: its kind, and where and how it failed."""

    kind: str  # "fine", "clear", "usage" of the command line, or "RAW"
    where: str = ""
    text: str = ""

    @property
    def is_raw(self) -> bool:
        """Whether the error is none that a user can act on."""
        return self.kind == "RAW"

    def __str__(self) -> str:
        return f"{self.kind} {self.where} {self.text}".strip()


FINE = Outcome("fine")


def outcome_of(call: Callable[[], Any]) -> Outcome:
    """Call, and judge what comes of it."""
    try:
        call()
    except SystemExit:
        return Outcome("usage")
    except Exception as error:
        return Outcome("clear") if str(error).startswith("optvis: error: ") else judge(error)
    return FINE


def judge(error: BaseException) -> Outcome:
    """Judge an error: clear if the package raised it on purpose, of a documented type, in one line of some length."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(FOLDER_TEXTS)]
    last = ours[-1] if ours else frames[-1]
    where = f"{last.filename.removeprefix(f'{ROOT}/')}:{last.lineno}"
    message = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = f"{type(error).__name__}: {' '.join(message.split())[:200]}"
    is_deliberate = bool(ours) and last is frames[-1] and _is_raise(last.filename, last.lineno or 0)
    is_clear = isinstance(error, DOCUMENTED) and len(message) > 8 and "\n" not in message and len(message) < LONGEST
    if is_clear and (is_deliberate or SIGNATURE.match(message)):
        return Outcome("clear", where, text)
    return Outcome("RAW", where, text)


@cache
def _raises(filename: str) -> list[tuple[int, int]]:
    """First and last line of each `raise` of a file."""
    tree = ast.parse(Path(filename).read_text(encoding="utf-8"))
    return [(node.lineno, node.end_lineno or node.lineno) for node in ast.walk(tree) if isinstance(node, ast.Raise)]


def _is_raise(filename: str, line: int) -> bool:
    return any(first <= line <= last for first, last in _raises(filename))
