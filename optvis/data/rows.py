"""Rows of data sets: which entry is the image, which the label, what the row is called, whether it is as before."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from torch import Tensor

from optvis.data.encoded import EncodedImage, FilePart
from optvis.errors import suggest

IMAGE_KEYS = ("image", "img", "pixel_values", "jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "gif", "tif", "tiff")
LABEL_KEYS = ("label", "labels", "cls", "class", "target", "fine_label")
NAME_KEYS = ("__key__", "file_name", "name")
MAX_CLASSES = 1_000_000  # tables of classes have a row for each index up to the largest
MARKED = 64  # numbers of an image that its mark is made of


def image_of(row: Any) -> Any:
    """The image of a row, in a form that `load_image` takes.

    Args:
        row: an image; a tuple that begins with one; or a mapping with one under a usual key, such as "image" or "jpg".
            Its bytes, or a mapping with "bytes" and "path" as Hugging Face's tables hold them, are decoded later.

    Raises:
        ValueError: a row without an image, or with a list of images.
        OSError: an image inside another file that cannot be read.

    Example:
        >>> image_of(("a.png", 3)), image_of({"image": {"bytes": None, "path": "a.png"}, "label": 3})
        ('a.png', 'a.png')
    """
    if isinstance(row, tuple | list):
        return _only_image(row[0]) if row else row
    if row is None:
        raise ValueError("it has no image, but None")
    if isinstance(row, FilePart):
        return row.read()
    if isinstance(row, bytes | bytearray):
        return EncodedImage(bytes(row))
    if not isinstance(row, Mapping):
        return row
    if row.keys() >= {"bytes", "path"}:
        return row["path"] if row["bytes"] is None else EncodedImage(row["bytes"], row["path"] or "the encoded image")
    return _only_image(row[find_image_key(row)])


def _only_image(image: Any) -> Any:
    """The image that a row begins with, or that it has under a key."""
    if isinstance(image, tuple | list):
        raise ValueError(f"a row has a list of {len(image)} where its image is expected; give a row for each image")
    return image_of(image)


def find_image_key(row: Mapping[str, Any]) -> str:
    """The key under which a mapping has an image; also the last part of one, as "left.jpg".

    Raises:
        ValueError: there is none.
    """
    ends = {str(key).rpartition(".")[2].casefold(): key for key in reversed(list(row))}
    for known in IMAGE_KEYS:
        if known in ends:
            return ends[known]
    near = suggest("image", map(str, row), f"its keys are {', '.join(map(repr, row))}")
    raise ValueError(f"a row has no image: expected one under {', '.join(map(repr, IMAGE_KEYS[:5]))}; {near}")


def label_of(row: Any) -> int | None:
    """The index of the class of a row: the integer beside the image in a tuple, or under a usual key of a mapping.

    A negative one stands for an unknown class, as -1 and -100 do in data sets and losses.

    Raises:
        ValueError: an integer of a million or more, which is the number of something else.

    Example:
        >>> label_of(("a.png", 3)), label_of({"jpg": b"", "cls": b"7"}), label_of("a.png")
        (3, 7, None)
    """
    label = None
    if isinstance(row, tuple | list):
        label = as_label(row[1]) if len(row) > 1 else None
    elif isinstance(row, Mapping):
        label = next((as_label(row[key]) for key in LABEL_KEYS if key in row), None)
    if label is not None and label >= MAX_CLASSES:
        raise ValueError(f"its label is {label}; expected the index of a class, below {MAX_CLASSES:,}")
    return None if label is None or label < 0 else label


def as_label(value: Any) -> int | None:
    """An integer of any form: of Python, NumPy or torch, or digits as text or bytes; None for anything else."""
    if isinstance(value, bytes | str):
        text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
        return int(text) if text.strip().isdecimal() and len(text) < 19 else None
    with suppress(TypeError, ValueError, AttributeError):
        return int(value.__index__())
    return None


def name_of(row: Any, index: int) -> str:
    """What a row is called: its own name, or its number."""
    keys = [key for key in NAME_KEYS if key in row] if isinstance(row, Mapping) else []
    return str(row[keys[0]]) if keys else str(index)


class CheckedRows:
    """The rows of a data set by their number, each compared with what it was before: a transform may change it.

    Args:
        source: has a length, and rows by number.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self.marks = array("I", bytes(4)) * len(source)  # 0 where a row was not read yet

    def __len__(self) -> int:
        return len(self.marks)

    def __getitem__(self, index: int) -> Any:
        row = self.source[index]
        mark = mark_of(row)
        if self.marks[index] not in (0, mark):
            cure = "give a data set without random changes, such as random crops"
            raise RuntimeError(f"image '{index}' is another one than before; {cure}")
        self.marks[index] = mark
        return row


def mark_of(row: Any) -> int:
    """A number by which another row shows: of the label, and of some numbers of the image, which is not decoded.

    Example:
        >>> mark_of((b"one", 1)) == mark_of((b"one", 1)), mark_of((b"one", 1)) == mark_of((b"two", 1))
        (True, False)
    """
    try:
        content = _spread(image_of(row)), label_of(row)
    except (ValueError, OSError) as error:
        content = str(error), None
    return zlib.crc32(repr(content).encode(errors="backslashreplace"))


def _spread(image: Any) -> Any:
    """Some numbers of an image, spread over it; of one that is still to be decoded its file, size and mode."""
    from PIL import Image

    if isinstance(image, EncodedImage):
        return len(image.data), image.data[:: 1 + len(image.data) // MARKED]
    if isinstance(image, Image.Image):
        if getattr(image, "tile", None):
            return image.size, image.mode, str(getattr(image, "filename", ""))
        image = np.asarray(image)
    if isinstance(image, Tensor | np.ndarray):
        flat = image.reshape(-1)
        return tuple(image.shape), flat[:: 1 + len(flat) // MARKED].tolist()
    return str(image)
