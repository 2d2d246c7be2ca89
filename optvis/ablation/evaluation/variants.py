"""Variants of a network, each with other units switched off: which units, and the scores of many variants at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor

from optvis.ablation.blinded import replace_each, replace_units
from optvis.ablation.fills import Replacement
from optvis.features.autoencoder_units import Features, replace_features
from optvis.features.projection import Projection
from optvis.features.units import Channels, Directions, ListedUnits, Units
from optvis.models.activations import read_activations
from optvis.models.classifier import Classifier
from optvis.models.tail import Tail
from optvis.objectives import OUTPUT

Variant: TypeAlias = tuple[Units, ...]  # what is off in each of the layers: some units, or none

MAX_STEPS = 32
TOLERANCE = 1e-3  # of the largest score: float32 scores computed in two ways differ by less


def growing_variants(units: Sequence[Units]) -> tuple[Variant, ...]:
    """Switch off more and more of the units, in their order, from none to all; 33 variants at most.

    Units of several layers grow together: each step takes about the same share of each.

    >>> growing_variants([Channels("mixed4", [7]), Channels("mixed5", [3, 14])])[1]
    (Channels('mixed4', [7]), Channels('mixed5', [3]))
    """
    longest = max((len(one) for one in units), default=0)
    counts = torch.linspace(0, longest, min(longest, MAX_STEPS) + 1, dtype=torch.float64, device="cpu")
    shares = [round(count) / max(1, longest) for count in counts.tolist()]
    return tuple(tuple(first_units(one, int(len(one) * share + 0.5)) for one in units) for share in shares)


def first_units(units: Units, count: int) -> Units:
    """The first of the units, in their order; no directions are Channels without an index."""
    if count or isinstance(units, ListedUnits):
        return units[:count]
    return Channels(units.layer, [], channel_axis=units.channel_axis)


def complement(units: Variant, channels: Mapping[str, int]) -> Variant:
    """Everything else in the layers of some units: what is off where only these units are kept.

    A channel is kept whole, whatever the range `within` which its unit is switched off. With features, the part that
    their autoencoder does not reconstruct is kept too.

    >>> complement((Channels("mixed5", [0, 2]),), {"mixed5": 4})  # of a layer with 4 channels
    (Channels('mixed5', [1, 3]),)
    """
    return tuple(_complement(one, channels[one.layer]) for one in units)


def _complement(units: Units, channels: int) -> Units:
    if isinstance(units, ListedUnits):
        others = (~units.mask(channels)).nonzero().flatten().tolist()
        return units.choose(others)
    if isinstance(units, Projection):
        rest = units.complement()
        return first_units(units, 0) if rest is None else rest
    basis = units.basis(channels)
    if len(basis) == channels:
        return first_units(units, 0)
    whole = torch.linalg.qr(basis.T, mode="complete").Q
    return Directions(units.layer, whole[:, len(basis) :].T, channel_axis=units.channel_axis)


@dataclass(frozen=True, eq=False)
class _BatchUnits:
    """Units of one layer; each part of a batch has its own."""

    parts: tuple[Units, ...]

    @property
    def layer(self) -> str:
        return self.parts[0].layer

    @property
    def channel_axis(self) -> int | None:
        return self.parts[0].channel_axis

    def replace_by(self, a: Tensor, replacement: Replacement) -> Tensor:
        """As in Units, for each of K parts of (K · B, ...)."""
        if isinstance(self.parts[0], Features):
            return replace_features(cast("tuple[Features, ...]", self.parts), a, replacement)
        fill, count = replacement(self.parts[0].read(a)), len(self.parts)
        is_each = isinstance(fill, Tensor) and fill.dim() > 1 and len(fill) == len(a)
        fills = fill.chunk(count) if is_each else [fill] * count  # type: ignore[union-attr]
        parts = zip(self.parts, a.chunk(count), fills, strict=True)
        return torch.cat([units.replace(part, own) for units, part, own in parts])


def score_variants(
    classifier: Classifier, image: Tensor, first: str, variants: Sequence[Variant], replacements: Sequence[Replacement]
) -> Iterator[Tensor]:
    """Compute the scores of one image, (1, 3, H, W), for each variant: (K, classes) at a time, until all are done.

    The network has to be borrowed. `first` is the layer that finishes first; `replacements` are one for each layer.
    """
    network = classifier.network
    with torch.no_grad():
        tail = Tail(network, image, classifier.preprocess(image), first)
        for start in range(0, len(variants), tail.variations_per_pass):
            batch = variants[start : start + tail.variations_per_pass]
            units = cast("list[Units]", [_BatchUnits(parts) for parts in zip(*batch, strict=True)])
            pairs = list(zip(units, replacements, strict=True))
            later = [pair for pair in pairs if pair[0].layer != first]
            cached = tail.activations.expand(len(batch), *tail.activations.shape[1:])
            cached = replace_each([pair for pair in pairs if pair[0].layer == first], cached)
            with replace_units(network, [one for one, _ in later], [replacement for _, replacement in later]):
                scores = tail.run(cached, [OUTPUT])[OUTPUT]
            yield classifier.read_head(image).logits(scores)


def check_cached_scores(classifier: Classifier, image: Tensor, first: str, units: Variant) -> None:
    """Raise a ValueError where cached activations give other scores than the whole network."""
    zeros: list[Replacement] = [lambda _: 0.0] * len(units)
    with torch.no_grad(), replace_units(classifier.network, units, zeros):
        output = read_activations(classifier.network, classifier.preprocess(image), [OUTPUT])[OUTPUT]
    whole = classifier.read_head(image).logits(output)
    cached = next(score_variants(classifier, image, first, [units], zeros))
    gap = float((whole - cached).abs().max())
    if gap > TOLERANCE * float(whole.abs().max()):
        raise ValueError(
            f"from cached activations of {first!r} the network gives other scores, by {gap:.3g}: it does not compute "
            "the same each time, or uses one module in several blocks; name a layer whose module runs once"
        )
