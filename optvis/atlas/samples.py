"""Samples: one activation vector of each of many images, and its attribution to each class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from optvis.data.files import atomic_write, ensure_dir
from optvis.viz.result import to_json

SUFFIX = ".safetensors"
HEADER, RECIPE = "optvis.samples", "recipe"  # keys of the file's header
TENSORS = {"vectors": "vectors", "attribution": "attribution", "positions": "positions", "indices": "places"}
"""The name of each tensor in the file."""


@dataclass(frozen=True, eq=False)
class Samples:
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

    layer: str
    vectors: Tensor
    attribution: Tensor
    positions: Tensor
    grid: tuple[int, int]
    indices: Tensor
    names: tuple[str, ...]
    labels: tuple[str, ...]
    recipe: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: Any) -> Samples:
        """Some of them, by anything that indexes a tensor's rows."""
        return replace(self, **{name: getattr(self, name)[rows] for name in TENSORS})

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
            OSError: the folder cannot be written.
        """
        from safetensors.torch import save

        target = Path(path)
        if target.suffix != SUFFIX:
            raise ValueError(f"samples are saved as safetensors: give a path ending in {SUFFIX}, not {str(path)!r}")
        tensors = {key: getattr(self, name).contiguous() for name, key in TENSORS.items()}
        texts = {"layer": self.layer, "grid": self.grid, "names": self.names, "labels": self.labels}
        header = {HEADER: to_json(texts), RECIPE: to_json(dict(self.recipe))}
        ensure_dir(target.parent)
        return atomic_write(target, save(tensors, header))

    @classmethod
    def load(cls, path: str | Path) -> Samples:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: no such file.
            ValueError: the file is damaged, or holds something else.
        """
        from safetensors import SafetensorError, safe_open

        target = Path(path)
        if not target.is_file():
            raise FileNotFoundError(f"no file {str(target)!r}")
        try:
            with safe_open(target, "pt") as file:
                header = file.metadata()
                tensors = {name: file.get_tensor(key) for name, key in TENSORS.items()}
            texts, recipe = json.loads(header[HEADER]), json.loads(header[RECIPE])
            lists = {"grid": tuple(texts["grid"]), "names": tuple(texts["names"]), "labels": tuple(texts["labels"])}
            return cls(layer=texts["layer"], recipe=recipe, **lists, **tensors)  # type: ignore[arg-type]
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{str(target)!r} is damaged, or holds no samples: {error}") from error

    def __repr__(self) -> str:
        count, channels = self.vectors.shape
        return f"Samples({self.layer!r}, {count} vectors of {channels} channels, {self.attribution.shape[1]} classes)"
