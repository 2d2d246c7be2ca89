"""A store of shards: safetensors files that are only added, a manifest of what made them, and a list of them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from optvis.data.files import (
    atomic_write,
    encode_json,
    ensure_dir,
    is_file,
    read_json_or_none,
    remove_temporary_files,
    utf8_path,
)
from optvis.data.own_files import KIND, check_own_files, check_same_recipe, read_kind, refuse_taken
from optvis.data.schema import parse_json, read_value
from optvis.errors import warn_user
from optvis.viz.tensor_file import encode_tensors

MANIFEST, LIST = "manifest.json", "shards.jsonl"
MANIFEST_KIND = "survey manifest"
SHARD_KIND = "survey shard"


@dataclass(frozen=True)
class ShardRecord:
    """A line of the list: a file, the range of images that it is about, its SHA-256 and its size in bytes."""

    file: str
    first: int
    stop: int
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """What made the shards; it never changes.

    Args:
        digest: SHA-256 of the recipe.
        recipe: the network, its weights, the images and the options, in JSON types.
        layers: channels, rows and columns of positions of each layer.
        images: how many there are.
    """

    digest: str
    recipe: Mapping[str, Any]
    layers: Mapping[str, tuple[int, int, int]]
    images: int


class Store:
    """A folder with a manifest, shards, and the list of those that are complete.

    A shard is written and then listed; a file that is not listed is what a killed run has left. One process writes.

    Args:
        folder: of the store.

    Raises:
        FileNotFoundError: there is no store.
        ValueError: its manifest is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        file = self.folder / MANIFEST
        if not is_file(file):
            raise FileNotFoundError(f"no store in {str(folder)!r}: it has no {MANIFEST}")
        try:
            content = read_value(Mapping[str, Any], parse_json(file.read_bytes()), MANIFEST)
            self.manifest: Manifest = read_value(
                Manifest, {name: value for name, value in content.items() if name != KIND}, MANIFEST
            )
        except ValueError as error:
            raise ValueError(f"the store in {str(folder)!r} is damaged: {error}") from error

    @classmethod
    def create(cls, folder: str | Path, manifest: Manifest) -> Store:
        """Create a store, or open the one that is there.

        Raises:
            FileExistsError: the folder has a store of another recipe, or other files of these names.
            OSError: the folder cannot be written.
        """
        path = ensure_dir(folder) / MANIFEST
        check_own_files({path: MANIFEST_KIND})
        shards = path.parent.glob("shard-*.safetensors")
        taken = [one for one in (path.parent / LIST, *sorted(shards)) if os.path.lexists(one)]
        if not is_file(path):
            refuse_taken(taken, "survey")
            atomic_write(path, encode_json({KIND: MANIFEST_KIND, **asdict(manifest)}), replace=False)
        found = cls(folder)  # another process may have begun one meanwhile
        check_same_recipe("store", found.folder, found.manifest.recipe, manifest.recipe)
        return found

    def shards(self) -> list[ShardRecord]:
        """The complete shards, in the order of their images, up to the first that is missing."""
        found: list[ShardRecord] = []
        for record in self._listed():
            if record.first == (found[-1].stop if found else 0) and self._has(record):
                found.append(record)
        return found

    def add(self, first: int, stop: int, tensors: Mapping[str, Tensor]) -> ShardRecord:
        """Write a shard, and list it.

        Raises:
            OSError: the folder cannot be written.
        """
        data = encode_tensors(tensors, {KIND: SHARD_KIND, "recipe": self.manifest.digest})
        name = shard_file(first)
        self._repair_list()  # before the file is there again that a line after a damaged one may name
        atomic_write(self.folder / name, data)
        record = ShardRecord(name, first, stop, hashlib.sha256(data).hexdigest(), len(data))
        with (self.folder / LIST).open("ab") as file:
            file.write(encode_json(asdict(record)))
            file.flush()
            os.fsync(file.fileno())
        return record

    def digest(self) -> str:
        """The SHA-256 of what the store holds: its recipe, with the digest of the weights, and all complete shards."""
        shards = [record.sha256 for record in self.shards()]
        return digest_recipe({"recipe": dict(self.manifest.recipe), "shards": shards})

    def check(self) -> list[str]:
        """Read all shards; return a sentence for each that is damaged, missing or of another recipe, and for gaps.

        The same call of `survey_channels` records again what is damaged or missing, with all after it.
        """
        wrong = [] if self.manifest.digest == digest_recipe(self.manifest.recipe) else ["the recipe was changed"]
        for record in self._listed():
            path = self.folder / record.file
            if not is_file(path):
                wrong.append(f"{record.file} is missing")
            elif _digest_file(path) != record.sha256:
                wrong.append(f"{record.file} is damaged: its SHA-256 is another one; the same call records it again")
            elif not self._is_own(record):
                wrong.append(f"{record.file} is of another recipe; choose another folder, or delete it")
        done = max((record.stop for record in self.shards()), default=0)
        if done < self.manifest.images:
            wrong.append(f"{done:,} of {self.manifest.images:,} images are done; the same call continues")
        return wrong

    def remove_damaged(self) -> list[str]:
        """Remove the shards that do not hold what the list says; return their names. Those before them stay listed."""
        found = [self.folder / one.file for one in self.shards() if _digest_file(self.folder / one.file) != one.sha256]
        for path in found:
            path.unlink()
        return [path.name for path in found]

    def collect_garbage(self) -> list[str]:
        """Remove what killed runs have left: shards that are not listed, and temporary files; return their names.

        Shards that are listed stay, also after one that is missing or damaged: with that one they are whole again.
        """
        removed = remove_temporary_files(self.folder)
        listed = {record.file for record in self._listed()}
        found = [path for path in sorted(self.folder.glob("shard-*.safetensors")) if path.name not in listed]
        for path in found:
            path.unlink()
        return [*removed, *(path.name for path in found)]

    @contextmanager
    def open_shard(self, record: ShardRecord) -> Iterator[Any]:
        """Inside, a shard is mapped into memory: `get_tensor(name)`, `get_slice(name)[:, 3:5]`.

        Raises:
            ValueError: it is no shard any more, or one of another recipe.
        """
        from safetensors import SafetensorError, safe_open

        name = f"{record.file} in {str(self.folder)!r}"
        with utf8_path(self.folder / record.file) as path:
            try:
                opened = safe_open(path, "pt")
            except SafetensorError as error:
                cure = "the same call of survey_channels records it again"
                raise ValueError(f"{name} is damaged: {error}; {cure}") from error
            with opened as file:
                if (file.metadata() or {}).get("recipe") != self.manifest.digest:
                    raise ValueError(f"{name} is of another recipe than the {MANIFEST} there")
                yield file

    def _is_own(self, record: ShardRecord) -> bool:
        try:
            with self.open_shard(record):
                return True
        except ValueError:
            return False

    def _listed(self) -> list[ShardRecord]:
        """The lines of the list that name shards, but those cut off or damaged; none where it cannot be read."""
        found: list[ShardRecord] = []
        path = self.folder / LIST
        with suppress(OSError):
            for line in path.read_bytes().splitlines() if is_file(path) else ():
                with suppress(ValueError):
                    found.append(read_value(ShardRecord, parse_json(line), LIST))
        return [record for record in found if record.file == shard_file(record.first)]

    def _has(self, record: ShardRecord) -> bool:
        """Whether a line is about images that there are, and its file has the right size."""
        path, has_images = self.folder / record.file, record.first < record.stop <= self.manifest.images
        return has_images and is_file(path) and path.stat().st_size == record.size

    def _repair_list(self) -> None:
        """Drop a line that was cut off, and those after a shard that is not there, so that the next one can follow."""
        path, whole = self.folder / LIST, b"".join(encode_json(asdict(record)) for record in self.shards())
        if is_file(path) and path.read_bytes() != whole:
            atomic_write(path, whole)


def shard_file(first: int) -> str:
    """The file of the shard that begins with an image.

    >>> shard_file(256)
    'shard-000000256.safetensors'
    """
    return f"shard-{first:09d}.safetensors"


def list_stores(folder: str | Path) -> list[Store]:
    """The stores in a folder and below it, sorted; damaged ones are left out, with a warning."""
    found = []
    for place in find_stores(folder):
        try:
            found.append(Store(place))
        except (FileNotFoundError, ValueError) as error:
            warn_user(str(error))
    return found


def find_stores(folder: str | Path) -> list[Path]:
    """The folders of stores in a folder and below it, sorted; also of those whose manifest is damaged or missing."""
    places = {path.parent for name in (MANIFEST, LIST) for path in Path(folder).rglob(name)}
    return sorted(place for place in places if _is_store(place))


def _is_store(place: Path) -> bool:
    """Whether the manifest of a folder says so, or else one of its shards."""
    content = read_json_or_none(place / MANIFEST)
    is_said = isinstance(content, dict) and content.get(KIND) == MANIFEST_KIND
    return is_said or any(read_kind(shard) == SHARD_KIND for shard in place.glob("shard-*.safetensors"))


def digest_recipe(recipe: Mapping[str, Any]) -> str:
    """The SHA-256 of a recipe, whatever the order of its keys.

    >>> digest_recipe({"a": 1, "b": 2}) == digest_recipe({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def _digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
