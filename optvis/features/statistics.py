"""Statistics of activations, measured once on the user's own images: for networks that carry none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from optvis.data.sources import as_dataset
from optvis.errors import suggest
from optvis.formatting import format_count
from optvis.models.activations import keeps_statistics, read_activations, running_statistics
from optvis.models.borrow import borrow
from optvis.models.classifier import BATCH_SIZE, Classifier
from optvis.models.infer import as_classifier
from optvis.models.layers import find_module
from optvis.models.layers import layers as list_layers
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.finite import check_finite
from optvis.models.provenance import provenance
from optvis.objectives.channel_moments import moments
from optvis.objectives.layout import INPUT
from optvis.objectives.statistics_term import pool
from optvis.viz.charts import plot_bars
from optvis.viz.result import PlotResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class ActivationStatistics(PlotResult, Mapping[str, tuple[Tensor, Tensor]]):
    """The mean and the variance of each channel of some layers: a mapping that `activation_statistics` takes.

    Args:
        layers: names of layers, or of their inputs, "bn1@input".
        channels: the number of channels of each.
        mean: of each channel of all layers, one layer after the other, (ΣC,).
        variance: likewise, (ΣC,).
        recipe: the network, the images, and how they were measured.
        channel_axis: axis of the channels in all layers; None as in `activation_statistics`.

    Example:
        >>> found = ActivationStatistics(("a", "b"), (2, 1), torch.zeros(3), torch.ones(3), {})
        >>> list(found), found["b"]
        (['a', 'b'], (tensor([0.]), tensor([1.])))
    """

    KIND = "activation statistics"
    TENSOR_FIELDS: ClassVar = {"mean": "C", "variance": "C"}
    JSON_FIELDS: ClassVar = {
        "layers": tuple[str, ...],
        "channels": tuple[int, ...],
        "channel_axis": int | None,
    }

    layers: tuple[str, ...]
    channels: tuple[int, ...]
    mean: Tensor
    variance: Tensor
    recipe: Mapping[str, Any]
    channel_axis: int | None = None

    def _check(self, sizes: Mapping[str, int]) -> None:
        if len(self.layers) != len(self.channels) or not sum(self.channels) == len(self.mean) == len(self.variance):
            raise ValueError(
                f"{len(self.mean)} means and {len(self.variance)} variances for {len(self.layers)} layers of "
                f"{', '.join(map(str, self.channels))} channels"
            )

    def __getitem__(self, layer: str) -> tuple[Tensor, Tensor]:
        if layer not in self.layers:
            raise KeyError(f"no statistics of layer {layer!r}; {suggest(layer, self.layers, 'see .layers')}")
        place = self.layers.index(layer)
        start = sum(self.channels[:place])
        rows = slice(start, start + self.channels[place])
        return self.mean[rows], self.variance[rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    __eq__, __hash__ = object.__eq__, object.__hash__  # a mapping's own compares tensors

    def figure(self, ax: Axes | None = None) -> Figure:
        """A bar for each layer: the root of its channels' mean variance."""
        spreads = [float(variance.mean().sqrt()) for _, variance in self.values()]
        title = "How far do activations spread?"
        return plot_bars(spreads, self.layers, title=title, unit="root of the channels' mean variance", ax=ax)

    def __repr__(self) -> str:
        parts = {"layer": len(self), "channel": len(self.mean), "image": self.recipe.get("images", 0)}
        return f"ActivationStatistics({', '.join(format_count(count, noun) for noun, count in parts.items())})"


def measure_statistics(
    model: nn.Module | Classifier,
    images: Any,
    layers: Sequence[str] | str | None = None,
    *,
    normalize: Normalizer | str = INFER,
    channel_axis: int | None = None,
    batch_size: int = BATCH_SIZE,
) -> ActivationStatistics:
    """Measure the mean and the variance of each channel over images and positions, as BatchNorm keeps them.

    For networks without BatchNorm, whose images are to have the statistics of photographs:
    `objective - weight * activation_statistics(measure_statistics(net, photographs))`. Measure once, and `save` the
    result beside the weights; `ActivationStatistics.load` reads it again.

    Args:
        model: a network, or a Classifier.
        images: photographs like those that the network was trained on, hundreds or more: a folder, a list, a tensor
            (B, 3, H, W) in [0, 1], or a dataset. They are resized and cropped as the network's publisher does.
        layers: names as in `layers(net)`, or one; "conv1@input" is what a layer takes. By default the inputs of
            BatchNorm layers; of networks without any the outputs of convolutions, where BatchNorm would sit; of
            networks with fewer than two the inputs of LayerNorms, with channels last.
        normalize: see `render`; by default the model's own.
        channel_axis: axis of the channels in the given layers; by default axis 1, or axis 2 of three.
        batch_size: how many images go through the network together.

    Raises:
        ValueError: no images; a network without such layers; a layer that never ran. NotFiniteError: activations are
            NaN or infinite.
        KeyError: a layer that does not exist.

    Example:
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)), None, 8)
        >>> found = measure_statistics(net, torch.rand(5, 3, 8, 8))
        >>> found, list(found), found["2"][0].shape
        (ActivationStatistics(2 layers, 6 channels, 5 images), ['0', '2'], torch.Size([2]))
    """
    classifier, dataset = as_classifier(model, normalize), as_dataset(images)
    names, axis = _choose_layers(classifier) if layers is None else (_as_names(layers), channel_axis)
    if not names:
        raise ValueError("no layers; expected the names of one or more")
    parts: list[Tensor] = []
    channels: tuple[int, ...] = ()
    with borrow(classifier.network), torch.no_grad():
        for _, batch in dataset.batches(classifier.load_batch, batch_size):
            inputs = classifier.preprocess(batch)
            found = read_activations(classifier.network, inputs, names)
            exact = [found[name].to(torch.promote_types(found[name].dtype, torch.float32)) for name in names]
            values = [moments(a, axis) for a in exact]
            for name, value in zip(names, values, strict=True):
                check_finite(value, f"the statistics of {name!r} of {classifier.name}", classifier.network, inputs)
            channels = tuple(value.shape[2] for value in values)
            parts.append(torch.cat(values, 2).double().cpu())
    mean, variance = pool(torch.cat(parts))[0].to(classifier.image_dtype)
    recipe = provenance(classifier, "measure_statistics", images=sum(map(len, parts)))
    return ActivationStatistics(names, channels, mean, variance, recipe, axis)


def _as_names(layers: Sequence[str] | str) -> tuple[str, ...]:
    return (layers,) if isinstance(layers, str) else tuple(layers)


def _choose_layers(classifier: Classifier) -> tuple[tuple[str, ...], int | None]:
    """The inputs of BatchNorm layers, else the outputs of convolutions, else the inputs of LayerNorms; and the axis."""
    network = classifier.network
    if any(map(keeps_statistics, network.modules())):
        return tuple(running_statistics(classifier)), 1
    ran = [row.name for row in list_layers(classifier) if row.is_tensor]
    convolutions = [name for name in ran if isinstance(find_module(network, name)[0], _ConvNd)]
    if len(convolutions) > 1:
        return tuple(convolutions), 1
    norms = [name + INPUT for name in ran if isinstance(find_module(network, name)[0], nn.LayerNorm)]
    if not norms:
        raise ValueError(f"{classifier.name} has no BatchNorm, convolutions or LayerNorm to measure; give layers=[…]")
    return tuple(norms), -1
