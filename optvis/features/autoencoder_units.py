"""Features of an autoencoder as units of a layer, and the layer's activations without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from optvis.features.unit_options import expand_fill, format_options, validate_range
from optvis.objectives.autoencoder import Autoencoder
from optvis.objectives.layout import name_tokens
from optvis.objectives.target_tensors import as_index


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Features:
    """Some features of a sparse autoencoder of a layer.

    Each position of the layer is a row of the autoencoder's input, and its codes are the features' activations. Where
    features are off, the layer's output x becomes x + decode(codes without them) − decode(codes). So the part of x
    that the autoencoder does not reconstruct stays, and its error is no collateral of an ablation.

    Args:
        layer: name as in `layers(net)`.
        sae: the autoencoder: an object whose `encode` takes rows (N, C) and returns codes (N, K), or a tuple
            (pre-codes, codes), and whose `decode` takes codes and returns rows. It is copied, as it is now; the copy is
            frozen and in eval mode.
        indices: of the features; duplicates are dropped.
        within: only where the feature's code lies in this range, (lowest, highest); None is everywhere.
        channel_axis: axis of the channels in the layer's output; by default the second, or the last of three.
        tokens: of a transformer: "patches", the default; "class", "registers" or "all".

    Raises:
        TypeError: an object without `encode` and `decode`; indices that are not integers.
        ValueError: a negative index, or a range that is empty.

    Example:
        >>> from types import SimpleNamespace
        >>> halves = SimpleNamespace(encode=lambda x: (x / 2).relu(), decode=lambda z: 2 * z)
        >>> unit = Features("mixed3", halves, [1])
        >>> unit, unit.replace(torch.tensor([[4.0, 6.0, -1.0]]))
        (Features('mixed3', <SimpleNamespace>, [1]), tensor([[ 4.,  0., -1.]]))
    """

    layer: str
    sae: Any
    indices: tuple[int, ...]
    within: tuple[float, float] | None
    channel_axis: int | None
    autoencoder: Autoencoder = field(compare=False)  # the frozen copy

    def __init__(
        self,
        layer: str,
        sae: Any,
        indices: int | Iterable[int] | Tensor,
        *,
        within: tuple[float, float] | None = None,
        channel_axis: int | None = None,
        tokens: str | None = None,
    ) -> None:
        layer = name_tokens(layer, tokens)
        self._set(layer, sae, indices, within, channel_axis, Autoencoder(sae, layer))

    def _set(
        self, layer: str, sae: Any, indices: Any, within: Any, channel_axis: int | None, autoencoder: Autoencoder
    ) -> None:
        chosen = () if isinstance(indices, list | tuple) and not indices else as_index(indices, "feature").tolist()
        if any(index < 0 for index in chosen):
            raise ValueError(f"feature {min(chosen)} of {layer!r}; expected 0 or more")
        own = {"layer": layer, "sae": sae, "indices": tuple(dict.fromkeys(chosen)), "within": validate_range(within)}
        vars(self).update(own, channel_axis=channel_axis, autoencoder=autoencoder)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: slice) -> Features:
        """Some of them, by a slice."""
        return self.choose(self.indices[rows], self.within)

    def choose(self, indices: Iterable[int], within: tuple[float, float] | None = None) -> Features:
        """Other features of the same autoencoder, which is not copied again."""
        other = object.__new__(Features)
        other._set(self.layer, self.sae, list(indices), within, self.channel_axis, self.autoencoder)
        return other

    def read(self, a: Tensor) -> Tensor:
        """The codes of all features, (B, K, ...), of the layer's activations; see `Autoencoder.encode` for errors."""
        return self.autoencoder.encode(a, self.channel_axis)

    def replace(self, a: Tensor, fill: Tensor | float = 0.0) -> Tensor:
        """Replace the codes of these features by `fill`, and change the layer's activations by what that decodes to.

        Args:
            a: activations as the layer gives them, (B, ...).
            fill: a number, one number a feature (K,), or a tensor that broadcasts with codes (B, K, ...).

        Raises:
            IndexError: a feature that the autoencoder does not have.
            ValueError: an autoencoder that does not fit the activations.
        """
        return self.replace_by(a, lambda _: fill)

    def replace_by(self, a: Tensor, replacement: Callable[[Tensor], Tensor | float]) -> Tensor:
        """As `replace`, with a fill that is computed from the codes."""
        return replace_features([self], a, replacement)

    def replace_codes(self, codes: Tensor, fill: Tensor | float) -> Tensor:
        """Replace the codes of these features, (B, K, ...) -> (B, K, ...)."""
        mask = self.mask(codes.shape[1], codes.device).view(1, -1, *[1] * (codes.dim() - 2))
        if self.within is not None:
            mask = mask & (codes >= self.within[0]) & (codes <= self.within[1])
        return torch.where(mask, expand_fill(fill, codes), codes)

    def mask(self, count: int, device: torch.device | None = None) -> Tensor:
        """Return a mask of the features, (K,) of bool; IndexError for one that the autoencoder does not have."""
        if self.indices and max(self.indices) >= count:
            raise IndexError(
                f"feature {max(self.indices)} of {self.layer!r}; its autoencoder {self.autoencoder.kind} has "
                f"0..{count - 1}"
            )
        chosen = torch.zeros(count, dtype=torch.bool, device="cpu")
        chosen[list(self.indices)] = True
        return chosen.to(device)

    def basis(self, count: int) -> Tensor:
        """Return the rows of the identity at these features, (len, K), float64: directions in the space of codes."""
        self.mask(count)
        return torch.eye(count, dtype=torch.float64, device="cpu")[list(self.indices)]

    def __repr__(self) -> str:
        options = format_options(self.within, self.channel_axis)
        return f"Features({self.layer!r}, {self.autoencoder!r}, {list(self.indices)}{options})"


def replace_features(parts: Sequence[Features], a: Tensor, replacement: Callable[[Tensor], Tensor | float]) -> Tensor:
    """As `Features.replace_by`, for each of V parts of (V · B, ...); all activations are encoded once.

    Args:
        parts: features of one autoencoder, for each part of the activations.
        a: activations, those of a part one after the other.
        replacement: the fill, computed from the codes.
    """
    if not any(len(part) for part in parts):
        return a
    codes = parts[0].read(a)
    fill = replacement(codes)
    is_each = isinstance(fill, Tensor) and fill.dim() > 1 and len(fill) == len(a)
    fills = fill.chunk(len(parts)) if is_each else [fill] * len(parts)  # type: ignore[union-attr]
    triples = zip(parts, codes.chunk(len(parts)), fills, strict=True)
    new = torch.cat([part.replace_codes(own, value) for part, own, value in triples])
    return parts[0].autoencoder.replace_codes(a, codes, new, parts[0].channel_axis)
