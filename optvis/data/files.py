"""Atomic writes, folders, and file names that every system accepts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

if sys.platform != "win32":  # there, a file that is open cannot be removed, and needs no lock
    import fcntl

# Device names that Windows reserves, with any extension.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
TEMPORARY_FILE = re.compile(r"\.optvis-[0-9a-f]{8}\.part")  # of `atomic_write`
MAX_TRIES = 3  # to write a file whose temporary file another process takes for abandoned, before it is locked
MAX_NAME_LENGTH = 100  # characters; leaves room for suffixes under the 255 bytes of common file systems
NAME_DIGITS = 6  # of a digest


def atomic_write(path: Path, data: bytes, *, replace: bool = True) -> Path:
    """Write a file atomically: to a temporary file in the same folder, then rename.

    Args:
        path: of the file.
        data: its bytes.
        replace: whether to overwrite the file; if not, one that another process has written meanwhile stays.

    Raises:
        OSError: the folder does not exist or cannot be written.
    """
    # Where others rely on it, it must not be empty after a power failure.
    with _temporary_file(path, data, sync=not replace) as part, _naming(path):
        _move(part, path, replace)
    return path


def atomic_write_all(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together, so that a new one never lies beside an old one.

    All temporary files are complete before the first old file goes. The old ones go before the first new one comes, but
    the first file, which is replaced: a process that is killed in between leaves the first alone, old or new.

    Args:
        files: the bytes of each; the first is the one that the others can be made from again.

    Raises:
        OSError: a folder does not exist or cannot be written.
    """
    with contextlib.ExitStack() as stack:
        parts = {path: stack.enter_context(_temporary_file(path, data)) for path, data in files.items()}
        for path in list(files)[1:]:
            with _naming(path):
                path.unlink(missing_ok=True)
        for path, part in parts.items():
            with _naming(path):
                _move(part, path, replace=True)


@contextlib.contextmanager
def _temporary_file(path: Path, data: bytes, sync: bool = False) -> Iterator[Path]:
    """Inside, a file with these bytes lies beside a path, to be moved there; after an error it is removed."""
    with _naming(path):
        descriptor, part = _open_temporary(path)
    try:
        try:
            with _naming(path), os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(data)
                file.flush()
                if sync:
                    os.fsync(descriptor)
            if sys.platform != "win32":  # while it is locked, so that no other process takes it for abandoned
                yield part
        finally:
            os.close(descriptor)
        if sys.platform == "win32":
            yield part
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _open_temporary(path: Path) -> tuple[int, Path]:
    """Make and lock a temporary file beside a file, with the permissions of any new file.

    Between the two, another process may take it for abandoned and remove it; then another one is made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # which is of Windows
    for left in reversed(range(MAX_TRIES)):
        part = path.parent / f".optvis-{secrets.token_hex(4)}.part"
        descriptor = os.open(part, flags, 0o666)
        if sys.platform == "win32" or not left or (_lock(descriptor) and os.fstat(descriptor).st_nlink):
            break
        os.close(descriptor)
        part.unlink(missing_ok=True)
    return descriptor, part


def _move(part: Path, path: Path, replace: bool) -> None:
    if replace or not _link(part, path):
        part.replace(path)
    else:
        part.unlink()


def _link(part: Path, path: Path) -> bool:
    """Give a file a second name, unless another file has it; False where the file system has no links."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def _lock(descriptor: int) -> bool:
    """Lock a file for this process; False where another one has locked it."""
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def remove_temporary_files(folder: Path) -> list[str]:
    """Remove what killed processes have left of `atomic_write` in a folder, and return the names.

    Files that are being written stay.
    """
    removed = []
    for part in [each for each in folder.iterdir() if TEMPORARY_FILE.fullmatch(each.name) and is_file(each)]:
        with contextlib.suppress(OSError), part.open("rb") as file:
            is_abandoned = _lock(file.fileno())
            if is_abandoned and sys.platform != "win32":
                part.unlink()
                removed.append(part.name)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                part.unlink()
                removed.append(part.name)
    return removed


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Inside, errors name the file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise type(error)(f"cannot write {str(path)!r}: {error.strerror or error}") from error


def ensure_dir(path: str | Path) -> Path:
    """Create a folder if it does not exist, check that it can be written, and remove abandoned temporary files in it.

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
    remove_temporary_files(folder)
    return folder


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for a name that no file can have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_special(path: Path) -> bool:
    """Whether there is something that is neither a file nor a folder, such as a pipe, which may have no end."""
    try:
        return path.exists() and not path.is_file() and not path.is_dir()
    except (OSError, ValueError):
        return False


def check_readable(path: Path) -> None:
    """Raise PermissionError where there is such a file or folder, and it may not be read."""
    is_folder = is_dir(path)
    if (is_folder or is_file(path)) and not os.access(path, os.R_OK | (os.X_OK if is_folder else 0)):
        raise PermissionError(f"cannot read {str(path)!r}; change its permissions")


def is_dir(path: Path) -> bool:
    """Whether there is such a folder; False for a name that no folder can have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def safe_file_name(text: str) -> str:
    """Make a file name of any text: one path component, printable ASCII, not reserved, not too long.

    A text with other letters gets some digits of its SHA-256, so that two of them have two names.

    >>> safe_file_name("../mixed3: 17"), safe_file_name("con"), safe_file_name("")
    ('mixed3-17', '_con', '_')
    >>> safe_file_name("café"), safe_file_name("日本")
    ('caf-850f7d', 'cf2abf')
    """
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-. ")[:MAX_NAME_LENGTH].rstrip("-. ")
    if not text.isascii():
        digits = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:NAME_DIGITS]
        plain = f"{plain}-{digits}" if plain else digits
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
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return None


def encode_json(value: Mapping[str, Any]) -> bytes:
    r"""Encode the content of a JSON file, without needless spaces; half of a surrogate pair is escaped.

    >>> encode_json({"a": [1, "caf\udce9"]})
    b'{"a":[1,"caf\\udce9"]}\n'
    """
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode(errors="backslashreplace")


@contextlib.contextmanager
def utf8_path(path: Path) -> Iterator[Path]:
    """Inside, the path of a file for libraries that open only paths in UTF-8: its own, or that of a link to it.

    >>> with utf8_path(Path("cat.safetensors")) as path:
    ...     print(path)
    cat.safetensors
    """
    try:
        os.fsencode(path).decode()
    except UnicodeDecodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"link{path.suffix}"
            link.symlink_to(path.absolute())
            yield link
    else:
        yield path
