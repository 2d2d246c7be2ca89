"""Optimal ablation: constants that replace units with the least loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from optvis.ablation.blinded import replace_units
from optvis.ablation.fills import Constant, Fill, Replacement
from optvis.ablation.image_sets import Classes, resolve_classes
from optvis.ablation.unit_activations import channel_moments, split_batch
from optvis.data.dataset import Images
from optvis.errors import NotFiniteError
from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier, check_logits
from optvis.models.infer import as_classifier
from optvis.models.run import run_network
from optvis.objectives import Objective
from optvis.objectives.objective import total_score
from optvis.progress import progress_bar
from optvis.rendering.setup import resolve_objective

Targets: TypeAlias = "Objective | Classes"
Loss: TypeAlias = Callable[[slice], Tensor]  # rows of the images -> their share of the loss


@dataclass(frozen=True, eq=False)
class Optimal(Fill):
    """The constant of each unit with which the network does best on some images: optimal ablation.

    A network loses less with it than with any other constants. The loss that remains is due to the information that
    the units carry about an image, not to values that the network has never met. Adam optimises the constants of all
    units together, on all images. They are measured in standard deviations from each unit's mean, where they start;
    the best constants of all steps are returned. Li & Janson 2024, arXiv:2409.09951.

    Args:
        images: images in any form that `load_image` takes, B of them.
        targets: their classes, as indices or label texts, one per image or one for all, for which the cross entropy
            is minimised; or an Objective, whose mean score is maximised.
        steps: number of updates.
        learning_rate: of Adam, in standard deviations of each unit's activations.
        progress: show a progress bar.

    Raises:
        ValueError: steps below 0, or a learning rate that is not positive.
        NotFiniteError: as `blinded` begins, a loss that is NaN or infinite at each step.

    Example:
        >>> from optvis.ablation import blinded
        >>> from optvis import Channels
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)), None, 8)
        >>> fill = Optimal(torch.rand(4, 3, 8, 8), [0, 1, 1, 0], steps=2, progress=False)
        >>> with blinded(net, Channels("0", [1]), fill=fill):
        ...     net.network(torch.rand(1, 3, 8, 8)).shape
        torch.Size([1, 2])
    """

    images: Images = field(repr=False)
    targets: Targets = field(repr=False)
    steps: int = 64
    learning_rate: float = 0.1
    progress: bool = True

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.learning_rate > 0:
            raise ValueError(
                f"steps is {self.steps} and learning_rate {self.learning_rate}; expected 0 or more, and a positive "
                "number"
            )

    def measure(self, model: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Replacement, ...]:
        classifier = as_classifier(model)
        images = classifier.load_batch(self.images)
        moments = channel_moments(model, images, units)
        constants = [_FreeConstant(one, *own) for one, own in zip(units, moments, strict=True)]
        loss, batches = self._loss(classifier, images)
        offsets = [one.offsets for one in constants]
        with borrow(classifier.network), replace_units(classifier.network, units, constants), torch.enable_grad():
            best = self._minimize(offsets, loss, batches)
        return tuple(Constant(one.values_at(own).detach()) for one, own in zip(constants, best, strict=True))

    def _minimize(self, offsets: Sequence[Tensor], loss: Loss, batches: Sequence[slice]) -> list[Tensor]:
        """Return the offsets of the step with the least loss; a NotFiniteError where no loss is finite."""
        adam = torch.optim.Adam(offsets, lr=self.learning_rate)
        least = offsets[0].new_tensor(float("inf"))
        best = [values.detach().clone() for values in offsets]
        for _ in progress_bar(range(self.steps + 1), show=self.progress, description="optimal"):
            total = torch.zeros_like(least)
            gradients = [torch.zeros_like(values) for values in offsets]
            for rows in batches:
                part = loss(rows)
                total += part.detach().to(total)
                own = torch.autograd.grad(part, offsets, allow_unused=True, materialize_grads=True)
                gradients = [whole + gradient for whole, gradient in zip(gradients, own, strict=True)]
            best = [torch.where(total < least, new.detach(), old) for new, old in zip(offsets, best, strict=True)]
            least = torch.minimum(least, total)
            for values, gradient in zip(offsets, gradients, strict=True):
                values.grad = gradient
            adam.step()
        if not bool(least.isfinite()):
            raise NotFiniteError(
                "the loss of Optimal is NaN or infinite at each step; check the targets, and what the network gives "
                "without the units"
            )
        return best

    def _loss(self, classifier: Classifier, images: Tensor) -> tuple[Loss, list[slice]]:
        """Return the loss of some images, as their share of the total, and the batches to compute it in."""
        network, count = classifier.network, len(images)
        if not isinstance(self.targets, Objective):
            classes, head = resolve_classes(self.targets, classifier, count), classifier.read_head(images)

            def cross_entropy(rows: slice) -> Tensor:
                logits = head.logits(check_logits(run_network(network, classifier.preprocess(images[rows]))))
                return -head.log_confidences(logits, classes[rows]).sum() / count

            return cross_entropy, split_batch(images)
        resolved = resolve_objective(self.targets, classifier).to(classifier.device, classifier.image_dtype)
        objective = resolved.with_head(lambda: classifier.read_head(images))
        if objective.batch not in (1, count):
            raise ValueError(f"targets are for {objective.batch} images, there are {count}; give one for all, or each")

        def negative_score(rows: slice) -> Tensor:
            own = objective[rows] if objective.batch == count else objective
            inputs = classifier.preprocess(images[rows])
            found = read_activations(network, inputs, own.layers, images=images[rows])
            return -total_score(own.term_scores(found)).sum() / count

        return negative_score, [slice(0, count)] if objective.couples_images else split_batch(images)


class _FreeConstant:
    """A replacement that is optimised: the units' mean, plus offsets along each of them in standard deviations."""

    def __init__(self, units: Units, mean: Tensor, deviation: Tensor) -> None:
        self.mean = mean
        self.basis = units.basis(len(mean)).to(mean)
        along = (self.basis.square() @ deviation.square()).sqrt()
        self.scale = torch.where(along > 0, along, 1.0)
        self.offsets = torch.zeros_like(along).requires_grad_()

    def values_at(self, offsets: Tensor) -> Tensor:
        """(C,)"""
        return self.mean + (self.scale * offsets) @ self.basis

    def __call__(self, activations: Tensor) -> Tensor:
        return self.values_at(self.offsets).to(activations)
