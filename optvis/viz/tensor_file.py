"""Files of named tensors: one reader, whose errors name the file and what is wrong in it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from optvis.data.files import check_readable, is_file, utf8_path
from optvis.errors import MissingPartError

Built = TypeVar("Built")
ESCAPED_SURROGATE = re.compile(r"\\u(d[89a-f][0-9a-f]{2})")
SIZE_BYTES = 8  # of the number before the header; the header's size is a multiple of it


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
        FileNotFoundError, PermissionError: there is no such file, or it may not be read.
        ValueError: the file is damaged, or holds something else; MissingPartError: it needs something beside it.
    """
    from safetensors import SafetensorError, safe_open

    target = Path(path)
    if not is_file(target):
        raise FileNotFoundError(f"no file {str(path)!r}{hint}")
    check_readable(target)
    try:
        with utf8_path(target) as own, safe_open(own, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
        return build(tensors, header)
    except MissingPartError:
        raise
    except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError, OSError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"{str(path)!r} is damaged or holds no {kind}: {reason}") from error


def encode_tensors(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> bytes:
    """Encode tensors as safetensors; equal tensors and headers always give the same bytes.

    The library writes the header's texts in an order that changes from run to run; here they are sorted.

    Args:
        tensors: by name, on any device.
        header: texts by name.
    """
    from safetensors.torch import save

    # A view is copied, so that not its whole storage is written.
    plain = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    size = int.from_bytes(plain[:SIZE_BYTES], "little")
    entries = json.loads(plain[SIZE_BYTES : SIZE_BYTES + size])
    # Readers refuse half of a surrogate pair; in JSON inside a text its escape means the same.
    texts = {name: text.encode(errors="backslashreplace").decode() for name, text in sorted(header.items())}
    text = json.dumps({"__metadata__": texts, **entries}, separators=(",", ":")).encode()
    padding = b" " * (-len(text) % SIZE_BYTES)  # so that the tensors are aligned
    return b"".join(
        [(len(text) + len(padding)).to_bytes(SIZE_BYTES, "little"), text, padding, plain[SIZE_BYTES + size :]]
    )


def restore_surrogates(text: str) -> str:
    r"""Undo what `encode_tensors` does to half of a surrogate pair, as in a file's name that is no text.

    >>> restore_surrogates("caf\\udce9") == "caf\udce9"
    True
    """
    return ESCAPED_SURROGATE.sub(lambda found: chr(int(found[1], 16)), text)
