"""The images that activate each channel most, and where: one pass over all images, for all layers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from optvis.ablation.selection.cached_network import CachedNetwork
from optvis.arguments import TensorFields
from optvis.data.dataset import ImageDataset
from optvis.data.schema import read_value
from optvis.engines.tasks import PROCESS, EngineLike, merge_in_order, run_tasks
from optvis.microscope.effects import attribute_classes
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.outputs import Head
from optvis.models.outputs.finite import check_finite
from optvis.objectives import OUTPUT, layout

BATCH_SIZE = 32
SHARD_SIZE = 16 * BATCH_SIZE  # images of a task
CLASSES = "<classes>"  # stands beside names of layers; no layer has it
TopImage = tuple[int, float, int, int]  # index, value, row and column


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
        positions: row and column of that activation, (C, N, 2); where the layer has no map, its positions are in a row.
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

    def of_channel(self, channel: int) -> list[TopImage]:
        """Index, value, row and column of each image whose value is above zero."""
        return [row for row in self.rows(channel) if row[1] > 0]

    def rows(self, channel: int) -> list[TopImage]:
        """Index, value, row and column of each image."""
        tensors = (self.indices, self.values, self.positions)
        rows = zip(*(tensor[channel].tolist() for tensor in tensors), strict=True)
        return [(index, value, *position) for index, value, position in rows]

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


@dataclass(frozen=True)
class ExemplarChoice:
    """How the images on the pages of channels and classes are chosen.

    Args:
        channel_images: how many of each channel.
        class_images: how many of each class; 0 for none.
        attributed_class: index of the class to which a channel's attribution chooses the images; None where its
            activation does.
        channel_axis: axis of the channels in the layers' output; by default the second, or the last of three.
    """

    channel_images: int
    class_images: int = 0
    attributed_class: int | None = None
    channel_axis: int | None = None


class TopWorker:
    """Finds the images of a range with the largest values of each channel, and with the largest margin of each class.

    Args:
        classifier: the network.
        dataset: the images.
        layers: names as in `layers(net)`.
        choice: which images.
    """

    def __init__(
        self, classifier: Classifier, dataset: ImageDataset, layers: Sequence[str], choice: ExemplarChoice
    ) -> None:
        self.classifier, self.dataset, self.layers, self.choice = classifier, dataset, layers, choice

    @plain_mode()
    def __call__(self, indices: range) -> tuple[dict[str, TopActivations], list[str]]:
        """The top activations of each layer, and what was wrong with each image that could not be read."""
        merged: dict[str, TopActivations] = {}
        failures: list[str] = []
        for found, images in self.dataset.read_batches(indices, self.classifier.load_batch, BATCH_SIZE, failures):
            for layer, batch in self._find_in_batch(found, images).items():
                merged[layer] = merge_exemplars(merged.get(layer), batch, self.choice, layer)
        return merged, failures

    def _find_in_batch(self, indices: Sequence[int], images: Tensor) -> dict[str, TopActivations]:
        network, choice = self.classifier.network, self.choice
        names = [*self.layers, *([OUTPUT] if choice.class_images and OUTPUT not in self.layers else [])]
        with borrow(network), torch.no_grad():
            inputs = self.classifier.preprocess(images)
            a = read_activations(network, inputs, names)
            for layer in names:
                check_finite(a[layer], f"the activations of {layer!r}", network, inputs)
        found = {layer: self._find_of_layer(layer, a[layer], indices, images) for layer in self.layers}
        if choice.class_images:
            head = self.classifier.read_head(images)
            found[CLASSES] = rank_classes(head, a[OUTPUT], indices)
        return found

    def _find_of_layer(self, layer: str, a: Tensor, indices: Sequence[int], images: Tensor) -> TopActivations:
        label, axis = self.choice.attributed_class, self.choice.channel_axis
        if label is None:
            return _rank(layout.positions(a, axis).float().cpu(), a, indices, axis)
        with borrow(self.classifier.network), torch.no_grad():
            cached = CachedNetwork(self.classifier, images, [layer])
        attribution = attribute_classes(cached, torch.full((len(images),), label, device=images.device))
        return _rank(layout.positions(attribution, axis).float().cpu(), a, indices, axis, is_sum=True)


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
    return find_exemplars(classifier, dataset, layers, ExemplarChoice(top, channel_axis=channel_axis), engine=engine)


def find_exemplars(
    classifier: Classifier,
    dataset: ImageDataset,
    layers: Sequence[str],
    choice: ExemplarChoice,
    *,
    engine: EngineLike = PROCESS,
) -> dict[str, TopActivations]:
    """Find the images of the pages: as `find_top_activations`, or by attribution, and those of classes.

    Where attribution chooses, a value is the channel's attribution to the class, gradient × activation of its logit
    summed over positions, and the position is the one with the largest share of it.

    Returns:
        The images of each layer's channels, by the layer's name; by `CLASSES` those of each class, by their margin,
        which is above zero where the class is predicted.
    """
    worker = partial(TopWorker, classifier, dataset, layers, choice)
    shards = [range(len(dataset))[start : start + SHARD_SIZE] for start in range(0, len(dataset), SHARD_SIZE)]
    merged: dict[str, TopActivations] = {}
    failures: list[str] = []
    engine = engine if len(shards) > 1 else PROCESS
    for found, wrong in merge_in_order(run_tasks(worker, shards, engine, on_gpu=classifier.device.type == "cuda")):
        failures += wrong
        for layer, shard in found.items():
            merged[layer] = merge_exemplars(merged.get(layer), shard, choice, layer)
    dataset.report_failures(failures)
    return merged


def all_margins(logits: Tensor, *, exclusive: bool) -> Tensor:
    """How far each class is from being dropped, as `Head.margins`, of all classes at once, (B, K).

    Args:
        logits: (B, K).
        exclusive: whether one class is right; a class's margin is its lead over the best other one then, or its logit.

    Example:
        >>> all_margins(torch.tensor([[3.0, 1.0, 0.0]]), exclusive=True)
        tensor([[ 2., -2., -3.]])
    """
    if not exclusive or logits.shape[1] < 2:
        return logits
    (best, second), places = logits.topk(2, dim=1).values.unbind(1), logits.argmax(1, keepdim=True)
    return logits - best.unsqueeze(1).expand_as(logits).scatter(1, places, second.unsqueeze(1))


def rank_classes(head: Head, output: Tensor, indices: Sequence[int]) -> TopActivations:
    """The margin of each class in each image of a batch.

    Args:
        head: of the network.
        output: of the network, (B, K).
        indices: of the images, B.
    """
    margins = all_margins(head.logits(output).float().cpu(), exclusive=head.kind == "softmax")
    return _rank(margins.unsqueeze(2), margins, indices, None)


def list_predicted(top: TopActivations) -> list[int]:
    """The classes that are predicted for some image, from the images of `CLASSES`."""
    return [int(k) for k in (top.values > 0).any(1).nonzero().flatten()]


def merge_exemplars(
    earlier: TopActivations | None, later: TopActivations, choice: ExemplarChoice, layer: str
) -> TopActivations:
    """The strongest of images and of images after them, of a layer or of `CLASSES`."""
    top = choice.class_images if layer == CLASSES else choice.channel_images
    empty = TopActivations(later.values[:, :0], later.indices[:, :0], later.positions[:, :0])
    return (empty if earlier is None else earlier).merge(later, top)


def _rank(
    values: Tensor, a: Tensor, indices: Sequence[int], channel_axis: int | None, *, is_sum: bool = False
) -> TopActivations:
    """The strongest position of each channel in each image of a batch, from numbers (B, C, P) of a layer's positions.

    The value is the largest number, or the sum of all.
    """
    spatial = layout.channels_first(a, channel_axis).shape[2:]
    largest, where = values.max(2)
    values = values.sum(2) if is_sum else largest
    width = spatial[1] if len(spatial) == 2 else spatial.numel()
    positions = torch.stack([where // width, where % width], 2)
    return TopActivations(
        values.T, torch.tensor(indices, device="cpu").expand(values.shape[1], -1), positions.movedim(1, 0)
    )
