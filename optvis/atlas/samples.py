"""Samples: one activation vector of each of many images, and its attribution to each class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from optvis.arguments import TensorFields, check_count, check_range
from optvis.data.files import ensure_dir
from optvis.data.own_files import KIND, write_own_files
from optvis.data.schema import parse_json, read_value
from optvis.viz.result import to_json
from optvis.viz.tensor_file import encode_tensors, read_tensor_file

SUFFIX = ".safetensors"
SAMPLES_KIND = "samples"  # what `read_kind` reads from the file
HEADER, RECIPE = "optvis.samples", "recipe"  # keys of the file's header
TEXTS: Mapping[str, Any] = {"layer": str, "grid": tuple[int, int], "names": tuple[str, ...], "labels": tuple[str, ...]}


@dataclass(frozen=True, eq=False)
class Samples(TensorFields):
    """Activation vectors of one layer, one of each image.

    Args:
        layer: name as in `layers(net)`.
        vectors: (N, C), none of them all zero.
        attribution: what each vector adds to each class's score, gradient · activation, (N, K); K is 0 where the
            network's output is not a score for each class.
        positions: row and column of each in its layer, (N, 2); for tokens 0 and the token's index.
        grid: rows and columns of positions that the layer has.
        indices: of the image that each is from, (N,).
        names: of all images.
        labels: of the K classes.
        recipe: everything that computed them, in JSON types.

    Example:
        >>> import torch
        >>> samples = Samples("mixed5", torch.eye(2), torch.zeros(2, 0), torch.zeros(2, 2).long(), (4, 4),
        ...                   torch.tensor([0, 1]), ("a.jpg", "b.jpg"), (), {})
        >>> samples, len(samples[[1]])
        (Samples('mixed5', 2 vectors of 2 channels, 0 classes), 1)
    """

    TENSOR_FIELDS: ClassVar = {
        "vectors": "N C",
        "attribution": "N K",
        "positions": "N 2: int",
        "indices": "N: int",
    }

    layer: str
    vectors: Tensor
    attribution: Tensor
    positions: Tensor
    grid: tuple[int, int]
    indices: Tensor
    names: tuple[str, ...]
    labels: tuple[str, ...]
    recipe: Mapping[str, Any]

    def _check(self, sizes: Mapping[str, int]) -> None:
        check_count("labels", len(self.labels), sizes["K"], "classes")
        check_range("indices", self.indices, 0, len(self.names))
        check_range("positions", self.positions, 0, max(self.grid))

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: Any) -> Samples:
        """Some of them, by anything that indexes a tensor's rows."""
        return replace(self, **{name: getattr(self, name)[rows] for name in self.TENSOR_FIELDS})

    @property
    def complete(self) -> bool:
        """False where sampling was interrupted."""
        return not self.recipe.get("interrupted", False)

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file atomically, with the recipe in its header; return the path.

        Args:
            path: ends in .safetensors; its folder is created if needed.

        Raises:
            ValueError: another suffix.
            FileExistsError: the file exists and holds no samples.
            OSError: the folder cannot be written.
        """
        target = Path(path)
        if target.suffix != SUFFIX:
            raise ValueError(f"samples are saved as safetensors: give a path ending in {SUFFIX}, not {str(path)!r}")
        tensors: dict[str, Tensor] = {name: getattr(self, name) for name in self.TENSOR_FIELDS}
        texts = {name: getattr(self, name) for name in TEXTS}
        header = {HEADER: to_json(texts), RECIPE: to_json(dict(self.recipe)), KIND: SAMPLES_KIND}
        ensure_dir(target.parent)
        write_own_files({target: (SAMPLES_KIND, encode_tensors(tensors, header))})
        return target

    @classmethod
    def load(cls, path: str | Path) -> Samples:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: the file is damaged, or holds something else.
        """
        return read_tensor_file(path, SAMPLES_KIND, cls._from_file)

    @classmethod
    def _from_file(cls, tensors: dict[str, Tensor], header: dict[str, str]) -> Samples:
        recipe = read_value(Mapping[str, Any], parse_json(header[RECIPE]), RECIPE)
        texts = read_value(Mapping[str, Any], parse_json(header[HEADER]), HEADER)
        values: dict[str, Any] = {name: read_value(hint, texts[name], name) for name, hint in TEXTS.items()}
        values |= {name: tensors[name] for name in cls.TENSOR_FIELDS}
        return cls(recipe=recipe, **values)

    def __repr__(self) -> str:
        count, channels = self.vectors.shape
        return f"Samples({self.layer!r}, {count} vectors of {channels} channels, {self.attribution.shape[1]} classes)"
