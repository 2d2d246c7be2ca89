"""Units of a layer, and the layer's activations without them: what all kinds share, channels, and directions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from optvis.features.unit_options import expand_fill, format_options, orthonormalize, validate_range
from optvis.objectives.layout import channels_first, name_tokens, restore_layout
from optvis.objectives.target_tensors import as_index, as_vectors


class Units(ABC):
    """What can be named in a layer and ablated: `Channels`, `Directions`, a `Projection` or `Features`."""

    NOUN: ClassVar[str]  # what one of them is called

    layer: str
    within: tuple[float, float] | None
    channel_axis: int | None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, rows: slice) -> Units:
        """Some of them, by a slice."""

    def read(self, a: Tensor) -> Tensor:
        """What a fill replaces: the layer's activations, channels first, (B, C, ...)."""
        return channels_first(a, self.channel_axis)

    def replace_by(self, a: Tensor, replacement: Callable[[Tensor], Tensor | float]) -> Tensor:
        """As `replace`, with a fill that is computed from what `read` returns."""
        return self.replace(a, replacement(self.read(a)))

    @abstractmethod
    def replace(self, a: Tensor, fill: Tensor | float = 0.0) -> Tensor:
        """Replace the units in the layer's activations, (B, ...), with `fill`.

        Args:
            a: activations as the layer gives them, (B, ...).
            fill: a number, one number a channel (C,), or a tensor that broadcasts with what `read` returns.
        """

    @abstractmethod
    def basis(self, channels: int) -> Tensor:
        """Return orthonormal directions that span what the units read, (K, C), float64."""


class ListedUnits(Units):
    """Units that are listed by their indices among what `read` returns."""

    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: slice) -> ListedUnits:
        return self.choose(self.indices[rows], self.within)

    @abstractmethod
    def choose(self, indices: Iterable[int], within: tuple[float, float] | None = None) -> ListedUnits:
        """Other ones of the same layer."""

    def check_indices(self, layer: str, indices: int | Iterable[int] | Tensor) -> tuple[int, ...]:
        """Return indices, each once; TypeError for what are no integers, ValueError for negative ones."""
        chosen = () if isinstance(indices, list | tuple) and not indices else as_index(indices, self.NOUN).tolist()
        if any(index < 0 for index in chosen):
            raise ValueError(f"{self.NOUN} {min(chosen)} of {layer!r}; expected 0 or more")
        return tuple(dict.fromkeys(chosen))

    def mask(self, count: int, device: torch.device | None = None) -> Tensor:
        """Return which of so many these are, (C,) of bool; IndexError for one that the layer does not have."""
        if self.indices and max(self.indices) >= count:
            raise IndexError(f"{self.NOUN} {max(self.indices)} of {self.layer!r}{self._owner} has 0..{count - 1}")
        chosen = torch.zeros(count, dtype=torch.bool, device="cpu")
        chosen[list(self.indices)] = True
        return chosen.to(device)

    @property
    def _owner(self) -> str:
        """What has them, for an error message."""
        return ", which"

    def basis(self, channels: int) -> Tensor:
        self.mask(channels)
        return torch.eye(channels, dtype=torch.float64, device="cpu")[list(self.indices)]

    def fill_in(self, values: Tensor, fill: Tensor | float) -> Tensor:
        """Replace these, where they are within their range, in what `read` returns, (B, C, ...) -> (B, C, ...)."""
        mask = self.mask(values.shape[1], values.device).view(1, -1, *[1] * (values.dim() - 2))
        if self.within is not None:
            mask = mask & (values >= self.within[0]) & (values <= self.within[1])
        return torch.where(mask, expand_fill(fill, values), values)


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Channels(ListedUnits):
    """Some channels of a layer.

    Args:
        layer: name as in `layers(net)`.
        indices: of the channels; duplicates are dropped.
        within: only where the channel's activation lies in this range, (lowest, highest); None is everywhere.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default; "class", "registers" or "all".

    Raises:
        TypeError: indices that are not integers.
        ValueError: a negative index, or a range that is empty.

    Example:
        >>> two = Channels("mixed3", [4, 17])
        >>> two, len(two), two[:1]
        (Channels('mixed3', [4, 17]), 2, Channels('mixed3', [4]))
        >>> Channels("mixed3", 1).replace(torch.ones(1, 2, 1, 1)).flatten()
        tensor([1., 0.])
    """

    NOUN = "channel"

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
        tokens: str | None = None,
    ) -> None:
        layer = name_tokens(layer, tokens)
        own = {"layer": layer, "indices": self.check_indices(layer, indices)}
        vars(self).update(own, within=validate_range(within), channel_axis=channel_axis)

    def choose(self, indices: Iterable[int], within: tuple[float, float] | None = None) -> Channels:
        return Channels(self.layer, list(indices), within=within, channel_axis=self.channel_axis)

    def replace(self, a: Tensor, fill: Tensor | float = 0.0) -> Tensor:
        """Replace these channels of the layer's activations with `fill`.

        Args:
            a: activations as the layer gives them, (B, ...).
            fill: a number, one number a channel (C,), or a tensor that broadcasts with (B, C, ...).

        Raises:
            IndexError: a channel that the layer does not have.
        """
        return restore_layout(self.fill_in(self.read(a), fill), a, self.channel_axis)

    def projector(self, channels: int) -> Tensor:
        """Return the matrix of what is removed, (C, C), float64: ones on the diagonal at these channels."""
        return self.mask(channels).double().diag()

    def __repr__(self) -> str:
        return f"Channels({self.layer!r}, {list(self.indices)}{format_options(self.within, self.channel_axis)})"


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Directions(Units):
    """Directions in the space of a layer's channels, or the subspace that they span.

    Args:
        layer: name as in `layers(net)`.
        vectors: (K, C), or (C,) for one.
        within: only at positions where the activation along the direction, a·v / ‖v‖, lies in this range; for one
            direction.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default; "class", "registers" or "all".

    Raises:
        ValueError: no vectors, a vector of zeros, an empty range, or a range for several directions.

    Example:
        >>> tilted = Directions("mixed3", [3.0, 4.0])
        >>> tilted.replace(torch.tensor([[6.0, 8.0]])).round(decimals=3)
        tensor([[0., 0.]])
    """

    NOUN = "direction"

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
        tokens: str | None = None,
    ) -> None:
        layer = name_tokens(layer, tokens)
        rows = as_vectors(vectors, "directions")
        if not bool(rows.isfinite().all()) or not bool(rows.abs().amax(1).gt(0).all()):
            raise ValueError("a direction is zero or not finite; expected a finite vector other than zero")
        if within is not None and len(rows) > 1:
            raise ValueError(f"within is given for {len(rows)} directions; make a Directions for each")
        own = {"layer": layer, "vectors": rows, "orthonormal_basis": orthonormalize(rows)}
        vars(self).update(own, within=validate_range(within), channel_axis=channel_axis)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice) -> Directions:
        return Directions(self.layer, self.vectors[rows], within=self.within, channel_axis=self.channel_axis)

    def replace(self, a: Tensor, fill: Tensor | float = 0.0) -> Tensor:
        """Replace the part of the layer's activations along these directions with that of `fill`: a − P (a − fill).

        Arguments are as in `Channels`; a ValueError where directions do not have as many numbers as the layer channels.
        """
        values = self.read(a)
        basis = self.basis(values.shape[1]).to(values)
        excess = (values - expand_fill(fill, values)).movedim(1, -1) @ basis.T
        if self.within is not None:
            along = values.movedim(1, -1) @ basis.T
            excess = excess * ((along >= self.within[0]) & (along <= self.within[1]))
        return restore_layout(values - (excess @ basis).movedim(-1, 1), a, self.channel_axis)

    def basis(self, channels: int) -> Tensor:
        """Return orthonormal directions that span the same subspace, (K or fewer, C), float64."""
        length = self.vectors.shape[1]
        if length != channels:
            raise ValueError(f"directions of {length} numbers in {self.layer!r}, which has {channels} channels")
        return self.orthonormal_basis

    def projector(self, channels: int) -> Tensor:
        """Return the matrix of what is removed, the orthogonal projection onto the span, (C, C), float64."""
        basis = self.basis(channels)
        return basis.T @ basis

    def __repr__(self) -> str:
        count, channels = self.vectors.shape
        return f"Directions({self.layer!r}, {count} of {channels}{format_options(self.within, self.channel_axis)})"
