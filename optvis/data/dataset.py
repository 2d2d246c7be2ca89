"""Images by the thousand: read when they are needed, a batch at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from threading import Thread
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.data.encoded import EncodedImage
from optvis.data.images import ImageLike
from optvis.data.rows import CheckedRows, image_of, label_of
from optvis.data.streams import StreamedRows
from optvis.data.tar_shards import DamagedShard
from optvis.errors import warn_user

Rows: TypeAlias = "Sequence[Any] | Tensor | CheckedRows | StreamedRows"
Images: TypeAlias = "ImageLike | Sequence[ImageLike]"
Loader: TypeAlias = Callable[[Any], Tensor]  # an image in any form -> (1, 3, H, W), e.g. `Classifier.load_batch`
Outcome = TypeVar("Outcome")
BATCH_SIZE = 64
READERS = min(4, os.cpu_count() or 1)  # threads that decode files
MAX_FILES_IN_WARNING = 3


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images of any source, of which only those in use are in memory.

    Args:
        sources: anything with a length whose items are rows, see `as_dataset`.
        names: a text for each image.

    Example:
        >>> from optvis.data import as_dataset
        >>> two = as_dataset([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
        >>> len(two), two.names
        (2, ('0', '1'))
    """

    sources: Rows
    names: Sequence[str]
    _labels: dict[int, int | None] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def files(self) -> Sequence[str | os.PathLike[str]] | None:
        """The files of the images, where each row is the path of one."""
        rows = self.sources
        are_files = isinstance(rows, list | tuple) and all(isinstance(row, str | os.PathLike) for row in rows)
        return rows if are_files else None  # type: ignore[return-value]

    def outside(self, folder: str | os.PathLike[str]) -> ImageDataset:
        """The images whose files do not lie in a folder or below it, such as that of the results."""
        own, real = Path(folder).resolve(), cache(Path.resolve)  # a folder may have several paths
        inside = [own in (place := real(Path(path).parent), *place.parents) for path in self.files or ()]
        return self.subset([index for index, is_in in enumerate(inside) if not is_in]) if any(inside) else self

    def subset(self, indices: Sequence[int]) -> ImageDataset:
        """Select some of the images, in this order."""
        return ImageDataset(tuple(self.sources[index] for index in indices), [self.names[index] for index in indices])

    def ranges(self, size: int, start: int = 0) -> list[range]:
        """The indices of the images from `start` on, in ranges of `size`; the last may be shorter."""
        return [range(len(self))[first : first + size] for first in range(start, len(self), size)]

    def label(self, index: int) -> int | None:
        """The index of the class of an image, where the source has it; of one that was read already, at no cost."""
        if isinstance(self.sources, Tensor):
            return None
        if index not in self._labels:
            self._labels[index] = label_of(self.sources[index])
        return self._labels[index]

    def load(self, indices: Sequence[int], loader: Loader) -> Tensor:
        """Load some of the images, (B, 3, H, W) in [0, 1].

        Args:
            indices: which images.
            loader: loads one image in any form, e.g. `classifier.load_batch`.

        Raises:
            ValueError, FileNotFoundError, TypeError: as in `load_image`; the message names the image.
        """
        return torch.cat([self._decode(index, self._read(index), loader) for index in indices])

    def each_readable(self, indices: Sequence[int], loader: Loader) -> Iterator[tuple[int, Tensor]]:
        """Load some of the images one after the other, and leave out those that cannot be read.

        A warning at the end counts them and names the first.

        Args:
            indices: which images.
            loader: loads one image in any form, e.g. `classifier.load_batch`.

        Yields:
            The place in `indices`, and the image (1, 3, H, W) in [0, 1].
        """
        failures: list[str] = []
        for place, index in enumerate(indices):
            found, images = self._load_readable([index], loader, failures)
            if found:
                yield place, images
        _warn_left_out(failures, len(indices))

    def batches(self, loader: Loader, batch_size: int = BATCH_SIZE) -> Iterator[tuple[list[int], Tensor]]:
        """Load all images in order, reading the next batch while the current one is in use.

        Images that cannot be read are left out; a warning at the end counts them and names the first.

        Args:
            loader: loads one image in any form, e.g. `classifier.load_batch`.
            batch_size: how many images in a batch at most.

        Yields:
            The indices of the images, and the images (B, 3, H, W) in [0, 1].

        Raises:
            ValueError: no image can be read; a batch size below 1.
        """
        failures: list[str] = []
        yield from self.read_batches(range(len(self)), loader, batch_size, failures)
        self.report_failures(failures)

    def read_batches(
        self, indices: range, loader: Loader, batch_size: int, failures: list[str]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Load a range of the images in order like `batches`, and collect the errors of those that cannot be read.

        Args:
            indices: of the images.
            loader: loads one image in any form, e.g. `classifier.load_batch`.
            batch_size: how many images in a batch at most.
            failures: gets a text for each image that is left out; `report_failures` warns of them.
        """
        check_minimum(1, batch_size=batch_size)
        parts = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
        if not parts:
            return
        with ThreadPoolExecutor(READERS) as pool:
            upcoming = _start(self._load_readable, parts[0], loader, failures, pool)
            try:
                for following in [*parts[1:], None]:
                    found, images = upcoming.result()
                    if following is not None:
                        upcoming = _start(self._load_readable, following, loader, failures, pool)
                    if found:
                        yield found, images
            finally:
                upcoming.exception()  # wait for it

    def report_failures(self, failures: Sequence[str]) -> None:
        """Warn of the images that were left out of all; count them, and name the first.

        Raises:
            ValueError: no image could be read.
        """
        if len(failures) == len(self):
            raise ValueError(f"no image could be read; the first: {failures[0]}")
        _warn_left_out(failures, len(self))

    def _load_readable(
        self, part: Sequence[int], loader: Loader, failures: list[str], pool: Executor | None = None
    ) -> tuple[list[int], Tensor]:
        """Load those that can be read, and note the errors of the others."""
        if isinstance(self.sources, Tensor) and isinstance(part, range):
            with suppress(ValueError):  # one of them: found below
                return list(part), loader(self.sources[part.start : part.stop])
        indices, images = list[int](), list[Tensor]()
        for index, load in [(index, self._begin(index, loader, pool)) for index in part]:
            try:
                images.append(load())
                indices.append(index)
            except (ValueError, OSError) as error:
                failures.append(str(error))
        return indices, torch.cat(images) if images else torch.empty(0, dtype=torch.float32, device="cpu")

    def _begin(self, index: int, loader: Loader, pool: Executor | None) -> Callable[[], Tensor]:
        """Read a row, and begin to decode its image where that is work; return what gives the image."""
        try:
            image = self._read(index)
        except (ValueError, OSError) as error:
            return partial(_raise, error)
        load = partial(self._decode, index, image, loader)
        is_work = isinstance(image, str | os.PathLike | EncodedImage)
        return pool.submit(load).result if pool is not None and is_work else load

    def _read(self, index: int) -> Any:
        try:
            row = self.sources[index]
            self._labels[index] = label_of(row)
            image = row[0] if isinstance(row, tuple | list) and row else row
            if not isinstance(image, DamagedShard):
                return image_of(row)
        except (ValueError, OSError) as error:
            kind = OSError if isinstance(error, OSError) else ValueError  # others may need more than a text
            raise kind(f"image {self.names[index]!r}: {error}") from error
        raise ValueError(image.reason)

    def _decode(self, index: int, image: Any, loader: Loader) -> Tensor:
        try:
            images = loader(image)
        except (ValueError, TypeError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"image {self.names[index]!r}: {error}") from error
        if len(images) != 1:
            raise ValueError(f"item {self.names[index]!r} holds {len(images)} images; give each alone")
        return images


def _start(function: Callable[..., Outcome], *arguments: Any) -> Future[Outcome]:
    """Call a function in a thread of its own.

    A source may start processes there, as loaders do. In a process that the thread of an executor has started, Python
    waits at the end for that very thread, fails, and the loader takes its worker for lost.
    """
    future = Future[Outcome]()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def _raise(error: Exception) -> Tensor:
    raise error


def _warn_left_out(failures: Sequence[str], count: int) -> None:
    if failures:
        listing = "; ".join(failures[:MAX_FILES_IN_WARNING])
        warn_user(f"{len(failures)} of {count} images are left out: {listing}")
