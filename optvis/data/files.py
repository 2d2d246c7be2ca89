"""Files that are written whole or not at all, under names that every system takes."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

# Device names that Windows reserves, with any extension.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
LONGEST_NAME = 100  # characters; leaves room for suffixes under the 255 bytes of common file systems


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file beside its place and move it there, so that no reader ever sees half of it.

    Raises:
        OSError: the folder does not exist or cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def made_folder(path: str | Path) -> Path:
    """A folder that exists and can be written; made if need be.

    Raises:
        OSError: a file is in the way, or the folder cannot be written.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {str(folder)!r}: {error.strerror}; name another one") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(f"cannot write in the folder {str(folder)!r}; name another one, or change its permissions")
    return folder


def file_name(text: str) -> str:
    """A file name made of any text: one path component, printable ASCII, not reserved, not too long.

    >>> file_name("../mixed3: 17"), file_name("con"), file_name("")
    ('mixed3-17', '_con', '_')
    """
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-. ")[:LONGEST_NAME].rstrip("-. ")
    return f"_{plain}" if not plain or plain.partition(".")[0].casefold() in RESERVED else plain


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
