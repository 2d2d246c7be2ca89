"""Gradient ascent on images: the open loop, one step at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import count

import torch
from torch import Tensor, nn

from optvis.errors import NotFiniteError
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.overrides.max_pool import PoolGradient, override_max_pool
from optvis.models.overrides.relu import redirect_relu
from optvis.objectives import IMAGE, Objective
from optvis.objectives.objective import total_score
from optvis.params import Streams, fft_image
from optvis.rendering.optimizers import OptimizerMaker, suited
from optvis.rendering.setup import asked, check, fitted, seeds_for
from optvis.transforms import STANDARD, Compose

REDIRECTED_STEPS = 16  # Lucid redirects ReLU gradients for as many (lucid.optvis.overrides, 2017)
PIXELS_AT_ONCE = 4 * 224 * 224  # measured in docs/performance.md
STEPS_BETWEEN_CHECKS = 16  # on devices where looking at a number waits for the queue


@dataclass(frozen=True, eq=False)
class Step:
    """One step of an ascent.

    Args:
        index: how many updates the images have had.
        images: (B, 3, H, W) in [0, 1], before this step's update, on the network's device.
        scores: their scores as seen through this step's transforms, (B,).
        report: the weighted score of each term by name, (B,) each.
    """

    index: int
    images: Tensor
    scores: Tensor
    report: Mapping[str, Tensor]


def ascend(
    model: nn.Module | Classifier,
    objective: Objective | str,
    image: nn.Module | None = None,
    *,
    size: int | tuple[int, int] | None = None,
    transform: nn.Module | None = STANDARD,
    normalize: Normalizer | str = INFER,
    optimizer: OptimizerMaker | None = None,
    seed: int | Sequence[int] = 0,
    redirect: int = REDIRECTED_STEPS,
    pool_gradient: PoolGradient | None = None,
) -> Iterator[Step]:
    """Make images that a network scores higher and higher, without end: stop, look or branch whenever you like.

    Between steps the network is as it was before; no step leaves a trace on it.

    Args:
        model: a network, or a Classifier.
        objective: what is maximised: a score per image; "layer:channel" is a channel.
        image: a parameterization, which is updated in place; `fft_image(size)` by default.
        size: side, or (height, width), of the images in pixels, where `image` is not given.
        transform: between images and network; None shows it the images as they are.
        normalize: how the network's input is normalised, where a bare module does not carry it.
        optimizer: makes a torch optimizer of parameters, e.g. `partial(torch.optim.Adam, lr=0.1)` or Lucid's,
            `ADAM` of `optvis.rendering.optimizers`; by default what suits the image: `FAST_ADAM`, Adam on
            gradients of unit mean square, or what its canvas brings.
        seed: one number gives every image the same stream of noise and transforms, so that an image is the
            same alone and in a batch; a sequence gives each image its own. Objectives that compare images
            (coupled ones) turn a number into seed, seed + 1, …, those that compare images in groups in each of them.
        redirect: for how many steps ReLU gradients are redirected where an image has none.
        pool_gradient: smooths the gradient of max pooling: `average` or `squares`.

    Yields:
        A Step before each update.

    Raises:
        KeyError, IndexError, ValueError, TypeError: at the call, for layers, channels, labels, sizes that do not
            fit the network; at a step, NotFiniteError.

    Example:
        >>> from optvis.models.classifier import Classifier
        >>> from optvis.objectives import channel
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> for step in ascend(net, channel("", 2), transform=None):
        ...     if step.index == 3:
        ...         break
        >>> step.images.shape
        torch.Size([1, 3, 16, 16])
    """
    ascent = prepared(
        model,
        objective,
        image,
        size=size,
        transform=transform,
        normalize=normalize,
        optimizer=suited(image, optimizer),
        seed=seed,
        redirect=redirect,
        pool_gradient=pool_gradient,
    )
    return ascent.steps()


def prepared(
    model: nn.Module | Classifier,
    objective: Objective | str,
    image: nn.Module | None,
    *,
    size: int | tuple[int, int] | None = None,
    transform: nn.Module | None,
    normalize: Normalizer | str = INFER,
    optimizer: OptimizerMaker,
    seed: int | Sequence[int],
    redirect: int,
    pool_gradient: PoolGradient | None,
) -> Ascent:
    """An ascent that is ready to begin; see `ascend`."""
    classifier = as_classifier(model, normalize)
    objective = asked(objective, classifier)
    seeds = seeds_for(seed, objective, image)
    made = fft_image(classifier.resolve_size(size), seeds=seeds) if image is None else image
    made.to(classifier.device, classifier.image_dtype)
    chain = fitted(classifier, made, transform, seeds)
    check(classifier, objective, made, chain, seeds)
    moved = objective.to(classifier.device, classifier.image_dtype)
    return Ascent(classifier, moved, made, chain, Streams(seeds, "transform"), optimizer, redirect, pool_gradient)


class Ascent:
    """Images on their way up."""

    def __init__(
        self,
        classifier: Classifier,
        objective: Objective,
        image: nn.Module,
        chain: Compose,
        streams: Streams,
        optimizer: OptimizerMaker,
        redirect: int,
        pool_gradient: PoolGradient | None,
    ) -> None:
        self.classifier, self.objective, self.image, self.chain = classifier, objective, image, chain
        self.streams, self.redirect, self.pool_gradient = streams, redirect, pool_gradient
        self.free = [values for values in image.parameters() if values.requires_grad]
        self.optimizer = optimizer(self.free)
        self.unchecked: list[tuple[int, Mapping[str, Tensor], Tensor]] = []

    def steps(self) -> Iterator[Step]:
        """Update without end, yielding each step as it was before its update."""
        for index in count():
            asked_here: list[Step] = []
            self.optimizer.step(partial(self._closure, index, asked_here))  # type: ignore[arg-type]
            yield asked_here[0]

    def _closure(self, index: int, asked_here: list[Step]) -> Tensor:
        """What torch's optimizers call, a line search several times: sets gradients, returns the loss."""
        step, gradients = self.evaluated(index)
        for values, gradient in zip(self.free, gradients, strict=True):
            values.grad = None if gradient is None else _laid_out_as(values, gradient)
        if not asked_here:
            self._watch(step, gradients)
        asked_here.append(step)
        return -step.scores.sum()

    def evaluated(self, index: int) -> tuple[Step, Sequence[Tensor | None]]:
        """One forward and backward pass: the step, and the gradients of the loss at the free parameters."""
        with borrow(self.classifier.network), torch.enable_grad():
            images: Tensor = self.image()
            inputs = self.classifier.preprocess(self.chain(images, self.streams.seek(index)))
            roots = [inputs, images] if IMAGE in self.objective.layers else [inputs]
            with redirect_relu() if index < self.redirect else nullcontext(), override_max_pool(self.pool_gradient):
                pieces = self._pieces(inputs)
                objective = self.objective.at_step(index)
                asked = [objective] if len(pieces) == 1 else [objective[rows] for rows in pieces]
                answers = [
                    self._asked([root[rows] for root in roots], question)
                    for rows, question in zip(pieces, asked, strict=True)
                ]
            ends = [torch.cat(gradients) for gradients in zip(*(gradients for _, gradients in answers), strict=True)]
            gradients = torch.autograd.grad(roots, self.free, ends, allow_unused=True)
        report = {name: torch.cat([part[name] for part, _ in answers]) for name in answers[0][0]}
        return Step(index, _kept(images), total_score(report), report), gradients

    def _asked(self, roots: Sequence[Tensor], objective: Objective) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The terms of some images' scores, and the gradients of their loss at inputs and, if asked, images."""
        ends = [root.detach().requires_grad_() for root in roots]
        # A copy, because a network may begin in place, which autograd refuses on what it starts from.
        report, scores = answered(self.classifier.network, objective, ends[0].clone(), ends[-1])
        gradients = torch.autograd.grad(-scores.sum(), ends, allow_unused=True, materialize_grads=True)
        return {name: score.detach() for name, score in report.items()}, list(gradients)

    def _pieces(self, inputs: Tensor) -> list[slice]:
        """Which images go through the network together: on a CPU, as many as its caches and allocator like."""
        batch, _, height, width = inputs.shape
        group = self.objective.group_size
        if inputs.device.type != "cpu" or group is None or self.objective.has_custom_terms:
            return [slice(0, batch)]
        size = max(group, PIXELS_AT_ONCE // (height * width) // group * group)
        return [slice(start, start + size) for start in range(0, batch, size)]

    def _watch(self, step: Step, gradients: Sequence[Tensor | None]) -> None:
        self.unchecked.append((step.index, step.report, _finite(step.scores, gradients)))
        if not self._looking_waits or len(self.unchecked) == STEPS_BETWEEN_CHECKS:
            self.check_finite()

    @property
    def _looking_waits(self) -> bool:
        return self.classifier.device.type != "cpu"

    def check_finite(self) -> None:
        """Raise for the first step since the last check that was not finite.

        Raises:
            NotFiniteError: with step, image and term.
        """
        seen, self.unchecked = self.unchecked, []
        fine = torch.stack([flag for *_, flag in seen]).tolist() if seen else []
        for (index, report, _), is_fine in zip(seen, fine, strict=True):
            if not is_fine:
                state = "" if self._looking_waits else "; the image is as before that step"
                raise NotFiniteError(_what_is_not_finite(index, report) + state)


def _kept(images: Tensor) -> Tensor:
    """The images as they are now, even where they are the parameters themselves."""
    return images.detach().clone() if images.is_leaf or images._is_view() else images.detach()


def answered(
    network: nn.Module, objective: Objective, inputs: Tensor, images: Tensor
) -> tuple[Mapping[str, Tensor], Tensor]:
    """What a borrowed network makes of inputs ready for it: the score of each term, and their sum, (B,).

    Raises:
        ValueError: the score does not depend on inputs or images.
    """
    report = objective.term_scores(read_activations(network, inputs, objective.layers) | {IMAGE: images})
    scores = total_score(report)
    if not scores.requires_grad:
        raise ValueError(f"the score of {objective} does not depend on the image; is something detached?")
    return report, scores


def _finite(scores: Tensor, gradients: Sequence[Tensor | None]) -> Tensor:
    """Whether all scores and gradients are finite, as a tensor that nobody has waited for."""
    sums = [scores.sum(), *(gradient.sum() for gradient in gradients if gradient is not None)]
    return torch.stack([total.to(scores.dtype) for total in sums]).isfinite().all()


def _what_is_not_finite(index: int, report: Mapping[str, Tensor]) -> str:
    for name, scores in report.items():
        places = (~scores.isfinite()).nonzero().flatten().tolist()
        if places:
            value = float(scores[places[0]])
            return f"step {index}: the score of {name!r} is {value} for image {places[0]}"
    names = ", ".join(map(repr, report))
    return (
        f"step {index}: the gradient of {names} is not finite though every score is; "
        "look for a root, a logarithm or a division at zero in it"
    )


def _laid_out_as(values: Tensor, gradient: Tensor) -> Tensor:
    """The gradient in its parameter's memory layout: torch's fused optimizers pair the two as they lie."""
    return gradient if gradient.stride() == values.stride() else torch.empty_like(values).copy_(gradient)
