"""Rankings of channels: by contrastive attribution, or by how often their activations are among the largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.ablation.selection.cached_network import ChannelGates
from optvis.ablation.selection.task import SelectionTask
from optvis.arguments import check_minimum
from optvis.features.units import Channels, Units
from optvis.models.activations import read_activations
from optvis.models.classifier import BATCH_SIZE
from optvis.objectives.layout import positions

ROUNDING = 1e-9  # a share this close below the threshold has reached it


@dataclass(frozen=True)
class Contrast:
    """The channels whose attribution to the target differs most between its images and the images to keep.

    The attribution of a channel is Σ_positions gradient · activation of the target's log-odds, log p / (1 − p):
    gradient times input (Shrikumar et al. 2016, arXiv:1605.01713), applied to a channel.

    Args:
        max_units: number of channels, over all layers.
    """

    max_units: int = 10

    def __post_init__(self) -> None:
        check_minimum(1, max_units=self.max_units)

    def __call__(self, task: SelectionTask) -> tuple[Units, ...]:
        """Select channels of the task's layers. The network has to be borrowed.

        Raises:
            ValueError: no images to keep.
        """
        task.require_keep("contrastive attribution")
        gates = ChannelGates(task.cached)
        target = torch.tensor([task.target], device=task.images.device)
        attribution = gates.gradients(lambda logits: task.head.log_odds(logits, target), gates.all_open())
        contrast = attribution[task.is_target].mean(0) - attribution[~task.is_target].mean(0)
        return gates.to_units(contrast.argsort(descending=True, stable=True)[: self.max_units].tolist())


@dataclass(frozen=True)
class TopNorm:
    """Of each layer, the channels whose activation norm is among the largest in nearly every image of the target.

    The norm is the L2 norm of a channel's map. A layer and the ReLU behind it have the same channels, and count once.
    A channel that is zero everywhere in an image is not among the largest there.

    Args:
        top: number of channels with the largest norms, per image.
        min_share: share of the images in which a channel has to be among them.
        max_units: number of channels of each layer at most.
    """

    top: int = 10
    min_share: float = 0.8
    max_units: int = 5

    def __post_init__(self) -> None:
        if self.top < 1 or self.max_units < 1 or not 0 <= self.min_share <= 1:
            raise ValueError(f"{self}: expected top and max_units of 1 or more, min_share in [0, 1]")

    def __call__(self, task: SelectionTask) -> tuple[Units, ...]:
        """Select channels of each of the task's layers. The network has to be borrowed.

        Raises:
            ValueError: no channel reaches `min_share`; all channels are zero everywhere.
        """
        threshold = self.min_share - ROUNDING
        selected = {
            layer: [channel for channel, share in shares if share >= threshold][: self.max_units]
            for layer, shares in _rank_channels(task, self.top).items()
        }
        if not any(selected.values()):
            raise ValueError(
                f"no channel of {', '.join(task.layers)} is among the {self.top} with the largest norms in "
                f"{self.min_share:.0%} of the images; lower min_share, or use method='most_frequent'"
            )
        return _to_units(selected)


@dataclass(frozen=True)
class MostFrequent:
    """Of each layer, the channels whose activation norm is most often among the largest in images of the target.

    A channel that is zero everywhere in an image is not among the largest there.

    Args:
        max_units: number of channels of each layer at most.
        top: number of channels with the largest norms, per image.
    """

    max_units: int = 4
    top: int = 10

    def __post_init__(self) -> None:
        if self.top < 1 or self.max_units < 1:
            raise ValueError(f"{self}: expected top and max_units of 1 or more")

    def __call__(self, task: SelectionTask) -> tuple[Units, ...]:
        """Select channels of each of the task's layers. The network has to be borrowed.

        Raises:
            ValueError: all channels are zero everywhere.
        """
        ranking = _rank_channels(task, self.top).items()
        return _to_units({layer: [channel for channel, _ in shares[: self.max_units]] for layer, shares in ranking})


def _to_units(selected: Mapping[str, Sequence[int]]) -> tuple[Units, ...]:
    return tuple(Channels(layer, channels) for layer, channels in selected.items() if channels)


def _rank_channels(task: SelectionTask, top: int) -> dict[str, list[tuple[int, float]]]:
    """Channels of each layer with the share of the target's images that have them among their top; largest share first.

    Channels with equal shares are sorted by their mean norm. Those that are zero everywhere are left out.
    """
    images = task.images[task.is_target]
    ranking = {}
    for layer, norms in _norms(task, images).items():
        channels = norms.shape[1]
        values, largest = norms.topk(min(top, channels), dim=1)
        counts = torch.bincount(largest[values > 0], minlength=channels)
        order = sorted(range(channels), key=lambda index: (-int(counts[index]), -float(norms[:, index].mean())))
        ranking[layer] = [(index, int(counts[index]) / len(norms)) for index in order if counts[index]]
    if not any(ranking.values()):
        raise ValueError(
            f"all channels of {', '.join(ranking)} are zero everywhere in the images of the target; choose other layers"
        )
    return ranking


def _norms(task: SelectionTask, images: Tensor) -> dict[str, Tensor]:
    """The L2 norm of each channel's map, (B, C), of all layers but those that only feed a listed ReLU."""
    parts: dict[str, list[Tensor]] = {layer: [] for layer in _distinct_layers(task, images[:BATCH_SIZE])}
    with torch.no_grad():
        for batch in torch.split(images, BATCH_SIZE):
            found = read_activations(task.classifier.network, task.classifier.preprocess(batch), list(parts))
            for layer, a in found.items():
                parts[layer].append(torch.linalg.vector_norm(positions(a).double(), dim=2))
    return {layer: torch.cat(norms) for layer, norms in parts.items()}


def _distinct_layers(task: SelectionTask, images: Tensor) -> list[str]:
    """The layers without those whose ReLU, in place or not, is also listed: these are the same channels."""
    with torch.no_grad():
        found = read_activations(task.classifier.network, task.classifier.preprocess(images), task.layers)
    return [
        layer
        for index, layer in enumerate(task.layers)
        if not any(found[layer].relu().equal(found[later]) for later in task.layers[index + 1 :])
    ]
