"""The images that activate each channel most, and where: one pass over all images, for all layers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from optvis.arguments import TensorFields
from optvis.data.dataset import ImageDataset
from optvis.data.schema import read_value
from optvis.engines.tasks import PROCESS, EngineLike, merge_in_order, run_tasks
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.outputs.finite import check_finite
from optvis.objectives import layout

BATCH_SIZE = 32
SHARD_SIZE = 16 * BATCH_SIZE  # images of a task


@dataclass(frozen=True)
class TopActivationsRecord:
    """The tensors of `TopActivations` as JSON holds them."""

    values: tuple[tuple[float, ...], ...]
    indices: tuple[tuple[int, ...], ...]
    positions: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, eq=False)
class TopActivations(TensorFields):
    """The N images that activate each of C channels most, strongest first; of equal ones the earlier first.

    Args:
        values: largest activation over positions, (C, N).
        indices: of the images in the dataset, (C, N).
        positions: row and column of that activation, (C, N, 2); zero where the layer has no map of positions.
    """

    TENSOR_FIELDS: ClassVar = {"values": "C N", "indices": "C N: int", "positions": "C N 2: int"}

    values: Tensor
    indices: Tensor
    positions: Tensor

    def merge(self, other: TopActivations, top: int) -> TopActivations:
        """Keep the strongest of both."""
        values = torch.cat([self.values, other.values], dim=1)
        order = values.sort(dim=1, descending=True, stable=True).indices[:, :top]
        indices = torch.cat([self.indices, other.indices], dim=1).gather(1, order)
        positions = torch.cat([self.positions, other.positions], dim=1)
        rows = order.unsqueeze(2).expand(-1, -1, 2)
        return TopActivations(values.gather(1, order), indices, positions.gather(1, rows))

    def of_channel(self, channel: int) -> list[tuple[int, float, int, int]]:
        """Index, activation, row and column of each image that activates a channel above zero."""
        tensors = (self.indices, self.values, self.positions)
        rows = zip(*(tensor[channel].tolist() for tensor in tensors), strict=True)
        return [(index, value, *position) for index, value, position in rows if value > 0]

    def to_dict(self) -> dict[str, Any]:
        """The tensors as JSON lists."""
        return {name: tensor.tolist() for name, tensor in vars(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TopActivations:
        """Build from what `to_dict` returned.

        Raises:
            ValueError: it is something else.
        """
        record: TopActivationsRecord = read_value(TopActivationsRecord, values)
        return cls(
            torch.tensor(record.values, dtype=torch.float32, device="cpu"),
            torch.tensor(record.indices, dtype=torch.long, device="cpu"),
            torch.tensor(record.positions, dtype=torch.long, device="cpu"),
        )


class TopWorker:
    """Finds the images of a range that activate each channel most.

    Args:
        classifier: the network.
        dataset: the images.
        layers: names as in `layers(net)`.
        top: how many images of each channel.
        channel_axis: axis of the channels in the layers' output.
    """

    def __init__(
        self, classifier: Classifier, dataset: ImageDataset, layers: Sequence[str], top: int, channel_axis: int | None
    ) -> None:
        self.classifier, self.dataset, self.layers, self.top = classifier, dataset, layers, top
        self.channel_axis = channel_axis

    @plain_mode()
    def __call__(self, indices: range) -> tuple[dict[str, TopActivations], list[str]]:
        """The top activations of each layer, and what was wrong with each image that could not be read."""
        merged: dict[str, TopActivations] = {}
        failures: list[str] = []
        for found, images in self.dataset.read_batches(indices, self.classifier.load_batch, BATCH_SIZE, failures):
            for layer, batch in self._find_in_batch(found, images).items():
                merged[layer] = _merge(merged.get(layer), batch, self.top)
        return merged, failures

    def _find_in_batch(self, indices: Sequence[int], images: Tensor) -> dict[str, TopActivations]:
        network = self.classifier.network
        with borrow(network), torch.no_grad():
            inputs = self.classifier.preprocess(images)
            a = read_activations(network, inputs, self.layers)
            for layer in self.layers:
                check_finite(a[layer], f"the activations of {layer!r}", network, inputs)
        return {layer: _strongest(a[layer], indices, self.channel_axis) for layer in self.layers}


def find_top_activations(
    classifier: Classifier,
    dataset: ImageDataset,
    layers: Sequence[str],
    top: int,
    channel_axis: int | None = None,
    *,
    engine: EngineLike = PROCESS,
) -> dict[str, TopActivations]:
    """Find the images that activate each channel of some layers most; one batch is in memory at a time.

    Args:
        classifier: the network.
        dataset: the images.
        layers: names as in `layers(net)`.
        top: N, how many images of each channel.
        channel_axis: axis of the channels in the layers' output; by default the second, or the last of three.
        engine: what runs the network, see `optvis.engines.run_tasks`.

    Returns:
        The top activations of each layer, by its name.
    """
    worker = partial(TopWorker, classifier, dataset, layers, top, channel_axis)
    shards = [range(len(dataset))[start : start + SHARD_SIZE] for start in range(0, len(dataset), SHARD_SIZE)]
    merged: dict[str, TopActivations] = {}
    failures: list[str] = []
    engine = engine if len(shards) > 1 else PROCESS
    for found, wrong in merge_in_order(run_tasks(worker, shards, engine, on_gpu=classifier.device.type == "cuda")):
        failures += wrong
        for layer, shard in found.items():
            merged[layer] = _merge(merged.get(layer), shard, top)
    dataset.report_failures(failures)
    return merged


def _merge(earlier: TopActivations | None, later: TopActivations, top: int) -> TopActivations:
    """The strongest of images and of images after them."""
    empty = TopActivations(later.values[:, :0], later.indices[:, :0], later.positions[:, :0])
    return (empty if earlier is None else earlier).merge(later, top)


def _strongest(a: Tensor, indices: Sequence[int], channel_axis: int | None) -> TopActivations:
    """The strongest position of each channel in each image of a batch, (C, B)."""
    spatial = layout.channels_first(a, channel_axis).shape[2:]
    values, where = layout.positions(a, channel_axis).float().cpu().max(2)
    width = spatial[1] if len(spatial) == 2 else 0
    positions = torch.stack([where // width, where % width] if width else [where * 0, where * 0], 2)
    return TopActivations(
        values.T, torch.tensor(indices, device="cpu").expand(values.shape[1], -1), positions.movedim(1, 0)
    )
