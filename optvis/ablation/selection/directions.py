"""Directions of one layer: a subspace that carries a class, and the directions in which pairs of images differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optvis.ablation.image_sets import load_images
from optvis.ablation.selection.greedy_search import TARGET_MARGIN, UNITS_PER_MARGIN
from optvis.ablation.selection.layers import order_layers
from optvis.ablation.selection.task import SelectionTask
from optvis.ablation.unit_activations import split_batch
from optvis.features.channels_first import known_axis
from optvis.features.units import Directions, Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.finite import check_finite
from optvis.objectives.layout import channels_first, positions, restore_layout
from optvis.progress import progress_bar

BATCH_SIZE = 32  # images per step


@dataclass(frozen=True)
class Subspace:
    """The directions to project out of one layer; Adam optimises their orthonormal basis.

    It starts from the directions along which the target's margin grows most steeply on its own images. The loss is a
    softplus of that margin, plus a penalty on the images to keep: the Kullback–Leibler divergence from the original
    probabilities, and the share of the margin that is lost.

    Args:
        dimensions: number of directions, K.
        steps: number of updates, each on a batch with the same share of the target's images.
        learning_rate: of Adam; falls linearly to 0.
        harm_weight: weight of the penalty.
        target_margin: by how far another class should lead on the target's images, in eighths of a mean margin.
    """

    dimensions: int = 3
    steps: int = 40
    learning_rate: float = 0.05
    harm_weight: float = 3.0
    target_margin: float = TARGET_MARGIN

    def __post_init__(self) -> None:
        lowest = min(self.steps, self.harm_weight, self.target_margin)
        if self.dimensions < 1 or not lowest >= 0 or self.learning_rate <= 0:
            raise ValueError(
                f"{self}: expected dimensions of 1 or more, steps, harm_weight and target_margin of 0 or more, and a "
                "positive learning_rate"
            )

    def __call__(self, task: SelectionTask) -> tuple[Units, ...]:
        """Select directions of the task's one layer. The network has to be borrowed.

        Raises:
            ValueError: no images to keep; several layers; more dimensions than the layer has channels.
        """
        task.require_keep("a subspace")
        if len(task.layers) > 1:
            raise ValueError(f"a subspace lies in one layer; got {', '.join(task.layers)}")
        batches = [_Batch(task.subset(rows)) for rows in _split_rows(task)]
        basis = _steepest_directions(batches, self.dimensions).requires_grad_()
        adam = torch.optim.Adam([basis], lr=self.learning_rate)
        for step in progress_bar(range(self.steps), show=task.progress, description="subspace"):
            adam.param_groups[0]["lr"] = self.learning_rate * (1 - step / self.steps)
            loss = batches[step % len(batches)].loss(_orthonormalize(basis), self)
            (basis.grad,) = torch.autograd.grad(loss, [basis])
            adam.step()
        return (Directions(task.layers[0], _orthonormalize(basis.detach())),)


class _Batch:
    """A batch of images, and the loss of projecting directions out of their activations."""

    def __init__(self, task: SelectionTask) -> None:
        self.task, self.layer = task, task.layers[0]
        self.cached = task.cached
        self.before = self.cached.before
        self.margins = self.task.head.margins(self.before, task.predicted)
        self.unit = self.margins.mean() / UNITS_PER_MARGIN

    def loss(self, basis: Tensor, settings: Subspace) -> Tensor:
        """The loss for an orthonormal basis, (K, C), of the directions to project out."""
        is_kept, predicted = ~self.task.is_target, self.task.predicted
        logits = self.cached.logits({self.layer: partial(_project_out, basis)})
        lead = self.target_margins(logits) / self.unit
        divergence = self.task.head.divergence(logits[is_kept], self.before[is_kept])
        lost = (self.margins - self.task.head.margins(logits, predicted))[is_kept].relu() / self.margins[is_kept].clamp(
            min=self.unit
        )
        return F.softplus(lead + settings.target_margin).mean() + settings.harm_weight * (divergence + lost.mean())

    def target_margins(self, logits: Tensor) -> Tensor:
        """The target's margin on its own images."""
        own = logits[self.task.is_target]
        return self.task.head.margins(own, torch.full((len(own),), self.task.target, device=own.device))

    def gradients(self) -> Tensor:
        """The gradient of the target's margin with respect to its images' activations, one row per position, (·, C)."""
        leaves: list[Tensor] = []

        def detach(a: Tensor) -> Tensor:
            leaves.append(a.detach().clone().requires_grad_())
            return leaves[0]

        margin = self.target_margins(self.cached.logits({self.layer: detach})).sum()
        gradients = self.cached.gradients(margin, leaves[0])
        return channels_first(gradients[self.task.is_target]).movedim(1, -1).flatten(0, -2)


def _steepest_directions(batches: Sequence[_Batch], dimensions: int) -> Tensor:
    gradients = torch.cat([batch.gradients() for batch in batches])
    channels = gradients.shape[1]
    if dimensions > channels:
        raise ValueError(f"{dimensions} dimensions of a layer with {channels} channels")
    steepest: Tensor = torch.linalg.eigh(gradients.double().T @ gradients.double())[1].flip(1)[:, :dimensions].T
    return steepest.to(gradients.dtype).contiguous()


def _split_rows(task: SelectionTask) -> list[Tensor]:
    """Split the images into batches with the same mixture of classes; each has images of the target and others."""
    generator = torch.Generator().manual_seed(task.seed)
    order = torch.randperm(len(task.images), generator=generator, device="cpu")
    groups = torch.where(task.is_target, -1, task.predicted).cpu()
    rows = order[groups[order].argsort(stable=True)].to(task.images.device)
    fewer = min(int(task.is_target.sum()), int((~task.is_target).sum()))
    count = max(1, min(-(-len(rows) // BATCH_SIZE), fewer))
    return [rows[start::count] for start in range(count)]


def _orthonormalize(basis: Tensor) -> Tensor:
    columns: Tensor = torch.linalg.qr(basis.T)[0]
    return columns.T


def _project_out(basis: Tensor, a: Tensor) -> Tensor:
    x = channels_first(a)
    along = torch.tensordot(x.movedim(1, -1), basis.T, dims=1)
    return restore_layout(x - torch.tensordot(along, basis, dims=1).movedim(-1, 1), a, None)


@plain_mode()
def find_directions(
    model: nn.Module | Classifier,
    images_with: Any,
    images_without: Any,
    layer: str,
    *,
    dimensions: int = 1,
    normalize: Normalizer | str = INFER,
) -> Directions:
    """Find the directions of a layer in which pairs of images, with and without a thing, differ most.

    They are eigenvectors of the second moment of the differences at all positions.

    Args:
        model: a network, or a Classifier.
        images_with: images with the thing: a folder, a tensor (B, 3, H, W) in [0, 1], images in any form that
            `load_image` takes, or a list of these.
        images_without: the same images without it, in the same order.
        layer: name as in `layers(model)`.
        dimensions: number of directions, K.
        normalize: see `render`; by default the model's own.

    Returns:
        K orthonormal directions; each points towards the images with the thing.

    Raises:
        ValueError: another number of images; differences that span fewer dimensions; a layer whose channels are the
            classes.
        KeyError: a layer that does not exist.

    Example:
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(12, 2)), None, 2)
        >>> net.network[0].weight.data, net.network[0].bias.data = torch.eye(3).view(3, 3, 1, 1), torch.zeros(3)
        >>> red = torch.zeros(1, 3, 2, 2).index_fill(1, torch.tensor([0]), 1.0)
        >>> find_directions(net, red, torch.zeros(1, 3, 2, 2), "0").vectors.round()
        tensor([[1., 0., 0.]])
    """
    classifier = as_classifier(model, normalize)
    order_layers(classifier, [layer])
    pairs = [load_images(source, classifier)[0] for source in (images_with, images_without)]
    if len(pairs[0]) != len(pairs[1]) or not len(pairs[0]):
        raise ValueError(f"{len(pairs[0])} images with the thing, {len(pairs[1])} without; expected pairs")
    sums: list[Tensor] = []
    count, axis = 0, None
    with borrow(classifier.network), torch.no_grad():
        for batch in split_batch(pairs[0]):
            with_thing, without = (_read_layer(classifier, images[batch], layer) for images in pairs)
            axis = known_axis(with_thing)
            differences = positions(with_thing, axis) - positions(without, axis)
            rows = differences.double().movedim(1, 2).flatten(0, 1)
            own = [rows.T @ rows, rows.sum(0)]
            sums = [whole + part for whole, part in zip(sums, own, strict=True)] if sums else own
            count += len(rows)
    moment, mean = (whole / count for whole in sums)
    return Directions(layer, _principal_directions(moment, mean, dimensions), channel_axis=axis)


def _read_layer(classifier: Classifier, images: Tensor, layer: str) -> Tensor:
    """The finite activations of a layer. The network has to be borrowed."""
    inputs = classifier.preprocess(images)
    found = read_activations(classifier.network, inputs, [layer])[layer]
    check_finite(found, f"the activations of {layer!r} of {classifier.name}", classifier.network, inputs)
    return found


def _principal_directions(moment: Tensor, mean: Tensor, dimensions: int) -> Tensor:
    """The leading eigenvectors, (K, C), of a second moment (C, C), each turned towards the mean (C,)."""
    moments, directions = torch.linalg.eigh(moment)
    rank = int((moments > 1e-12 * moments[-1].clamp(min=1e-300)).sum())
    if not 1 <= dimensions <= rank:
        raise ValueError(f"{dimensions} dimensions of differences that span {rank}")
    leading = directions.flip(1)[:, :dimensions].T
    signs = (leading @ mean).sign()
    oriented: Tensor = leading * torch.where(signs == 0, 1.0, signs).unsqueeze(1)
    return oriented.float()
