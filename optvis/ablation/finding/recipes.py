"""The two recipes that blinding grew from: channels that are loud in many photographs of a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.ablation.finding.case import Case
from optvis.ablation.finding.grouping import channels_by_layer
from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.classifier import BATCH_SIZE
from optvis.objectives.layout import positions

ROUNDED = 1e-9  # shares closer to the threshold than this have reached it


@dataclass(frozen=True)
class Loudest:
    """Recipe A: of each layer, the channels that are among the loudest in nearly every photograph of the class.

    Loud is the L2 norm of a channel's map. A layer and the ReLU behind it are the same channels, and count once.

    Args:
        top: how many channels are the loudest of a photograph.
        seen: in which share of the photographs a channel has to be among them.
        most: how many channels of each layer at most.
    """

    top: int = 10
    seen: float = 0.8
    most: int = 5

    def __post_init__(self) -> None:
        if self.top < 1 or self.most < 1 or not 0 <= self.seen <= 1:
            raise ValueError(f"{self}: expected top and most of 1 or more, seen in [0, 1]")

    def __call__(self, case: Case) -> tuple[Units, ...]:
        """Channels of each of the case's layers. The network has to be borrowed.

        Raises:
            ValueError: no channel is seen so often.
        """
        ranked = _ranked(case, self.top)
        enough = self.seen - ROUNDED
        chosen = {
            layer: [channel for channel, share in shares if share >= enough][: self.most]
            for layer, shares in ranked.items()
        }
        if not any(chosen.values()):
            raise ValueError(
                f"no channel of {', '.join(case.layers)} is among the {self.top} loudest in {self.seen:.0%} of the "
                "photographs; lower seen, or take method='commonest'"
            )
        return _units(chosen)


@dataclass(frozen=True)
class Commonest:
    """Recipe B: of each layer, the channels that are most often among the loudest, however often that is.

    Args:
        most: how many channels of each layer.
        top: how many channels are the loudest of a photograph.
    """

    most: int = 4
    top: int = 10

    def __post_init__(self) -> None:
        if self.top < 1 or self.most < 1:
            raise ValueError(f"{self}: expected top and most of 1 or more")

    def __call__(self, case: Case) -> tuple[Units, ...]:
        """Channels of each of the case's layers. The network has to be borrowed."""
        ranked = _ranked(case, self.top)
        return _units({layer: [channel for channel, _ in shares[: self.most]] for layer, shares in ranked.items()})


def _units(chosen: Mapping[str, Sequence[int]]) -> tuple[Units, ...]:
    return channels_by_layer([(layer, channel) for layer, channels in chosen.items() for channel in channels])


def _ranked(case: Case, top: int) -> dict[str, list[tuple[int, float]]]:
    """Channels of each layer and the share of photographs that have them among their loudest; the commonest first.

    Of those that are as common, the louder comes first.
    """
    photographs = case.images[case.shows]
    found = {}
    for layer, norms in _norms(case, photographs).items():
        channels = norms.shape[1]
        loudest = norms.topk(min(top, channels), dim=1).indices
        counts = torch.bincount(loudest.flatten(), minlength=channels)
        order = sorted(range(channels), key=lambda place: (-int(counts[place]), -float(norms[:, place].mean())))
        found[layer] = [(place, int(counts[place]) / len(norms)) for place in order if counts[place]]
    return found


def _norms(case: Case, photographs: Tensor) -> dict[str, Tensor]:
    """The L2 norm of each channel's map, (B, C), of layers that are not another one rectified."""
    found: dict[str, list[Tensor]] = {layer: [] for layer in _distinct(case, photographs[:BATCH_SIZE])}
    with torch.no_grad():
        for piece in torch.split(photographs, BATCH_SIZE):
            seen = read_activations(case.classifier.network, case.classifier.preprocess(piece), list(found))
            for layer, a in seen.items():
                found[layer].append(torch.linalg.vector_norm(positions(a).double(), dim=2))
    return {layer: torch.cat(norms) for layer, norms in found.items()}


def _distinct(case: Case, photographs: Tensor) -> list[str]:
    """The layers without those whose ReLU is listed too, in place or not: those are the same channels."""
    with torch.no_grad():
        seen = read_activations(case.classifier.network, case.classifier.preprocess(photographs), case.layers)
    return [
        layer
        for place, layer in enumerate(case.layers)
        if not any(_same(seen[layer], seen[later]) for later in case.layers[place + 1 :])
    ]


def _same(a: Tensor, later: Tensor) -> bool:
    return a.shape == later.shape and bool(a.relu().equal(later))


__all__ = ["Commonest", "Loudest"]
