"""What units read in their layers on some images, batch by batch, and its mean and deviation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from optvis.data.dataset import Images
from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.outputs.finite import check_finite
from optvis.objectives.layout import positions
from optvis.rendering.ascent import PIXELS_PER_BATCH, split_evenly

GPU_BATCH_FACTOR = 16  # a GPU gets larger batches than a CPU, whose batches fit into its cache


def channel_moments(
    model: nn.Module | Classifier, images: Images, units: Sequence[Units]
) -> list[tuple[Tensor, Tensor]]:
    """Mean and standard deviation of what each unit reads over images and positions, (C,) each, float64."""
    batches = read_units(model, images, units)
    parts = [list(map(_sums, batch)) for batch in batches]
    totals = [torch.stack(rows).sum(0) for rows in zip(*parts, strict=True)]
    means = [(sums / count, squares / count) for count, sums, squares in totals]
    return [(mean, (square - mean.square()).clamp_min(0).sqrt()) for mean, square in means]


def _sums(a: Tensor) -> Tensor:
    """Count, sum and sum of squares of each channel of (B, C, ...), (3, C)."""
    exact = positions(a, 1).double()
    sums = exact.sum((0, 2))
    return torch.stack([torch.full_like(sums, exact[:, 0].numel()), sums, exact.square().sum((0, 2))])


def read_units(model: nn.Module | Classifier, images: Images, units: Sequence[Units]) -> Iterator[list[Tensor]]:
    """What each unit reads in its layer, (B, C, ...): channels or codes, batch by batch.

    Raises:
        NotFiniteError: they are NaN or infinite.
    """
    classifier = as_classifier(model)
    batch = classifier.load_batch(images)
    layers = dict.fromkeys(one.layer for one in units)
    for rows in split_batch(batch):
        with borrow(classifier.network), torch.no_grad():
            inputs = classifier.preprocess(batch[rows])
            found = read_activations(classifier.network, inputs, layers)
            for layer, a in found.items():
                what = f"the activations of {layer!r} of {classifier.name} that a fill is measured on"
                check_finite(a, what, classifier.network, inputs)
            values = [one.read(found[one.layer]) for one in units]
        yield values


def split_batch(images: Tensor) -> list[slice]:
    """Split images (B, 3, H, W) into batches that go through a network together."""
    count, _, height, width = images.shape
    factor = 1 if images.device.type == "cpu" else GPU_BATCH_FACTOR
    return split_evenly(count, factor * PIXELS_PER_BATCH / (height * width))
