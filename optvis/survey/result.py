"""Survey: what a store holds about the channels of a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.errors import suggest
from optvis.features.peaks import ChannelImages, split_places
from optvis.formatting import format_count
from optvis.survey.recorder import UNKNOWN, find_spans
from optvis.survey.store import Store

COLUMNS = 256  # channels whose values of all images are in memory at once


class Survey:
    """What a store of `survey_channels` holds about the channels of its layers; shards are mapped into memory.

    The activation of a channel in an image is its largest one over positions. In a survey with a target it is the
    channel's attribution, summed over positions, and its position is the one with the largest attribution. Of equal
    ones, the earlier image and the first position, row by row, come first.

    Args:
        store: or the path of its folder.

    Raises:
        FileNotFoundError, ValueError: see `Store`.
    """

    def __init__(self, store: Store | str | Path) -> None:
        self.store = store if isinstance(store, Store) else Store(store)
        self.manifest, self.shards = self.store.manifest, self.store.shards()
        self.spans = find_spans({layer: shape[0] for layer, shape in self.manifest.layers.items()})

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers."""
        return tuple(self.manifest.layers)

    @property
    def images(self) -> int:
        """How many images are done."""
        return self.shards[-1].stop if self.shards else 0

    @property
    def complete(self) -> bool:
        """Whether all images are done."""
        return bool(self.shards) and self.images == self.manifest.images

    @property
    def digest(self) -> str:
        """The SHA-256 of the recipe and of all shards, see `Store.digest`."""
        return self.store.digest()

    @property
    def has_labels(self) -> bool:
        """Whether the class of some image is known."""
        return bool((self._labels() != UNKNOWN).any())

    def each_shard(self, layer: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the indices of the images of each shard, (N,), and their activations, (N, C), in order.

        Images that could not be read are left out.
        """
        span = self._find(layer)
        for file in self._files():
            yield file.get_tensor("indices"), file.get_slice("values")[:, span]

    def top(self, layer: str) -> ChannelImages:
        """The images that activate each channel most, the strongest first."""
        span, count = self._find(layer), int(self.manifest.recipe["top"])
        values, indices, positions = (list[Tensor]() for _ in range(3))
        for file in self._files():
            rows = file.get_slice("top_rows")[:, span].long()
            values.append(file.get_slice("values")[:, span].gather(0, rows))
            indices.append(file.get_tensor("indices")[rows])
            positions.append(file.get_slice("top_positions")[:, span].long())
            order = torch.cat(values).sort(dim=0, descending=True, stable=True).indices[:count]
            values, indices, positions = ([torch.cat(one).gather(0, order)] for one in (values, indices, positions))
        return self._images(layer, values[0], indices[0], positions[0])

    def sample(self, layer: str, strata: int = 8) -> ChannelImages:
        """Images spread over the range of each channel's activations, from the weakest to the strongest.

        The range in the evenly spaced sample of the data set is divided into equal steps; each level gets the image of
        the sample whose activation is nearest, of equally near ones the earlier. A channel that is silent in most
        images gets the same image for several levels.

        Args:
            layer: name.
            strata: N, how many levels, 1 or more.

        Raises:
            ValueError: no levels.
        """
        check_minimum(1, strata=strata)
        span = self._find(layer)
        values, indices, positions = (list[Tensor]() for _ in range(3))
        for file in self._files():
            rows = file.get_tensor("sample_rows")
            values.append(file.get_slice("values")[:, span][rows])
            indices.append(file.get_tensor("indices")[rows])
            positions.append(file.get_slice("sample_positions")[:, span].long())
        a = torch.cat(values).double()
        steps = torch.linspace(0, 1, strata, dtype=torch.float64, device="cpu").view(-1, 1, 1)
        least, most = a.amin(0), a.amax(0)
        distance = (a - (least + steps * (most - least))).abs()  # (N, sample, C)
        chosen = (distance <= distance.amin(1, keepdim=True)).int().cumsum(1).eq(0).sum(1)  # the first of the nearest
        places = torch.cat(indices)[chosen]
        return self._images(layer, a.float().gather(0, chosen), places, torch.cat(positions).gather(0, chosen))

    def quantiles(self, layer: str, levels: Sequence[float]) -> Tensor:
        """Quantiles of each channel's activations over all images, (C, levels), exact, with linear interpolation.

        Args:
            layer: name.
            levels: in [0, 1].

        Raises:
            ValueError: another level.
        """
        if not all(0 <= level <= 1 for level in levels):
            raise ValueError(f"levels are {list(levels)}; expected numbers in [0, 1]")
        found = []
        for values in self._columns(layer):
            ordered = values.double().sort(0).values
            place = torch.tensor(list(levels), dtype=torch.float64, device="cpu") * (len(ordered) - 1)
            low, share = place.floor().long(), (place - place.floor()).unsqueeze(1)
            found.append(torch.lerp(ordered[low], ordered[place.ceil().long()], share.expand(-1, ordered.shape[1])))
        return torch.cat(found, 1).T.contiguous()

    def histogram(self, layer: str, bins: int = 24) -> Tensor:
        """How many images lie in each of equal steps from a channel's smallest activation to its largest, (C, bins).

        A channel with the same activation in all images has them in the first step.

        Args:
            layer: name.
            bins: how many steps.

        Raises:
            ValueError: no steps.
        """
        check_minimum(1, bins=bins)
        found = []
        for values in self._columns(layer):
            a = values.double()
            least, most = a.amin(0), a.amax(0)
            places = ((a - least) / (most - least) * bins).nan_to_num(0).long().clamp(max=bins - 1)
            counts = places.new_zeros(bins, places.shape[1])
            found.append(counts.scatter_add_(0, places, torch.ones_like(places)))
        return torch.cat(found, 1).T.contiguous()

    def class_means(self, layer: str) -> tuple[Tensor, Tensor]:
        """The mean activation of each channel over the images of each class, summed in order in float64.

        Returns:
            The means (classes, C), NaN where there is no image; and how many images each class has, (classes,).

        Raises:
            ValueError: the images have no labels.
        """
        span = self._find(layer)
        sums = torch.zeros(0, span.stop - span.start, dtype=torch.float64, device="cpu")
        counts = torch.zeros(0, dtype=torch.long, device="cpu")
        for file in self._files():
            labels, values = file.get_tensor("labels"), file.get_slice("values")[:, span].double()
            known = labels != UNKNOWN
            classes = max([len(sums), *(labels[known] + 1).tolist()])
            sums = torch.cat([sums, sums.new_zeros(classes - len(sums), sums.shape[1])])
            counts = torch.cat([counts, counts.new_zeros(classes - len(counts))])
            sums.index_add_(0, labels[known], values[known])
            counts.index_add_(0, labels[known], torch.ones_like(labels[known]))
        if not len(counts):
            raise ValueError("the images have no labels; give a data set whose rows have them, as (image, label)")
        return sums / counts.unsqueeze(1), counts

    def class_auc(self, layer: str) -> Tensor:
        """How well each channel distinguishes each class from all others, exactly: the area under the ROC curve.

        It is the share of pairs, an image of the class and one of another class, of which the first activates the
        channel more; equal activations count half. 1 is a detector of the class, 0.5 is chance, and 0 a channel that
        the class alone leaves silent. The largest number of a channel says how far a label describes it. Images without
        a label are left out.

        Returns:
            (classes, C), float64; NaN where there is no image of the class, or of another one.

        Raises:
            ValueError: the images have no labels.
        """
        labels, counts = self._labels(), self.class_means(layer)[1]
        known, found = labels != UNKNOWN, list[Tensor]()
        others = int(counts.sum()) - counts
        for values in self._columns(layer):
            columns = values[known].T.contiguous()
            ordered = columns.sort(1).values
            below, within = (torch.searchsorted(ordered, columns, right=right) for right in (False, True))
            ranks = below + within + 1  # twice each
            sums = ranks.new_zeros(len(counts), len(columns)).index_add_(0, labels[known], ranks.T.contiguous())
            found.append((sums - (counts * (counts + 1)).unsqueeze(1)).double() / (2 * counts * others).unsqueeze(1))
        return torch.cat(found, 1)

    def _labels(self) -> Tensor:
        """The class of each image, (N,)."""
        return torch.cat([file.get_tensor("labels") for file in self._files()])

    def _columns(self, layer: str) -> Iterator[Tensor]:
        """The values of all images, some channels at a time, (images, channels)."""
        span = self._find(layer)
        for start in range(span.start, span.stop, COLUMNS):
            stop = min(start + COLUMNS, span.stop)
            yield torch.cat([file.get_slice("values")[:, start:stop] for file in self._files()])

    def _files(self) -> Iterator[Any]:
        """Each shard, mapped into memory while it is read; see `Store.open_shard`."""
        for record in self.shards:
            with self.store.open_shard(record) as file:
                yield file

    def _find(self, layer: str) -> slice:
        if layer not in self.spans:
            raise KeyError(f"no layer {layer!r} in the survey; {suggest(layer, self.layers, 'see .layers')}")
        if not self.shards:
            raise ValueError("the survey has no complete shard yet; the same call of survey_channels continues")
        return self.spans[layer]

    def _images(self, layer: str, values: Tensor, indices: Tensor, positions: Tensor) -> ChannelImages:
        """From (N, C) and flat positions."""
        places = split_places(positions, self.manifest.layers[layer][2])
        return ChannelImages(values.T.contiguous(), indices.T.contiguous(), places)

    def __repr__(self) -> str:
        channels = sum(shape[0] for shape in self.manifest.layers.values())
        counts = f"{format_count(len(self.layers), 'layer')}, {format_count(channels, 'channel')}"
        return f"Survey({counts}, {self.images:,} of {format_count(self.manifest.images, 'image')})"
