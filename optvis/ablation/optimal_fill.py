"""The constants that do least harm where units were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from optvis.ablation.fills import Constant, Fill, Photos, moments, pieces
from optvis.ablation.switching import Filling, switched
from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.objectives import IMAGE, Labels, Objective
from optvis.objectives.objective import total_score
from optvis.objectives.target_tensors import as_index
from optvis.progress import progress_bar
from optvis.rendering.setup import resolve_labels

Targets: TypeAlias = Objective | int | str | Sequence[int] | Sequence[str] | Tensor
Loss: TypeAlias = Callable[[slice], Tensor]


@dataclass(frozen=True, eq=False)
class Optimal(Fill):
    """The constant of each unit that serves the network best on some images: optimal ablation.

    What a network loses with it, it loses for want of what the units say of an image, not by numbers that it has
    never seen. All units' constants are found together, by Adam on all images, in deviations from each one's mean,
    where they begin; the best seen are kept. Li & Janson 2024, arXiv:2409.09951.

    Args:
        images: photographs in any form that `load_image` takes, B of them.
        targets: their classes, indices or label texts, one an image or one for all: cross entropy is minimised; or an
            Objective: the mean of its scores is maximised.
        steps: how many updates.
        rate: Adam's, in deviations of each unit's activations.
        progress: show a progress bar.

    Raises:
        ValueError: steps below 0, or a rate that is not positive.

    Example:
        >>> from optvis.ablation import blinded
        >>> from optvis.features.units import Channels
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2)), None, 8)
        >>> fill = Optimal(torch.rand(4, 3, 8, 8), [0, 1, 1, 0], steps=2, progress=False)
        >>> with blinded(net, Channels("0", [1]), fill=fill):
        ...     net.network(torch.rand(1, 3, 8, 8)).shape
        torch.Size([1, 2])
    """

    images: Photos = field(repr=False)
    targets: Targets = field(repr=False)
    steps: int = 64
    rate: float = 0.1
    progress: bool = True

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.rate > 0:
            raise ValueError(f"steps is {self.steps} and rate {self.rate}; expected 0 or more, and a positive number")

    def measured(self, net: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Filling, ...]:
        classifier = as_classifier(net)
        images = classifier.load_batch(self.images)
        constants = [_Constants(one, *found) for one, found in zip(units, moments(net, images, units), strict=True)]
        loss, rows = self._loss(classifier, images)
        free = [one.free for one in constants]
        with borrow(classifier.network), switched(classifier.network, units, constants), torch.enable_grad():
            best = self._descended(free, loss, rows)
        return tuple(Constant(one.at(found).detach()) for one, found in zip(constants, best, strict=True))

    def _descended(self, free: Sequence[Tensor], loss: Loss, rows: Sequence[slice]) -> list[Tensor]:
        """The free numbers at which the loss was least."""
        adam = torch.optim.Adam(free, lr=self.rate)
        least = free[0].new_tensor(float("inf"))
        best = [numbers.detach().clone() for numbers in free]
        for _ in progress_bar(range(self.steps + 1), show=self.progress, description="optimal"):
            now = torch.zeros_like(least)
            slopes = [torch.zeros_like(numbers) for numbers in free]
            for some in rows:
                part = loss(some)
                now += part.detach().to(now)
                gradients = torch.autograd.grad(part, free, allow_unused=True, materialize_grads=True)
                slopes = [slope + gradient for slope, gradient in zip(slopes, gradients, strict=True)]
            best = [torch.where(now < least, mine.detach(), old) for mine, old in zip(free, best, strict=True)]
            least = torch.minimum(least, now)
            for numbers, slope in zip(free, slopes, strict=True):
                numbers.grad = slope
            adam.step()
        return best

    def _loss(self, classifier: Classifier, images: Tensor) -> tuple[Loss, list[slice]]:
        """The share of some images in the loss, and which images are asked together."""
        network, whole = classifier.network, len(images)
        if not isinstance(self.targets, Objective):
            wanted = classes(self.targets, classifier, whole)

            def entropy(rows: slice) -> Tensor:
                scores = network(classifier.preprocess(images[rows]))
                return F.cross_entropy(scores, wanted[rows], reduction="sum") / whole

            return entropy, pieces(images)
        objective = resolve_labels(self.targets, classifier).to(classifier.device, classifier.image_dtype)
        if objective.batch not in (1, whole):
            raise ValueError(f"targets ask {objective.batch} images, there are {whole}; ask one for all, or as many")

        def short(rows: slice) -> Tensor:
            question = objective[rows] if objective.batch == whole else objective
            found = read_activations(network, classifier.preprocess(images[rows]), question.layers) | {
                IMAGE: images[rows]
            }
            return -total_score(question.term_scores(found)).sum() / whole

        return short, [slice(0, whole)] if objective.couples_images else pieces(images)


class _Constants:
    """What stands where some units were: their mean, and so many deviations along each of them."""

    def __init__(self, units: Units, mean: Tensor, deviation: Tensor) -> None:
        self.mean = mean
        self.basis = units.basis(len(mean)).to(mean)
        along = (self.basis.square() @ deviation.square()).sqrt()
        self.scale = torch.where(along > 0, along, 1.0)
        self.free = torch.zeros_like(along).requires_grad_()

    def at(self, free: Tensor) -> Tensor:
        """(C,)"""
        return self.mean + (self.scale * free) @ self.basis

    def __call__(self, laid: Tensor) -> Tensor:
        return self.at(self.free).to(laid)


def classes(targets: Any, classifier: Classifier, images: int) -> Tensor:
    """The class of each image, (B,), from indices or label texts, one an image or one for all.

    Raises:
        ValueError: as many classes as neither one nor the images; a label of a network without labels.
        KeyError: no label is so called.
    """
    texts = [targets] if isinstance(targets, str) else targets
    named = isinstance(texts, list | tuple) and len(texts) > 0 and all(isinstance(text, str) for text in texts)
    found = Labels(tuple(texts)).indices(classifier.labels) if named else as_index(targets, "class")
    if len(found) not in (1, images):
        raise ValueError(f"{len(found)} targets for {images} images; give one for all, or one each")
    return found.expand(images).to(classifier.device)


__all__ = ["Optimal"]
