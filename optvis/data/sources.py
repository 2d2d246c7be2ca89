"""as_dataset(): any source of images as one kind of data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sized
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import IterableDataset

from optvis.data.dataset import ImageDataset
from optvis.data.files import display_name
from optvis.data.folders import list_images
from optvis.data.rows import IMAGE_KEYS, LABEL_KEYS, CheckedRows, find_image_key
from optvis.data.streams import StreamedRows
from optvis.data.tar_shards import index_shards, is_shards

NO_ROWS = (dict, set, frozenset, bytes, bytearray)


def as_dataset(source: Any) -> ImageDataset:
    """Turn any source of images into an ImageDataset.

    Args:
        source: a folder, whose subfolders are read as well; a list of images in any form that `load_image` takes;
            a tensor (B, 3, H, W) in [0, 1]; a dataset with `len` and numbered rows, such as torchvision's, Hugging
            Face's or `optvis.world.Scenes`; an iterable dataset that gives the same rows each time; a DataLoader, of
            which the dataset is read in its own order; or shards of webdataset, as "train-{000..015}.tar", a list of
            them, or a folder of nothing else. A row is an image, a tuple that begins with one, or a mapping with one
            under a usual key, such as "image" or "jpg". An ImageDataset is returned as it is.

    Raises:
        FileNotFoundError: no such folder or shard.
        ValueError: no images.
        TypeError: none of these forms; an iterator, which can be read once only.

    Example:
        >>> import torch
        >>> rows = [{"image": torch.zeros(3, 8, 8), "label": 1}]
        >>> as_dataset(torch.utils.data.DataLoader(rows)).label(0)
        1
    """
    if isinstance(source, ImageDataset):
        return source
    if is_shards(source):
        return ImageDataset(*index_shards(source))
    if isinstance(source, str | os.PathLike):
        files = list_images(source, recursive=True)
        return ImageDataset(tuple(files), tuple(display_name(path.relative_to(source).as_posix()) for path in files))
    if isinstance(source, Tensor) and source.dim() == 3:
        source = source.unsqueeze(0)
    if hasattr(source, "collate_fn") and _is_numbered(getattr(source, "dataset", None)):
        source = source.dataset
    source = _leave_encoded(source)
    if _is_numbered(source):
        return _from_numbered(source)
    if isinstance(source, NO_ROWS) or not isinstance(source, Iterable):
        raise TypeError(
            f"images are a folder, a list, a tensor (B, 3, H, W), or a dataset with numbered rows or that can be "
            f"iterated again; got {type(source).__name__}"
        )
    rows = StreamedRows(source)
    if not len(rows):
        raise ValueError("no images: the source is empty")
    return ImageDataset(rows, rows.names)


def _is_numbered(source: Any) -> bool:
    has_no_numbers = isinstance(source, (*NO_ROWS, IterableDataset))  # torch's may have a length, and no row by number
    return isinstance(source, Sized) and hasattr(source, "__getitem__") and not has_no_numbers


def _from_numbered(source: Any) -> ImageDataset:
    if not len(source):
        raise ValueError("no images: the source is empty")
    is_list = isinstance(source, list | tuple)
    names = [
        display_name(Path(item).name) if is_list and isinstance(item, str | os.PathLike) else str(index)
        for index, item in enumerate(source if is_list else range(len(source)))
    ]
    makes_rows = not (is_list or isinstance(source, Tensor))
    return ImageDataset(CheckedRows(source) if makes_rows else source, tuple(names))


def _leave_encoded(source: Any) -> Any:
    """A table of Hugging Face whose images stay bytes, so that they are decoded with care, and by the readers.

    Its image and its label get the usual names. A table that the user transforms row by row stays as it is.
    """
    features = getattr(source, "features", None)
    if not features or not hasattr(source, "cast_column") or _is_transformed(source):
        return source
    column, label = _find_image_column(features), _find_label_column(features)
    feature = features[column]
    if hasattr(feature, "decode"):
        source = source.cast_column(column, type(feature)(decode=False))
    names = {column: IMAGE_KEYS[0]} if column not in IMAGE_KEYS else {}
    names |= {label: LABEL_KEYS[0]} if label is not None else {}
    taken = {name: f"other {name}" for name in names.values() if name in features}
    return source.rename_columns(taken | names) if names else source


def _is_transformed(table: Any) -> bool:
    """Whether a function of the user makes the rows, which expects images that are decoded."""
    return (getattr(table, "format", None) or {}).get("type") == "custom"


def _find_image_column(features: Mapping[str, Any]) -> str:
    """The column of images: the usual name, if it has images or no column has; or the only one that has them.

    Raises:
        ValueError: there is none, or there are several.
    """
    columns = [name for name, feature in features.items() if type(feature).__name__ == "Image"]
    usual = [name for name in IMAGE_KEYS if name in columns]
    if usual or len(columns) == 1:
        return (usual or columns)[0]
    if columns:
        listing = " and ".join(map(repr, columns))
        raise ValueError(
            f"a row has images under {listing}; rename one to 'image': rename_column({columns[0]!r}, 'image')"
        )
    return find_image_key(features)


def _find_label_column(features: Mapping[str, Any]) -> str | None:
    """The only column of classes, where no column has a usual name."""
    columns = [name for name, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    return columns[0] if len(columns) == 1 and not any(name in features for name in LABEL_KEYS) else None
