"""Sources that can only be read from the beginning: iterable data sets, loaders of them, and their batches."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from optvis.data.rows import LABEL_KEYS, find_image_key, mark_of, name_of

END = object()  # stands for the row after the last


class StreamedRows:
    """The rows of an iterable by their number. In order, they are one pass; a step back begins another one.

    Args:
        source: gives the same rows in the same order each time it is iterated.

    Raises:
        TypeError: an iterator, which can be read once only.
    """

    def __init__(self, source: Iterable[Any]) -> None:
        if iter(source) is source:
            raise TypeError(
                f"images are read more than once, and a {type(source).__name__} can be read once; give what it was "
                "made of, such as the data set"
            )
        self.source = source
        names, self.marks = list[str](), array("I")
        for index, row in enumerate(iterate_rows(source)):
            names.append(name_of(row, index))
            self.marks.append(mark_of(row))
        self.names = tuple(names)
        self.rows: Iterator[Any] | None = None
        self.following = 0

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        if self.rows is None or index < self.following:
            self.rows, self.following = iterate_rows(self.source), 0
        row: Any = END
        while self.following <= index:
            row = next(self.rows, END)
            self.following += 1
        if row is END or name_of(row, index) != self.names[index] or mark_of(row) != self.marks[index]:
            raise RuntimeError(
                f"row {index} is not {self.names[index]!r} as before; give a source of the same rows each time, "
                "without shuffling and random changes"
            )
        return row

    def __getstate__(self) -> Mapping[str, Any]:
        return {**vars(self), "rows": None, "following": 0}


def iterate_rows(source: Iterable[Any]) -> Iterator[Any]:
    """Iterate over rows; batches are taken apart, those of a loader and those that a source makes itself."""
    is_loader = getattr(source, "batch_size", None) is not None and hasattr(source, "collate_fn")
    for item in source:
        if is_loader or is_batch(item):
            yield from split_batch(item)
        else:
            yield item


def is_batch(item: Any) -> bool:
    """Whether what a source gives is several rows: where a row has its image, there is a list of images.

    Example:
        >>> import torch
        >>> is_batch((torch.zeros(2, 3, 8, 8), [3, 1])), is_batch([("a.png", 3), ("b.png", 1)]), is_batch(("a.png", 3))
        (True, True, False)
    """
    if isinstance(item, Mapping):
        return _is_mapping_of_columns(item)
    first = item[0] if isinstance(item, list | tuple) and item else item
    return isinstance(first, list | tuple) or _is_array(first, 4)


def split_batch(batch: Any) -> Iterator[Any]:
    """Give the rows of a batch: a tensor, a tuple of columns, a mapping of columns, or a list of rows.

    Example:
        >>> list(split_batch((["a.png", "b.png"], np.array([3, 1])))) == [("a.png", 3), ("b.png", 1)]
        True
    """
    if isinstance(batch, Mapping):
        count = len(batch[find_image_key(batch)])
        for row in range(count):
            yield {key: column[row] if _fits(column, count) else column for key, column in batch.items()}
    elif isinstance(batch, list | tuple) and batch and _has_columns(batch):
        yield from zip(*(column for column in batch if _fits(column, len(batch[0]))), strict=True)
    else:
        yield from batch


def _is_mapping_of_columns(item: Mapping[str, Any]) -> bool:
    try:
        images = item[find_image_key(item)]
    except ValueError:
        return False
    labels = next((item[key] for key in LABEL_KEYS if key in item), None)
    is_column = isinstance(images, list | tuple) or _is_array(images, 4)
    return is_column and (labels is None or _fits(labels, len(images)))


def _has_columns(batch: Sequence[Any]) -> bool:
    """Whether a batch is columns of images, labels and so on, and no rows."""
    first, others = batch[0], batch[1:]
    if not isinstance(first, list | tuple):
        return _is_array(first, 4)
    if any(_is_array(other, 1) for other in others):
        return True
    if not _has_pictures(first):
        return False
    return isinstance(batch, tuple) or not (others and _has_pictures(others[0]))  # of rows, all begin with pictures


def _has_pictures(values: Any) -> bool:
    from PIL import Image

    if not isinstance(values, list | tuple):
        return False
    return all(
        isinstance(one, Image.Image) or (isinstance(one, Tensor | np.ndarray) and one.ndim > 1) for one in values
    )


def _is_array(value: Any, axes: int) -> bool:
    return isinstance(value, Tensor | np.ndarray) and value.ndim == axes


def _fits(column: Any, count: int) -> bool:
    """Whether a column has an entry for each row."""
    is_column = isinstance(column, list | tuple) or (isinstance(column, Tensor | np.ndarray) and column.ndim > 0)
    return is_column and len(column) == count
