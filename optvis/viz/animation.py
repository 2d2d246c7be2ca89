"""A written animation: its path, which plays in a notebook."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

MIME_TYPES = {".gif": "image/gif", ".webp": "image/webp", ".png": "image/apng", ".apng": "image/apng"}


@dataclass(frozen=True)
class Animation:
    """A file that was written; `open`, `Path` and whatever takes a path take it, and a notebook plays it.

    Args:
        path: ends in .gif, .webp, .png or .apng.

    Example:
        >>> str(Animation(Path("growing.gif")))
        'growing.gif'
    """

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        data = b64encode(self.path.read_bytes()).decode()
        return f'<img src="data:{MIME_TYPES[self.path.suffix.casefold()]};base64,{data}" alt="animation">'
