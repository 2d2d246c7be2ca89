"""Features of an autoencoder as units of a layer, and the layer's activations without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from optvis.features.unit_options import format_options, validate_range
from optvis.features.units import ListedUnits
from optvis.objectives.autoencoder import Autoencoder
from optvis.objectives.layout import name_tokens


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Features(ListedUnits):
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

    NOUN = "feature"

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
        own = {"layer": layer, "sae": sae, "indices": self.check_indices(layer, indices)}
        vars(self).update(own, within=validate_range(within), channel_axis=channel_axis, autoencoder=autoencoder)

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

    @property
    def _owner(self) -> str:
        return f"; its autoencoder {self.autoencoder.kind}"

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
    new = torch.cat([part.fill_in(own, value) for part, own, value in triples])
    return parts[0].autoencoder.replace_codes(a, codes, new, parts[0].channel_axis)
