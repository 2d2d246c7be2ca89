"""Shards in the format of webdataset: tar archives of images, read at any place without unpacking them."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from optvis.data.encoded import FilePart
from optvis.data.files import display_name, is_file
from optvis.data.folders import image_suffixes
from optvis.data.rows import as_label

SUFFIX, LABEL_SUFFIX = ".tar", ".cls"
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
MAX_LABEL_BYTES = 32
MAX_SHARDS = 1_000_000


@dataclass(frozen=True)
class DamagedShard:
    """Stands for the images that a damaged archive has lost; reading it raises ValueError."""

    reason: str


def is_shards(source: Any) -> bool:
    """Whether a source of images is one archive or several: paths that end in .tar, or a folder of nothing else."""
    if isinstance(source, str | os.PathLike):
        return _has_suffix(source) or bool(list_shards(Path(source)))
    is_list = isinstance(source, list | tuple) and bool(source)
    return is_list and all(isinstance(one, str | os.PathLike) and _has_suffix(one) for one in source)


def _has_suffix(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix.casefold() == SUFFIX


def list_shards(folder: Path) -> list[Path]:
    """The archives of a folder that has nothing but archives, sorted; else none."""
    try:
        visible = sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())
    except (OSError, ValueError):
        return []
    return visible if all(map(_has_suffix, visible)) else []


def expand_shards(source: Any) -> list[Path]:
    """The archives that a source names; "train-{000..015}.tar" stands for sixteen.

    Raises:
        ValueError: an absurd number of archives.

    Example:
        >>> [path.name for path in expand_shards("train-{08..10}.tar")]
        ['train-08.tar', 'train-09.tar', 'train-10.tar']
    """
    if not isinstance(source, str | os.PathLike):
        return [path for one in source for path in expand_shards(one)]
    text = os.fspath(source)
    found = RANGE.search(text)
    if not found:
        return list_shards(Path(source)) or [Path(source)]
    first, last = (int(end[:9]) for end in found.groups())
    if not first <= last < first + MAX_SHARDS:
        raise ValueError(f"{text!r} names shards {first} to {last}; expected a range that rises, as {{000..015}}")
    numbers = (f"{n:0{len(found[1])}d}" for n in range(first, last + 1))
    return [path for n in numbers for path in expand_shards(text[: found.start()] + n + text[found.end() :])]


def index_shards(source: Any) -> tuple[list[tuple[Any, int | None]], tuple[str, ...]]:
    """Find the images in archives; only headers and labels are read.

    Args:
        source: see `is_shards`.

    Returns:
        Each image with its label, from a file of the same name ending in .cls; and the names.

    Raises:
        FileNotFoundError: there is no such archive.
        ValueError: none of them holds an image.
    """
    images: list[tuple[Any, int | None]] = []
    names: list[str] = []
    for shard in expand_shards(source):
        for name, part, label in _index_shard(shard):
            images.append((part, label))
            names.append(display_name(name))
    if not any(isinstance(part, FilePart) for part, _ in images):
        named = f"no images in the shards {os.fspath(source) if not isinstance(source, list | tuple) else source!r}"
        raise ValueError("; ".join([named, *(part.reason for part, _ in images[:1] if isinstance(part, DamagedShard))]))
    return images, tuple(names)


def _index_shard(shard: Path) -> Iterable[tuple[str, Any, int | None]]:
    if not is_file(shard):
        raise FileNotFoundError(f"no shard {str(shard)!r}")
    members, reason = _read_headers(shard)
    labels = _read_labels(shard, members)
    suffixes = image_suffixes()
    for member in members:
        stem, suffix = _split_name(member.name)
        if suffix in suffixes:
            name = f"{shard.name}/{member.name}"
            yield name, FilePart(shard, member.offset_data, member.size, name), labels.get(stem)
    if reason:
        yield shard.name, DamagedShard(f"the shard {str(shard)!r} is damaged or truncated: {reason}"), None


def _read_headers(shard: Path) -> tuple[Sequence[tarfile.TarInfo], str]:
    """The plain files of an archive, and what is wrong with its rest. Compressed archives are not unpacked."""
    members: list[tarfile.TarInfo] = []
    try:
        with tarfile.open(shard, "r:") as archive:
            members += (member for member in archive if member.isreg() and not member.issparse())
            if not _has_end(shard, archive.offset):
                return members, "what follows its last file is no header of another one, and no end of an archive"
    except tarfile.TarError as error:
        return members, str(error) or type(error).__name__
    except (OSError, EOFError, ValueError, OverflowError) as error:
        return members, str(error)
    return members, ""


def _has_end(shard: Path, offset: int) -> bool:
    """Whether an archive ends where Python has stopped to read it, which is at any damaged header, too."""
    with shard.open("rb") as file:
        file.seek(offset)
        return file.read(tarfile.BLOCKSIZE) == tarfile.NUL * tarfile.BLOCKSIZE


def _read_labels(shard: Path, members: Sequence[tarfile.TarInfo]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    with shard.open("rb") as file:
        for member in members:
            stem, suffix = _split_name(member.name)
            if suffix == LABEL_SUFFIX and member.size <= MAX_LABEL_BYTES:
                file.seek(member.offset_data)
                found[stem] = as_label(file.read(member.size))
    return found


def _split_name(name: str) -> tuple[str, str]:
    """Stem and suffix: a sample's name ends at the first dot behind its folder."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(".")[0], PurePosixPath(last).suffix.casefold()
