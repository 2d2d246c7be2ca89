"""Atomic writes, folders, and file names that every system accepts."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

# Device names that Windows reserves, with any extension.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
MAX_NAME_LENGTH = 100  # characters; leaves room for suffixes under the 255 bytes of common file systems


def atomic_write(path: Path, data: bytes) -> Path:
    """Write a file atomically: to a temporary file in the same folder, then rename.

    Raises:
        OSError: the folder does not exist or cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    except OSError as error:
        raise _name_file(error, path) from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.umask(mask := os.umask(0))
        part.chmod(0o666 & ~mask)
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _name_file(error, path) from error
        raise
    return path


def _name_file(error: OSError, path: Path) -> OSError:
    return type(error)(f"cannot write {str(path)!r}: {error.strerror or error}")


def ensure_dir(path: str | Path) -> Path:
    """Create a folder if it does not exist, and check that it can be written.

    Raises:
        OSError: a file is in the way, or the folder cannot be written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise OSError(f"cannot make the folder {str(folder)!r}: {reason}; name another one") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"cannot write in the folder {str(folder)!r}; name another one, or change its permissions")
    return folder


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_dir(path: Path) -> bool:
    """Whether there is such a folder; False for a name that no folder can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def safe_file_name(text: str) -> str:
    """Make a file name of any text: one path component, printable ASCII, not reserved, not too long.

    >>> safe_file_name("../mixed3: 17"), safe_file_name("con"), safe_file_name("")
    ('mixed3-17', '_con', '_')
    """
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-. ")[:MAX_NAME_LENGTH].rstrip("-. ")
    return f"_{plain}" if not plain or plain.partition(".")[0].casefold() in RESERVED else plain


def display_name(path: str | os.PathLike[str]) -> str:
    r"""Write a path as text that every file and page can hold: bytes that are no UTF-8 are escaped.

    >>> display_name("cat.png"), display_name(os.fsdecode(b"caf\xe9.png"))
    ('cat.png', 'caf\\xe9.png')
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_json_or_none(path: Path) -> Any:
    """Read a JSON file; None where it does not exist or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
