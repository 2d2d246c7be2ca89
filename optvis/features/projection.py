"""Projections: a part of a layer's activations that is read by some vectors and removed along others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optvis.features.unit_options import expand_fill, format_options, orthonormalize, validate_range
from optvis.features.units import Channels, Directions, Units
from optvis.objectives.layout import name_tokens, restore_layout
from optvis.objectives.target_tensors import as_vectors

TOLERANCE = 1e-4  # of readers · vectors, which should be the identity


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Projection(Units):
    """What an affine map a ↦ a − Σ vₖ (rₖ · (a − center)) removes from a layer: directions that other vectors read.

    `Directions` are the case in which both are the same orthonormal vectors. A concept that a linear classifier reads
    is often written along other directions than those that it reads; see `Leace`, which fits such a map to labels.

    Args:
        layer: name as in `layers(net)`.
        vectors: directions vₖ, along which the activations change, (K, C), or (C,) for one.
        readers: rₖ, with rₖ · vₗ = 1 where k is l and 0 elsewhere; by default the dual basis of the vectors' span.
        center: activation that stays as it is, (C,); by default zero. A fill takes its place.
        within: only at positions where the activation read by r, a·r / ‖r‖, lies in this range; for one direction.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default; "class", "registers" or "all".

    Raises:
        ValueError: readers that do not read the vectors one by one, tensors of other shapes, an empty range, or a range
            for several directions.

    Example:
        >>> removed = Projection("mixed3", [1.0, 0.0], readers=[1.0, 1.0])
        >>> removed, removed.replace(torch.tensor([[3.0, 2.0]]))
        (Projection('mixed3', 1 of 2), tensor([[-2.,  2.]]))
    """

    NOUN = "direction"

    layer: str
    vectors: Tensor  # (K, C) float64
    readers: Tensor  # (K, C) float64
    center: Tensor  # (C,) float64
    within: tuple[float, float] | None
    channel_axis: int | None

    def __init__(
        self,
        layer: str,
        vectors: Any,
        readers: Any = None,
        center: Any = None,
        *,
        within: tuple[float, float] | None = None,
        channel_axis: int | None = None,
        tokens: str | None = None,
    ) -> None:
        layer = name_tokens(layer, tokens)
        rows = as_vectors(vectors, "vectors").detach().double()
        if not bool(rows.isfinite().all()):
            raise ValueError("a vector is not finite; expected finite numbers")
        reading = torch.linalg.pinv(rows).T if readers is None else as_vectors(readers, "readers").detach().double()
        middle = torch.zeros_like(rows[:1]) if center is None else as_vectors(center, "center").detach().double()
        if reading.shape != rows.shape or middle.shape != rows[:1].shape:
            shapes = ", ".join(f"{name} {tuple(one.shape)}" for name, one in (("readers", reading), ("center", middle)))
            raise ValueError(
                f"{shapes} for vectors {tuple(rows.shape)}; expected a reader for each vector, one center for all, and "
                "as many numbers in each"
            )
        identity = torch.eye(len(rows), dtype=torch.float64, device=rows.device)
        if not bool(((reading @ rows.T - identity).abs() <= TOLERANCE).all()) or not bool(middle.isfinite().all()):
            raise ValueError("readers · vectors is not the identity; expected one reader a vector, blind to the others")
        if within is not None and len(rows) > 1:
            raise ValueError(f"within is given for {len(rows)} vectors; make a Projection for each")
        own = {"layer": layer, "vectors": rows, "readers": reading, "center": middle[0]}
        vars(self).update(own, within=validate_range(within), channel_axis=channel_axis)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice) -> Projection:
        options = {"within": self.within, "channel_axis": self.channel_axis}
        return Projection(self.layer, self.vectors[rows], self.readers[rows], self.center, **options)  # type: ignore[arg-type]

    def replace(self, a: Tensor, fill: Tensor | float | None = None) -> Tensor:
        """Replace what the readers read in the layer's activations by what they read in `fill`, or in the center.

        Arguments are as in `Channels`; a ValueError where vectors do not have as many numbers as the layer channels.
        """
        values = self.read(a)
        self._check_length(values.shape[1])
        readers = self.readers.to(values)
        middle = expand_fill(self.center if fill is None else fill, values)
        excess = (values - middle).movedim(1, -1) @ readers.T
        if self.within is not None:
            along = values.movedim(1, -1) @ readers.T / torch.linalg.vector_norm(readers)
            excess = excess * ((along >= self.within[0]) & (along <= self.within[1]))
        return restore_layout(values - (excess @ self.vectors.to(values)).movedim(-1, 1), a, self.channel_axis)

    def basis(self, channels: int) -> Tensor:
        """Return orthonormal directions that span what the readers read, (K, C), float64."""
        self._check_length(channels)
        return orthonormalize(self.readers)

    def projector(self, channels: int) -> Tensor:
        """Return the matrix of what is removed, Σ vₖ rₖᵀ, (C, C), float64."""
        self._check_length(channels)
        return self.vectors.T @ self.readers

    def complement(self) -> Projection | None:
        """Return the projection that removes everything else, and keeps what this one removes; None if that is all."""
        count, channels = self.vectors.shape
        if count == channels:
            return None
        along, reading = (
            torch.linalg.qr(one.T, mode="complete").Q[:, count:].T for one in (self.readers, self.vectors)
        )
        readers = torch.linalg.solve(reading @ along.T, reading)
        return Projection(self.layer, along, readers, self.center, channel_axis=self.channel_axis)

    def _check_length(self, channels: int) -> None:
        length = self.vectors.shape[1]
        if length != channels:
            raise ValueError(f"a projection of {length} numbers in {self.layer!r}, which has {channels} channels")

    def __repr__(self) -> str:
        count, channels = self.vectors.shape
        return f"Projection({self.layer!r}, {count} of {channels}{format_options(self.within, self.channel_axis)})"


#: Units that are replaced by an affine map of the layer's activations.
AffineUnits: TypeAlias = Channels | Directions | Projection
