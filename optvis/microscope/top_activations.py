"""Which photographs excite each channel most, and where: one pass over all of them, for all layers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from optvis.data.dataset import ImageDataset
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.objectives.layout import channels_first, positions

AT_ONCE = 32  # photographs


@dataclass(frozen=True, eq=False)
class Excited:
    """The photographs that excite each channel of a layer most, strongest first; of equal ones the earlier first.

    Args:
        values: largest activation over positions, (C, N).
        photos: places in the album, (C, N).
        spots: row and column of the position, (C, N, 2); nought where the layer has no map of positions.
    """

    values: Tensor
    photos: Tensor
    spots: Tensor

    def joined(self, other: Excited, top: int) -> Excited:
        """The strongest of both."""
        values = torch.cat([self.values, other.values], dim=1)
        order = values.sort(dim=1, descending=True, stable=True).indices[:, :top]
        photos = torch.cat([self.photos, other.photos], dim=1).gather(1, order)
        spots = torch.cat([self.spots, other.spots], dim=1)
        return Excited(values.gather(1, order), photos, spots.gather(1, order.unsqueeze(2).expand(-1, -1, 2)))

    def of(self, channel: int) -> list[tuple[int, float, int, int]]:
        """Place, activation, row and column of each photograph that excites a channel at all."""
        rows = zip(
            self.photos[channel].tolist(), self.values[channel].tolist(), self.spots[channel].tolist(), strict=True
        )
        return [(photo, value, *spot) for photo, value, spot in rows if value > 0]

    def told(self) -> dict[str, Any]:
        """As JSON's types."""
        return {"values": self.values.tolist(), "photos": self.photos.tolist(), "spots": self.spots.tolist()}


def from_told(told: dict[str, Any]) -> Excited:
    """What `told` gave."""
    return Excited(torch.tensor(told["values"]), torch.tensor(told["photos"]), torch.tensor(told["spots"]))


def excited(
    classifier: Classifier, album: ImageDataset, layers: Sequence[str], top: int, channel_axis: int | None = None
) -> dict[str, Excited]:
    """The photographs that excite each channel of some layers most; a batch of them is in memory at a time.

    Args:
        classifier: whose network is asked.
        album: the photographs.
        layers: names as in `layers(net)`.
        top: N, how many of each channel.
        channel_axis: axis of the channels in the layers' output; by default the second, or the last of three.
    """
    found: dict[str, Excited] = {}
    for places, images in album.batches(classifier.load_batch, AT_ONCE):
        with borrow(classifier.network), torch.no_grad():
            a = read_activations(classifier.network, classifier.preprocess(images), layers)
        for layer in layers:
            here = _strongest(a[layer], places, channel_axis)
            empty = Excited(here.values[:, :0], here.photos[:, :0], here.spots[:, :0])
            found[layer] = found.get(layer, empty).joined(here, top)
    return found


def _strongest(a: Tensor, places: Sequence[int], channel_axis: int | None) -> Excited:
    """Each channel's strongest position in each photograph of a batch, (C, B)."""
    spatial = channels_first(a, channel_axis).shape[2:]
    values, where = positions(a, channel_axis).float().cpu().max(2)
    across = spatial[1] if len(spatial) == 2 else 0
    spots = (
        torch.stack([where // across, where % across], 2) if across else torch.zeros(*where.shape, 2, dtype=torch.long)
    )
    photos = torch.tensor(places).expand(values.shape[1], -1)
    return Excited(values.T, photos, spots.movedim(1, 0))


__all__ = ["Excited", "excited"]
