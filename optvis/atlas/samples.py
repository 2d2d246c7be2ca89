"""Activation vectors of many photographs: one position of each, and what it added to each class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from optvis.data.files import atomic_write, ensure_dir

SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class Samples:
    """Activation vectors of one layer, drawn from photographs.

    Args:
        layer: name as in `layers(net)`.
        vectors: (N, C), none of them all zero.
        attribution: what each vector added to each class's score, gradient · activation, (N, K); K is 0 where the
            network's output is not a score a class.
        positions: row and column of each in its layer, (N, 2); for tokens 0 and the token's place.
        grid: rows and columns of positions that the layer has.
        places: which photograph each is from, (N,).
        names: of all photographs.
        labels: a text a class, K of them.
        recipe: everything that made them, in JSON's types.

    Example:
        >>> import torch
        >>> two = Samples("mixed5", torch.eye(2), torch.zeros(2, 0), torch.zeros(2, 2).long(), (4, 4),
        ...               torch.tensor([0, 1]), ("a.jpg", "b.jpg"), (), {})
        >>> two, len(two[[1]])
        (Samples('mixed5', 2 vectors of 2 channels, 0 classes), 1)
    """

    layer: str
    vectors: Tensor
    attribution: Tensor
    positions: Tensor
    grid: tuple[int, int]
    places: Tensor
    names: tuple[str, ...]
    labels: tuple[str, ...]
    recipe: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: Any) -> Samples:
        """Some of them, by anything that indexes a tensor's rows."""
        chosen = {name: getattr(self, name)[rows] for name in ("vectors", "attribution", "positions", "places")}
        return replace(self, **chosen)

    def save(self, path: str | Path) -> Path:
        """Write them as safetensors with the recipe in it, whole or not at all; returns the path.

        Args:
            path: ends in .safetensors; its folder is made if need be.

        Raises:
            ValueError: another suffix.
            OSError: the folder cannot be written.
        """
        from safetensors.torch import save

        target = Path(path)
        if target.suffix != SUFFIX:
            raise ValueError(f"samples are saved as safetensors: give a path ending in {SUFFIX}, not {str(path)!r}")
        tensors = {name: getattr(self, name).contiguous() for name in TENSORS}
        told = {"layer": self.layer, "grid": self.grid, "names": self.names, "labels": self.labels}
        notes = {"optvis.samples": json.dumps(told), "recipe": json.dumps(dict(self.recipe))}
        ensure_dir(target.parent)
        return atomic_write(target, save(tensors, notes))

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
                notes = file.metadata()
                tensors = {name: file.get_tensor(name) for name in TENSORS}
            told, recipe = json.loads(notes["optvis.samples"]), json.loads(notes["recipe"])
            lists = {"grid": tuple(told["grid"]), "names": tuple(told["names"]), "labels": tuple(told["labels"])}
            return cls(layer=told["layer"], recipe=recipe, **lists, **tensors)  # type: ignore[arg-type]
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{str(target)!r} is damaged, or no samples of optvis: {error}") from error

    def __repr__(self) -> str:
        count, channels = self.vectors.shape
        return f"Samples({self.layer!r}, {count} vectors of {channels} channels, {self.attribution.shape[1]} classes)"


TENSORS = ("vectors", "attribution", "positions", "places")


__all__ = ["Samples"]
