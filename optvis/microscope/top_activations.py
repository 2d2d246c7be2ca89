"""The images that activate each channel most, and where: one pass over all images, for all layers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optvis.ablation.selection.cached_network import CachedNetwork
from optvis.data.dataset import ImageDataset
from optvis.engines.tasks import PROCESS, EngineLike, merge_in_order, run_tasks
from optvis.features.peaks import ChannelImages, Locate, find_peaks, find_totals, split_places
from optvis.microscope.effects import attribute_classes
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.outputs.finite import check_finite
from optvis.models.outputs.head import Head
from optvis.objectives import OUTPUT

BATCH_SIZE = 32
IMAGES_PER_TASK = 16 * BATCH_SIZE
CLASSES = "<classes>"  # stands beside names of layers; no layer has it


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


@dataclass(frozen=True, eq=False)
class TopWorker:
    """Finds the images of a range with the largest values of each channel, and with the largest margin of each class.

    Args:
        classifier: the network.
        dataset: the images.
        layers: names as in `layers(net)`.
        choice: which images.
    """

    classifier: Classifier
    dataset: ImageDataset
    layers: Sequence[str]
    choice: ExemplarChoice

    @plain_mode()
    def __call__(self, indices: range) -> tuple[dict[str, ChannelImages], list[str]]:
        """The top activations of each layer, and what was wrong with each image that could not be read."""
        merged: dict[str, ChannelImages] = {}
        failures: list[str] = []
        for found, images in self.dataset.read_batches(indices, self.classifier.load_batch, BATCH_SIZE, failures):
            for layer, batch in self._find_in_batch(found, images).items():
                merged[layer] = merge_exemplars(merged.get(layer), batch, self.choice, layer)
        return merged, failures

    def _find_in_batch(self, indices: Sequence[int], images: Tensor) -> dict[str, ChannelImages]:
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

    def _find_of_layer(self, layer: str, a: Tensor, indices: Sequence[int], images: Tensor) -> ChannelImages:
        label, axis = self.choice.attributed_class, self.choice.channel_axis
        if label is None:
            return _build(*find_peaks(a, axis), indices)
        with borrow(self.classifier.network), torch.no_grad():
            cached = CachedNetwork(self.classifier, images, [layer])
        attribution = attribute_classes(cached, torch.full((len(images),), label, device=images.device))
        return _build(*find_totals(attribution, axis), find_peaks(a, axis)[2], indices)


def find_top_activations(
    classifier: Classifier,
    dataset: ImageDataset,
    layers: Sequence[str],
    top: int,
    channel_axis: int | None = None,
    *,
    engine: EngineLike = PROCESS,
) -> dict[str, ChannelImages]:
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
) -> dict[str, ChannelImages]:
    """Find the images of the pages: as `find_top_activations`, or by attribution, and those of classes.

    Where attribution chooses, a value is the channel's attribution to the class, gradient × activation of its logit
    summed over positions, and the position is the one with the largest share of it.

    Returns:
        The images of each layer's channels, by the layer's name; by `CLASSES` those of each class, by their margin,
        which is above zero where the class is predicted.
    """
    worker = TopWorker(classifier, dataset, layers, choice)
    tasks = dataset.ranges(IMAGES_PER_TASK)
    merged: dict[str, ChannelImages] = {}
    failures: list[str] = []
    engine = engine if len(tasks) > 1 else PROCESS
    for found, wrong in merge_in_order(run_tasks(worker, tasks, engine, on_gpu=classifier.on_gpu)):
        failures += wrong
        for layer, some in found.items():
            merged[layer] = merge_exemplars(merged.get(layer), some, choice, layer)
    dataset.report_failures(failures)
    return merged


def rank_classes(head: Head, output: Tensor, indices: Sequence[int]) -> ChannelImages:
    """The margin of each class in each image of a batch.

    Args:
        head: of the network.
        output: of the network, (B, K).
        indices: of the images, B.
    """
    margins = head.all_margins(head.logits(output).float().cpu())
    return _build(*find_peaks(margins), indices)


def list_predicted(top: ChannelImages) -> list[int]:
    """The classes that are predicted for some image, from the images of `CLASSES`."""
    return [int(k) for k in (top.values > 0).any(1).nonzero().flatten()]


def merge_exemplars(
    earlier: ChannelImages | None, later: ChannelImages, choice: ExemplarChoice, layer: str
) -> ChannelImages:
    """The strongest of images and of images after them, of a layer or of `CLASSES`."""
    top = choice.class_images if layer == CLASSES else choice.channel_images
    empty = ChannelImages(later.values[:, :0], later.indices[:, :0], later.positions[:, :0])
    return (empty if earlier is None else earlier).merge(later, top)


def _build(values: Tensor, locate: Locate, grid: tuple[int, int], indices: Sequence[int]) -> ChannelImages:
    """The images of a batch with the values of their channels, (B, C), and the places that `locate` gives."""
    batch, channels = values.shape
    rows = torch.arange(batch, device="cpu").repeat_interleave(channels)
    places = locate(rows, torch.arange(channels, device="cpu").repeat(batch)).view(batch, channels)
    images = torch.tensor(indices, device="cpu").expand(channels, -1)
    return ChannelImages(values.T, images, split_places(places, grid[1]))
