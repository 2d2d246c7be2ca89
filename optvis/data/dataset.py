"""Photographs by the thousand: read when they are needed, a batch at a time."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optvis.data.images import Photo, photograph
from optvis.models.classifier import Classifier

Pictures: TypeAlias = "Photo | Sequence[Photo]"
NAMED_IN_WARNING = 3  # files that cannot be read


@dataclass(frozen=True, eq=False)
class Album:
    """Photographs that lie somewhere: what is not asked for is not read.

    Args:
        sources: anything with a length whose items are photographs, or tuples that begin with one.
        names: a text a photograph.

    Example:
        >>> two = album([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)])
        >>> len(two), two.names
        (2, ('0', '1'))
    """

    sources: Sequence[Any]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.sources)

    def some(self, places: Sequence[int]) -> Album:
        """Some of them, in this order."""
        return Album([self.sources[place] for place in places], [self.names[place] for place in places])

    def read(self, places: Sequence[int], classifier: Classifier) -> Tensor:
        """Some of them as the network takes photographs, (B, 3, H, W) in [0, 1].

        Raises:
            ValueError, FileNotFoundError, TypeError: as in `photograph`; the message says which.
        """
        return torch.cat([self._one(place, classifier) for place in places])

    def batches(self, classifier: Classifier, at_once: int = 64) -> Iterator[tuple[list[int], Tensor]]:
        """All of them in order: their places, and (B, 3, H, W) in [0, 1]; the next batch is read while one is used.

        Those that cannot be read are left out, and a warning at the end names the first of them.

        Args:
            classifier: whose network they are for.
            at_once: how many in a batch at most.

        Raises:
            ValueError: none can be read.
        """
        failed: list[str] = []
        parts = [range(start, min(start + at_once, len(self))) for start in range(0, len(self), at_once)]
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(self._readable, parts[0], classifier, failed)
            for following in [*parts[1:], None]:
                places, images = coming.result()
                if following is not None:
                    coming = reader.submit(self._readable, following, classifier, failed)
                if places:
                    yield places, images
        if len(failed) == len(self):
            raise ValueError(f"no photograph could be read; the first: {failed[0]}")
        if failed:
            told = "; ".join(failed[:NAMED_IN_WARNING])
            warnings.warn(f"{len(failed)} of {len(self)} photographs are left out: {told}", stacklevel=2)

    def _readable(self, places: range, classifier: Classifier, failed: list[str]) -> tuple[list[int], Tensor]:
        """Those that can be read."""
        kept, images = list[int](), list[Tensor]()
        for place in places:
            try:
                images.append(self._one(place, classifier))
                kept.append(place)
            except (ValueError, OSError) as error:
                failed.append(str(error))
        return kept, torch.cat(images) if images else torch.empty(0)

    def _one(self, place: int, classifier: Classifier) -> Tensor:
        item = self.sources[place]
        try:
            images = photograph(item[0] if isinstance(item, tuple | list) else item, classifier)
        except (ValueError, TypeError) as error:
            raise type(error)(f"photograph {self.names[place]!r}: {error}") from error
        if len(images) != 1:
            raise ValueError(f"item {self.names[place]!r} holds {len(images)} photographs; give each alone")
        return images


def album(source: Any) -> Album:
    """Photographs from wherever they are.

    Args:
        source: a folder, whose subfolders are read as well; a list of photographs in any form that `photograph` takes;
            a tensor (B, 3, H, W) in [0, 1]; or a dataset with `len` and numbered items, each a photograph or a tuple
            that begins with one, such as torchvision's or `optvis.world.Scenes`. An Album is taken as it is.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no photographs.
        TypeError: none of these forms.
    """
    if isinstance(source, Album):
        return source
    if isinstance(source, str | os.PathLike):
        return _folder(Path(source))
    if isinstance(source, Tensor) and source.dim() == 3:
        source = source.unsqueeze(0)
    if not hasattr(source, "__len__") or not hasattr(source, "__getitem__") or isinstance(source, dict):
        raise TypeError(
            f"photographs are a folder, a list, a tensor (B, 3, H, W) or a dataset with numbered items; "
            f"got {type(source).__name__}"
        )
    if not len(source):
        raise ValueError("no photographs: nothing is in it")
    is_list = isinstance(source, list | tuple)
    names = [
        Path(item).name if is_list and isinstance(item, str | os.PathLike) else str(place)
        for place, item in enumerate(source if is_list else range(len(source)))
    ]
    return Album(source, tuple(names))


def _folder(folder: Path) -> Album:
    from PIL import Image

    if not folder.exists():
        raise FileNotFoundError(f"no folder {str(folder)!r}")
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is a file; give the folder that holds the photographs")
    suffixes = Image.registered_extensions()
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.casefold() in suffixes and path.is_file()]
    files = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not files:
        raise ValueError(f"no images in the folder {str(folder)!r}; expected files such as .jpg or .png in it")
    return Album(tuple(files), tuple(path.relative_to(folder).as_posix() for path in files))


__all__ = ["Album", "album"]
