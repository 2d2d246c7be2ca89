"""Units: what can be named in a layer, and what a layer gives without them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optvis.objectives.layout import channels_first, restore_layout
from optvis.objectives.target_tensors import as_index, as_vectors

NEGLIGIBLE = 1e-6  # directions whose part outside the others' span is smaller add nothing to it


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Channels:
    """Some channels of a layer.

    Args:
        layer: name as in `layers(net)`.
        indices: which; each is kept once.
        within: only where the channel's own activation lies in this range, (lowest, highest); None is everywhere.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        TypeError: indices that are no integers.
        ValueError: a range that is empty.

    Example:
        >>> two = Channels("mixed3", [4, 17])
        >>> two, len(two), two[:1]
        (Channels('mixed3', [4, 17]), 2, Channels('mixed3', [4]))
        >>> Channels("mixed3", 1).replace(torch.ones(1, 2, 1, 1)).flatten()
        tensor([1., 0.])
    """

    layer: str
    indices: tuple[int, ...]
    within: tuple[float, float] | None
    channel_axis: int | None

    def __init__(
        self,
        layer: str,
        indices: int | Iterable[int] | Tensor,
        *,
        within: tuple[float, float] | None = None,
        channel_axis: int | None = None,
    ) -> None:
        chosen = () if isinstance(indices, list | tuple) and not indices else as_index(indices, "channel").tolist()
        if any(index < 0 for index in chosen):
            raise ValueError(f"channel {min(chosen)} of {layer!r}; expected 0 or more")
        object.__setattr__(self, "layer", layer)
        object.__setattr__(self, "indices", tuple(dict.fromkeys(chosen)))
        object.__setattr__(self, "within", validate_range(within))
        object.__setattr__(self, "channel_axis", channel_axis)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: slice) -> Channels:
        """The first, the last, … of them."""
        return Channels(self.layer, self.indices[rows], within=self.within, channel_axis=self.channel_axis)

    def replace(self, a: Tensor, fill: Tensor | float = 0.0) -> Tensor:
        """The layer's activations with these channels taken from `fill`.

        Args:
            a: activations as the layer gives them, (B, ...).
            fill: what to put there: a number, or anything that spreads over (B, C, ...).

        Raises:
            IndexError: a channel that the layer does not have.
        """
        laid = channels_first(a, self.channel_axis)
        chosen = self.mask(laid.shape[1], laid.device).view(1, -1, *[1] * (laid.dim() - 2))
        if self.within is not None:
            chosen = chosen & (laid >= self.within[0]) & (laid <= self.within[1])
        return restore_layout(torch.where(chosen, _like(fill, laid), laid), a, self.channel_axis)

    def mask(self, channels: int, device: torch.device | None = None) -> Tensor:
        """Which of a layer's channels these are, (C,) of bool.

        Raises:
            IndexError: one that the layer does not have.
        """
        if self.indices and max(self.indices) >= channels:
            raise IndexError(f"channel {max(self.indices)} of {self.layer!r}, which has 0..{channels - 1}")
        chosen = torch.zeros(channels, dtype=torch.bool)
        chosen[list(self.indices)] = True
        return chosen.to(device)

    def basis(self, channels: int) -> Tensor:
        """Orthonormal directions that span them, (K, C), float64."""
        self.mask(channels)
        return torch.eye(channels, dtype=torch.float64)[list(self.indices)]

    def __repr__(self) -> str:
        return f"Channels({self.layer!r}, {list(self.indices)}{_told(self.within, self.channel_axis)})"


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Directions:
    """Directions in a layer's space of channels, or the subspace that they span.

    Args:
        layer: name as in `layers(net)`.
        vectors: (K, C), or (C,) for one.
        within: only at positions where the activation along the one direction, a·v / ‖v‖, lies in this range.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.

    Raises:
        ValueError: no vector or one of zeros; an empty range, or a range of several directions.

    Example:
        >>> tilted = Directions("mixed3", [3.0, 4.0])
        >>> tilted.replace(torch.tensor([[6.0, 8.0]])).round(decimals=3)
        tensor([[0., 0.]])
    """

    layer: str
    vectors: Tensor
    within: tuple[float, float] | None
    channel_axis: int | None
    orthonormal_basis: Tensor = field(compare=False)  # (K, C) float64, orthonormal

    def __init__(
        self,
        layer: str,
        vectors: Any,
        *,
        within: tuple[float, float] | None = None,
        channel_axis: int | None = None,
    ) -> None:
        rows = as_vectors(vectors, "directions")
        if not bool(rows.isfinite().all()) or not bool(rows.abs().amax(1).gt(0).all()):
            raise ValueError("a direction of zeros, or one that is not finite, names nothing")
        if within is not None and len(rows) > 1:
            raise ValueError(f"a range of {len(rows)} directions at once; give each Directions of its own")
        object.__setattr__(self, "layer", layer)
        object.__setattr__(self, "vectors", rows)
        object.__setattr__(self, "within", validate_range(within))
        object.__setattr__(self, "channel_axis", channel_axis)
        object.__setattr__(self, "orthonormal_basis", _orthonormal(rows))

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice) -> Directions:
        """The first, the last, … of them."""
        return Directions(self.layer, self.vectors[rows], within=self.within, channel_axis=self.channel_axis)

    def replace(self, a: Tensor, fill: Tensor | float = 0.0) -> Tensor:
        """The layer's activations with their part along these directions taken from `fill`: a − P (a − fill).

        Args:
            a: activations as the layer gives them, (B, ...).
            fill: what to put there: a number, or anything that spreads over (B, C, ...).

        Raises:
            ValueError: directions of another length than the layer has channels.
        """
        laid = channels_first(a, self.channel_axis)
        basis = self.basis(laid.shape[1]).to(laid)
        excess = (laid - _like(fill, laid)).movedim(1, -1) @ basis.T
        if self.within is not None:
            along = laid.movedim(1, -1) @ basis.T
            excess = excess * ((along >= self.within[0]) & (along <= self.within[1]))
        return restore_layout(laid - (excess @ basis).movedim(-1, 1), a, self.channel_axis)

    def basis(self, channels: int) -> Tensor:
        """Orthonormal directions that span the same, (K or fewer, C), float64.

        Raises:
            ValueError: directions of another length than the layer has channels.
        """
        if self.orthonormal_basis.shape[1] != channels:
            raise ValueError(
                f"directions of {self.vectors.shape[1]} numbers in {self.layer!r}, which has {channels} channels"
            )
        return self.orthonormal_basis

    def __repr__(self) -> str:
        count, channels = self.vectors.shape
        return f"Directions({self.layer!r}, {count} of {channels}{_told(self.within, self.channel_axis)})"


Units: TypeAlias = Channels | Directions


def validate_range(within: tuple[float, float] | None) -> tuple[float, float] | None:
    """(lowest, highest), or None.

    Raises:
        ValueError: nothing lies between them.
    """
    if within is None:
        return None
    lowest, highest = (float(end) for end in within)
    if not lowest <= highest:
        raise ValueError(f"within is ({lowest:g}, {highest:g}); expected (lowest, highest)")
    return lowest, highest


def _orthonormal(rows: Tensor) -> Tensor:
    """A basis of what the rows span: one row itself, or the right singular vectors that are not negligible."""
    scaled: Tensor = rows.double() / torch.linalg.vector_norm(rows.double(), dim=1, keepdim=True)
    if len(scaled) == 1:
        return scaled
    _, strengths, right = torch.linalg.svd(scaled, full_matrices=False)
    basis: Tensor = right[strengths > NEGLIGIBLE * strengths[0]]
    return basis


def _like(fill: Tensor | float, laid: Tensor) -> Tensor:
    """The fill as a tensor that spreads over activations with channels second; (C,) is one number a channel."""
    values = torch.as_tensor(fill, dtype=laid.dtype, device=laid.device)
    return values.view(1, -1, *[1] * (laid.dim() - 2)) if values.dim() == 1 else values


def _told(within: tuple[float, float] | None, channel_axis: int | None) -> str:
    options = (("within", within), ("channel_axis", channel_axis))
    return "".join(f", {name}={value}" for name, value in options if value is not None)


__all__ = ["Channels", "Directions", "Units"]
