"""Files of named tensors: one reader, whose errors name the file and what is wrong in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from optvis.data.files import is_file

Built = TypeVar("Built")


def read_tensor_file(
    path: str | Path, kind: str, build: Callable[[dict[str, Tensor], dict[str, str]], Built], hint: str = ""
) -> Built:
    """Read a safetensors file, and build what it holds.

    Args:
        path: of the file.
        kind: what it should hold, a noun for error messages.
        build: of tensors by name and of the header's texts; it raises any `ValueError` or `LookupError` for a file
            of something else.
        hint: where the file lies, for the error message where there is none.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    target = Path(path)
    if not is_file(target):
        raise FileNotFoundError(f"no file {str(path)!r}{hint}")
    try:
        with safe_open(target, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
        return build(tensors, header)
    except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{str(path)!r} is damaged or holds no {kind}: {reason}") from error
