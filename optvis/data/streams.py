"""Sources that can only be read from the beginning: iterable data sets, and loaders of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from optvis.data.rows import find_image_key, name_of


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
        self.names = tuple(name_of(row, index) for index, row in enumerate(iterate_rows(source)))
        self.rows: Iterator[Any] | None = None
        self.following = 0

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        if self.rows is None or index < self.following:
            self.rows, self.following = iterate_rows(self.source), 0
        row = None
        while self.following <= index:
            row = next(self.rows, None)
            self.following += 1
        if row is None or name_of(row, index) != self.names[index]:
            raise RuntimeError(f"row {index} is not {self.names[index]!r} as before; give a source without shuffling")
        return row

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "rows": None, "following": 0}


def iterate_rows(source: Iterable[Any]) -> Iterator[Any]:
    """Iterate over rows; a loader's batches are taken apart."""
    if getattr(source, "batch_size", None) is None or not hasattr(source, "collate_fn"):
        yield from source
        return
    for batch in source:
        yield from _split_batch(batch)


def _split_batch(batch: Any) -> Iterator[Any]:
    """The rows of a batch: a tensor, a tuple of columns, a mapping of columns, or a list of rows."""
    if isinstance(batch, Mapping):
        count = len(batch[find_image_key(batch)])
        yield from ({key: column[row] for key, column in batch.items()} for row in range(count))
    elif isinstance(batch, tuple | list) and batch and isinstance(batch[0], Tensor) and batch[0].dim() == 4:
        yield from zip(*batch, strict=True)
    else:
        yield from batch
