"""A network with now these, now those units off: many variations at once, from cached activations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor

from optvis.ablation.switching import Filling, switched
from optvis.attribution.layer_function import ACTIVATIONS_PER_PASS
from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.classifier import Classifier
from optvis.models.tail import Tail
from optvis.objectives import OUTPUT

Variant: TypeAlias = tuple[Units, ...]  # what is off: something, or nothing, in each of the layers

SAME = 1e-3  # of the largest score: by so much two ways to compute one answer may differ in float32


@dataclass(frozen=True, eq=False)
class _Several:
    """Units of one layer; each part of a batch has its own."""

    parts: tuple[Units, ...]

    @property
    def layer(self) -> str:
        return self.parts[0].layer

    @property
    def channel_axis(self) -> int | None:
        return self.parts[0].channel_axis

    def replace(self, a: Tensor, fill: Tensor | float = 0.0) -> Tensor:
        """As that of Units, for the parts of (K · B, ...) one by one."""
        count = len(self.parts)
        is_each = isinstance(fill, Tensor) and fill.dim() > 1 and len(fill) == len(a)
        fills = fill.chunk(count) if is_each else [fill] * count  # type: ignore[union-attr]
        each = zip(self.parts, a.chunk(count), fills, strict=True)
        return torch.cat([units.replace(part, filled) for units, part, filled in each])


def answers(
    classifier: Classifier, image: Tensor, first: str, variants: Sequence[Variant], fillings: Sequence[Filling]
) -> Iterator[Tensor]:
    """Scores for one image, (1, 3, H, W), with each variant off: (K, classes) each time, until all have been asked.

    The network has to be borrowed.

    Args:
        first: of the layers, the one that finishes first.
        fillings: what stands where units were, for each layer of the variants.
    """
    network = classifier.network
    with torch.no_grad():
        tail = Tail(network, image, classifier.preprocess(image), first)
        at_once = max(1, ACTIVATIONS_PER_PASS // max(1, tail.activations.numel()))
        for start in range(0, len(variants), at_once):
            some = variants[start : start + at_once]
            layers = cast("list[Units]", [_Several(parts) for parts in zip(*some, strict=True)])
            cached = tail.activations.expand(len(some), *tail.activations.shape[1:])
            with switched(network, layers, fillings):
                found = tail.run(cached, [OUTPUT])[OUTPUT]
            yield found


def check_tail(classifier: Classifier, image: Tensor, first: str, units: Variant) -> None:
    """Make sure that cached activations give what the whole network gives.

    Raises:
        ValueError: they do not.
    """
    off: list[Filling] = [lambda _: 0.0] * len(units)
    with torch.no_grad(), switched(classifier.network, units, off):
        whole = read_activations(classifier.network, classifier.preprocess(image), [OUTPUT])[OUTPUT]
    cached = next(answers(classifier, image, first, [units], off))
    gap = float((whole - cached).abs().max())
    if gap > SAME * float(whole.abs().max()):
        raise ValueError(
            f"from cached activations of {first!r} the network answers otherwise, by {gap:.3g}: it does not compute "
            "the same each time, or uses one module in several blocks; name a layer whose module runs once"
        )


__all__ = ["Variant", "answers", "check_tail"]
