"""Images by the thousand: read when they are needed, a batch at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optvis.data.files import display_name
from optvis.data.folders import list_images
from optvis.data.images import ImageLike
from optvis.errors import warn_user

Images: TypeAlias = "ImageLike | Sequence[ImageLike]"
Loader: TypeAlias = Callable[[Any], Tensor]  # an image in any form -> (1, 3, H, W), e.g. `Classifier.load_batch`
BATCH_SIZE = 64
MAX_FILES_IN_WARNING = 3


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images of any source, of which only those in use are in memory.

    Args:
        sources: anything with a length whose items are images, or tuples that begin with one.
        names: a text for each image.

    Example:
        >>> two = as_dataset([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
        >>> len(two), two.names
        (2, ('0', '1'))
    """

    sources: Sequence[Any]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.sources)

    def subset(self, indices: Sequence[int]) -> ImageDataset:
        """Select some of the images, in this order."""
        return ImageDataset([self.sources[index] for index in indices], [self.names[index] for index in indices])

    def load(self, indices: Sequence[int], loader: Loader) -> Tensor:
        """Load some of the images, (B, 3, H, W) in [0, 1].

        Args:
            indices: which images.
            loader: loads one image in any form, e.g. `classifier.load_batch`.

        Raises:
            ValueError, FileNotFoundError, TypeError: as in `load_image`; the message names the image.
        """
        return torch.cat([self._load_one(index, loader) for index in indices])

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
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected 1 or more")
        parts = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
        if not parts:
            return
        with ThreadPoolExecutor(1) as reader:
            upcoming = reader.submit(self._load_readable, parts[0], loader, failures)
            for following in [*parts[1:], None]:
                found, images = upcoming.result()
                if following is not None:
                    upcoming = reader.submit(self._load_readable, following, loader, failures)
                if found:
                    yield found, images

    def report_failures(self, failures: Sequence[str]) -> None:
        """Warn of the images that were left out of all; count them, and name the first.

        Raises:
            ValueError: no image could be read.
        """
        if len(failures) == len(self):
            raise ValueError(f"no image could be read; the first: {failures[0]}")
        _warn_left_out(failures, len(self))

    def _load_readable(self, part: Sequence[int], loader: Loader, failures: list[str]) -> tuple[list[int], Tensor]:
        """Load those that can be read, and note the errors of the others."""
        indices, images = list[int](), list[Tensor]()
        for index in part:
            try:
                images.append(self._load_one(index, loader))
                indices.append(index)
            except (ValueError, OSError) as error:
                failures.append(str(error))
        return indices, torch.cat(images) if images else torch.empty(0, dtype=torch.float32, device="cpu")

    def _load_one(self, index: int, loader: Loader) -> Tensor:
        item = self.sources[index]
        try:
            images = loader(item[0] if isinstance(item, tuple | list) else item)
        except (ValueError, TypeError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"image {self.names[index]!r}: {error}") from error
        if len(images) != 1:
            raise ValueError(f"item {self.names[index]!r} holds {len(images)} images; give each alone")
        return images


def _warn_left_out(failures: Sequence[str], count: int) -> None:
    if failures:
        listing = "; ".join(failures[:MAX_FILES_IN_WARNING])
        warn_user(f"{len(failures)} of {count} images are left out: {listing}")


def as_dataset(source: Any) -> ImageDataset:
    """Turn any source of images into an ImageDataset.

    Args:
        source: a folder, whose subfolders are read as well; a list of images in any form that `load_image` takes;
            a tensor (B, 3, H, W) in [0, 1]; or a dataset with `len` and numbered items, each an image or a tuple
            that begins with one, such as torchvision's or `optvis.world.Scenes`. An ImageDataset is returned as it is.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no images.
        TypeError: none of these forms.
    """
    if isinstance(source, ImageDataset):
        return source
    if isinstance(source, str | os.PathLike):
        files = list_images(source, recursive=True)
        return ImageDataset(tuple(files), tuple(display_name(path.relative_to(source).as_posix()) for path in files))
    if isinstance(source, Tensor) and source.dim() == 3:
        source = source.unsqueeze(0)
    if not hasattr(source, "__len__") or not hasattr(source, "__getitem__") or isinstance(source, dict):
        raise TypeError(
            f"images are a folder, a list, a tensor (B, 3, H, W) or a dataset with numbered items; "
            f"got {type(source).__name__}"
        )
    if not len(source):
        raise ValueError("no images: the source is empty")
    is_list = isinstance(source, list | tuple)
    names = [
        display_name(Path(item).name) if is_list and isinstance(item, str | os.PathLike) else str(index)
        for index, item in enumerate(source if is_list else range(len(source)))
    ]
    return ImageDataset(source, tuple(names))
