"""Encoded images: the bytes of a file that lies in a shard or a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class EncodedImage:
    """The bytes of an image file of any format that `load_image` reads, still to be decoded.

    Args:
        data: the bytes.
        name: what error messages call it.
    """

    data: bytes = field(repr=False)
    name: str = "the encoded image"


@dataclass(frozen=True)
class FilePart:
    """An image file inside another one, such as a tar archive; its bytes are read when they are needed.

    Args:
        file: the outer file.
        start: of its bytes in the outer file.
        size: how many bytes it has.
        name: what error messages call it.
    """

    file: Path
    start: int
    size: int
    name: str

    def read(self) -> EncodedImage:
        """Read the bytes.

        Raises:
            OSError: the outer file cannot be read.
            ValueError: it ends too early.
        """
        with self.file.open("rb") as outer:
            outer.seek(self.start)
            data = outer.read(self.size)
        if len(data) < self.size:
            raise ValueError(f"{self.name!r} is truncated: {len(data):,} of {self.size:,} bytes are there")
        return EncodedImage(data, self.name)
