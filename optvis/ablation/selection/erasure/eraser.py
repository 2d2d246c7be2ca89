"""The base class of linear erasure: affine maps of a layer, fitted to labels, after which they are not readable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optvis.ablation.blinded import replace_units
from optvis.ablation.fills import resolve_fill
from optvis.ablation.moments import Moments
from optvis.ablation.selection.task import SelectionTask
from optvis.ablation.unit_activations import split_batch
from optvis.errors import NotFiniteError
from optvis.features.channels_first import put_channels_last, show_channels_first
from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.finite import check_finite
from optvis.objectives.layout import positions

Rows = Literal["positions", "means"]


class Eraser(ABC):
    """A method of `find_units` that fits an affine map to labels; the map is bakeable.

    In each layer the label is whether an image shows the target. Features are the channels at each position, or their
    means over positions. A map is applied at each position; it commutes with the mean, and all positions of an image
    have its label, so that a zero cross-covariance of the one is that of the other. With several layers, each is
    fitted with the layers before it erased (concept scrubbing, Belrose et al. 2023, section 6).

    Attributes:
        rows: what one row of features is, "positions" or "means".
        keeps_labels: whether it keeps the covariance with other labels.
    """

    rows: ClassVar[Rows] = "positions"
    keeps_labels: ClassVar[bool] = False

    @abstractmethod
    def solve(self, moments: Moments, erased: int, layer: str) -> Units:
        """Compute the units.

        Args:
            moments: of features and labels.
            erased: how many of the labels, the first, are to be erased; the others are to be kept.
            layer: name in the units.

        Raises:
            ValueError: features do not covary with the labels to erase.
        """

    def fit(self, x: Tensor, z: Tensor, y: Tensor | None = None, *, layer: str = "") -> Units:
        """Fit units to features and labels.

        Args:
            x: features, (N, C).
            z: what is to be erased: a number for each row, (N,), or several, (N, K), such as one-hot classes.
            y: what is to be kept, (N,) or (N, M); for methods that keep labels.
            layer: name of the layer in the units.

        Returns:
            Units, whose `replace(x)` erases the labels from features.

        Raises:
            ValueError: another number of labels than of features; labels to keep of a method that keeps none; features
                that do not covary with the labels to erase. NotFiniteError: features or labels are NaN or infinite.
        """
        columns = [one[:, None] if one.dim() == 1 else one for one in (z, y) if one is not None]
        if any(len(one) != len(x) for one in columns) or x.dim() != 2:
            raise ValueError(f"features {tuple(x.shape)} and labels {tuple(z.shape)}; expected (N, C) and (N, K)")
        if y is not None and not self.keeps_labels:
            raise ValueError(f"y is given for {type(self).__name__}, which keeps no labels; use Splince")
        if not all(bool(one.isfinite().all()) for one in (x, *columns)):
            raise NotFiniteError("features or labels are NaN or infinite; leave these rows out")
        moments = Moments(x.shape[1], sum(one.shape[1] for one in columns))
        moments.update(x, torch.cat([one.double().cpu() for one in columns], dim=1))
        return self.solve(moments, columns[0].shape[1], layer)

    def fit_batches(
        self,
        model: nn.Module | Classifier,
        batches: Iterable[tuple[Any, Tensor]],
        layer: str,
        *,
        normalize: Normalizer | str = INFER,
    ) -> Units:
        """Fit units to images that come batch by batch, and are not kept: as many as there are.

        Few images leave the label readable on others. Of C channels and n images with the label and as many without,
        a linear probe of normal features with one covariance reads up to Φ(√(2C / n) / 2) after LEACE: 55.0 % for 128
        channels and 4,000 images, 52.0 % for 25,600, where 50 % is chance.

        Args:
            model: a network, or a Classifier.
            batches: images in any form that `load_image` takes, such as (B, 3, H, W) in [0, 1], with what is to be
                erased: a number for each, (B,), or several, (B, K).
            layer: name as in `layers(model)`.
            normalize: see `render`; by default the model's own.

        Raises:
            ValueError: no images; another number of labels than of images; activations that do not covary with the
                labels; as in `load_image`. NotFiniteError: activations or labels are NaN or infinite.

        Example:
            >>> from optvis.ablation import Leace
            >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 8)
            >>> batches = ((torch.rand(20, 3, 8, 8), torch.arange(20) % 2) for _ in range(5))
            >>> Leace().fit_batches(net, batches, "")
            Projection('', 1 of 4)
        """
        classifier = as_classifier(model, normalize)
        own, name = show_channels_first(classifier, layer)
        moments: Moments | None = None
        with borrow(own.network), torch.no_grad():
            for images, labels in batches:
                if not (isinstance(images, Tensor | list | tuple) and not len(images)):
                    moments = self._add(moments, own, name, *_check_batch(own, images, labels))
        if moments is None:
            raise ValueError("no images to fit an erasure on")
        units = self.solve(moments, moments.label_mean.numel(), name)
        return units if name == layer else put_channels_last(units, layer)

    def __call__(self, task: SelectionTask) -> tuple[Units, ...]:
        """Fit units of each of the task's layers. The network has to be borrowed.

        Raises:
            ValueError: no images to keep; a layer whose activations do not differ.
        """
        task.require_keep("erasure")
        units: list[Units] = []
        for layer in task.layers:
            units.append(self.solve(self._measure(task, layer, units), 1, layer))
        return tuple(units)

    def _measure(self, task: SelectionTask, layer: str, erased: Sequence[Units]) -> Moments:
        """Moments of a layer's activations, with other layers erased, and of the labels."""
        network, labels = task.classifier.network, task.is_target.double()[:, None]
        if self.keeps_labels:
            labels = torch.cat([labels, encode_labels_to_keep(task)], dim=1)
        moments: Moments | None = None
        with torch.no_grad(), replace_units(network, erased, resolve_fill(None, network, erased)):
            for batch in split_batch(task.images):
                moments = self._add(moments, task.classifier, layer, task.images[batch], labels[batch])
        if moments is None:
            raise ValueError("no images to fit an erasure on")
        return moments

    def _add(
        self, moments: Moments | None, classifier: Classifier, layer: str, images: Tensor, labels: Tensor
    ) -> Moments:
        """Add images and their labels, (B, K), to moments. The network has to be borrowed."""
        inputs = classifier.preprocess(images.to(classifier.device))
        a = positions(read_activations(classifier.network, inputs, [layer])[layer])
        check_finite(a, f"the activations of {layer!r} of {classifier.name}", classifier.network, inputs)
        x = a.double().mean(2, keepdim=True) if self.rows == "means" else a
        moments = Moments(x.shape[1], labels.shape[1]) if moments is None else moments
        moments.update(x.movedim(1, 2).flatten(0, 1), labels.repeat_interleave(x.shape[2], dim=0))
        return moments


def _check_batch(classifier: Classifier, images: Any, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Load images, and their labels as columns, (B, K); a ValueError where they are not as many."""
    batch, columns = classifier.load_batch(images), labels[:, None] if labels.dim() == 1 else labels
    if columns.dim() != 2 or len(columns) != len(batch):
        raise ValueError(f"labels {tuple(labels.shape)} of {len(batch)} images; expected ({len(batch)},), or (B, K)")
    if not bool(columns.isfinite().all()):
        raise NotFiniteError("labels are NaN or infinite; leave these images out")
    return batch, columns


def encode_labels_to_keep(task: SelectionTask) -> Tensor:
    """Encode the predicted class of each image to keep, one-hot, (B, M); images of the target get the others' mean.

    So these labels do not covary with the target's, and a method can keep them and erase it.
    """
    _, classes = torch.unique(task.predicted[~task.is_target], return_inverse=True)
    own = F.one_hot(classes).double()
    labels = own.mean(0).repeat(len(task.predicted), 1)
    labels[~task.is_target] = own
    return labels
