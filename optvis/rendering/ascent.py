"""Gradient ascent on images: the open loop, one step at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import count, islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from optvis.models.activations import read_activations
from optvis.models.adapted.precision import Precision, cast_network, multiply_in, uncast
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.outputs.head import Head
from optvis.models.overrides.fold import CHANGED, Folding, FoldingError
from optvis.models.overrides.max_pool import PoolGradient, override_max_pool
from optvis.models.overrides.relu import redirect_relu
from optvis.objectives import IMAGE, Objective
from optvis.objectives.objective import total_score
from optvis.params import Streams
from optvis.rendering.optimizers import OptimizerMaker, default_optimizer, make_optimizer
from optvis.rendering.priors import Prior, add_priors
from optvis.rendering.recipes import FROM_RECIPE, Recipe, find_recipe
from optvis.rendering.setup import (
    check_param_size,
    common_group,
    default_param,
    renew_inference_tensors,
    resolve_objective,
    resolve_seeds,
)
from optvis.rendering.steps.checks import FiniteChecks
from optvis.rendering.steps.compiled import CompiledPasses, Pass
from optvis.rendering.steps.draws import DrawnStreams, Draws
from optvis.rendering.steps.fit import fit_together, list_layers, warn_of_lone_image
from optvis.rendering.steps.graph import OPEN_LOOP, StepGraphs, find_reason, find_variation
from optvis.rendering.steps.step import Step
from optvis.transforms.presets import as_transform
from optvis.transforms.warp import repeat_each

PIXELS_PER_BATCH = 2 * 224 * 224  # of about one pass through the network on a CPU; measured in docs/optimizations.md


@plain_mode()
def ascend(
    model: nn.Module | Classifier,
    objective: Objective | str,
    param: nn.Module | None = None,
    *,
    recipe: str | Recipe = "natural",
    size: int | tuple[int, int] | None = None,
    transform: nn.Module | Sequence[nn.Module] | str | None = FROM_RECIPE,
    optimizer: OptimizerMaker | None = None,
    seed: int | Sequence[int] = 0,
    normalize: Normalizer | str = INFER,
    redirect_steps: int | None = None,
    pool_gradient: PoolGradient | None = None,
    priors: Sequence[Prior] | None = None,
) -> Iterator[Step]:
    """Maximise an objective step by step, without end: stop, look or branch whenever you like.

    Between steps the network is in the state in which it was given; no step changes it.

    All arguments are those of `render`, and products on CUDA are TF32.

    Yields:
        A Step before each update.

    Raises:
        KeyError, IndexError, ValueError, TypeError: at the call, if layers, channels, labels or sizes do not fit the
            network; at a step, NotFiniteError.

    Example:
        >>> from optvis import Classifier
        >>> from optvis.objectives import channel
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> for step in ascend(net, channel("", 2), transform=None):
        ...     if step.index == 3:
        ...         break
        >>> step.images.shape
        torch.Size([1, 3, 16, 16])
    """
    classifier = as_classifier(model, normalize)
    check_param_size(param, size)
    objective = resolve_objective(objective, classifier)
    preset = find_recipe(recipe)
    priors = preset.priors if priors is None else priors
    seeds = resolve_seeds(seed, objective, param, [prior.penalty for prior in priors])
    chain = preset.choose_transform(classifier, objective) if transform == FROM_RECIPE else as_transform(transform)
    maker = default_optimizer(param, optimizer, preset.optimizer)
    param = default_param(classifier, size, seeds) if param is None else param
    return Ascent(
        classifier,
        objective,
        param,
        chain,
        maker,
        seeds,
        preset.redirect_steps if redirect_steps is None else redirect_steps,
        pool_gradient,
        priors,
    ).steps()


class Ascent:
    """Gradient ascent on a batch of images: state and steps.

    Objective and parameterization are moved to the network's device, and all is checked to fit together.
    """

    chooses_images: ClassVar[bool] = False  # whether the images of a subclass's step depend on the step

    def __init__(
        self,
        classifier: Classifier,
        objective: Objective,
        param: nn.Module,
        transform: nn.Module | None,
        optimizer: OptimizerMaker,
        seeds: Sequence[int],
        redirect_steps: int = 0,
        pool_gradient: PoolGradient | None = None,
        priors: Sequence[Prior] = (),
        precision: Precision = "tf32",
        compile: bool = False,
    ) -> None:
        renew_inference_tensors(param)
        param.to(classifier.device, classifier.image_dtype)
        self.priors = tuple(prior.resolve(classifier) for prior in priors if prior.share)
        self.fit = fit_together(
            classifier, objective, [prior.penalty for prior in self.priors], param, transform, seeds
        )
        self.chain, self.folding = self.fit.chain, self.fit.folding
        self.classifier, self.param = classifier, param
        self.draws = Draws(self.chain, Streams(seeds, "transform"))
        self.objective = self.fit.objective.to(classifier.device, classifier.image_dtype, copy=True)
        self.redirect_steps, self.pool_gradient, self.precision = redirect_steps, pool_gradient, precision
        self.trainable = [values for values in param.parameters() if values.requires_grad]
        self.build_optimizer = optimizer
        self.optimizer = make_optimizer(optimizer, self.trainable)
        self.checks = FiniteChecks(classifier.device)
        self.graphs = self._build_graphs(OPEN_LOOP)
        self.compiled = CompiledPasses(find_variation(self)) if compile else CompiledPasses()

    def _build_graphs(self, reason: str) -> StepGraphs:
        return StepGraphs(self._evaluate, self.classifier.device, self.draws, self.redirect_steps, reason)

    def describe(self) -> dict[str, Any]:
        """How the steps were computed, for a recipe."""
        own = {"folding": self.folding.describe(), "step": self.graphs.describe()}
        return own | self.compiled.describe()

    def run(self, steps: int) -> Iterator[Step]:
        """Yield so many steps, then check that the last of them are finite; on CUDA they are recorded.

        What is recorded stays until `release`.
        """
        if not self.graphs.phases:
            self.graphs = self._build_graphs(find_reason(self, steps))
        yield from islice(self.steps(), steps)
        self.checks.finish()

    def restart(self, objective: Objective, param: nn.Module, seeds: Sequence[int]) -> None:
        """Begin again, with other numbers in the tensors that recorded and compiled steps read.

        Args:
            objective: with other targets and weights of the same shapes, for the same layers.
            param: of the same kind; its values are copied.
            seeds: as many.

        Raises:
            IndexError, ValueError: targets that do not fit the network.
        """
        device, dtype = self.classifier.device, self.classifier.image_dtype
        objective = objective.with_head(lambda: self._read_head(seeds))
        for part in (objective, *(prior.penalty for prior in self.priors)):
            warn_of_lone_image(part, len(seeds))
        self.fit.check_targets(objective, len(seeds))
        with torch.no_grad():
            given = (*objective.to(device, dtype).tensors, *param.state_dict().values())
            for own, values in zip((*self.objective.tensors, *self.param.state_dict().values()), given, strict=True):
                own.copy_(values)
        self.draws.restart(Streams(seeds, "transform"))
        self.optimizer = make_optimizer(self.build_optimizer, self.trainable)
        self.checks = FiniteChecks(device)
        self.graphs.restart()
        self.compiled.restart()

    @torch.no_grad()
    def _read_head(self, seeds: Sequence[int]) -> Head:
        return self.classifier.read_head(self.chain(self.param()[:1], Streams(seeds[:1], "transform")))

    def detach_network(self) -> None:
        """Let go of the network, which nobody else may hold, and of what a restart makes anew."""
        self.classifier = self.optimizer = None  # type: ignore[assignment]
        for values in self.trainable:
            values.grad = None

    def release(self) -> None:
        """Free what was recorded and compiled."""
        self.graphs.release()
        self.compiled.release()

    def steps(self) -> Iterator[Step]:
        """Update without end; yield each step as it was before its update."""
        for index in count():
            evaluations: list[Step] = []
            with borrow(self.classifier.network):  # torch's optimizers too depend on the default device
                self.optimizer.step(partial(self._closure, index, evaluations))  # type: ignore[arg-type]
            yield evaluations[0]

    def _closure(self, index: int, evaluations: list[Step]) -> Tensor:
        """Set the gradients and return the loss: torch's optimizers call it, a line search several times a step."""
        step, gradients = self.evaluate(index)
        for values, gradient in zip(self.trainable, gradients, strict=True):
            values.grad = None if gradient is None else _match_layout(values, gradient)
        if not evaluations:
            self.checks.add(step, gradients)
        evaluations.append(step)
        return -step.scores.sum()

    def evaluate(self, index: int) -> tuple[Step, Sequence[Tensor | None]]:
        """Run one forward and backward pass; return the step and the loss's gradients of the trainable parameters."""
        return self.graphs.evaluate(index)

    def _evaluate(self, index: int, drawn: DrawnStreams | None = None) -> tuple[Step, Sequence[Tensor | None]]:
        with (
            borrow(self.classifier.network),
            multiply_in(self.precision, self.classifier.device),
            torch.enable_grad(),
        ):
            images: Tensor = self.param()
            streams = self.draws.at(index, images) if drawn is None else drawn.rewind()
            inputs = self.classifier.preprocess(self.chain(images, streams))
            if not inputs.requires_grad:
                raise ValueError(
                    "no gradient reaches the parameters of the image: the parameterization, "
                    f"transform={self.chain!r} or the normalisation detaches, rounds or rebuilds the tensor"
                )
            roots = [inputs, repeat_each(images, len(inputs))] if IMAGE in self._layers() else [inputs]
            with (
                redirect_relu() if index < self.redirect_steps else nullcontext(),
                override_max_pool(self.pool_gradient),
            ):
                parts = [self.objective.at_step(index), *(prior.penalty.at_step(index) for prior in self.priors)]
                results = self._run_passes(index < self.redirect_steps, roots, parts)
            # Of inputs that are channels last; what comes before them is not, and mixed layouts are slow.
            ends = [
                _join(parts).contiguous() for parts in zip(*(gradients for _, gradients, _ in results), strict=True)
            ]
            values = [_join(parts) for parts in zip(*(penalties for *_, penalties in results), strict=True)]
            gradients = self._pull_back(images, roots, ends, values)
        report = {name: _join([part[name] for part, *_ in results]) for name in results[0][0]}
        return Step(index, _copy_images(images), total_score(report), report), gradients

    def _run_passes(self, is_redirected: bool, roots: Sequence[Tensor], parts: Sequence[Objective]) -> list[Pass]:
        """Run the images of a step through the network: together where that is compiled, or fits the caches."""
        slices = self.batch_slices(roots[0])
        if len(slices) == 1 or not self.compiled.reason:
            return [self.compiled.run(is_redirected, partial(self._backward, parts=parts), roots)]
        return [self._backward([root[rows] for root in roots], [part[rows] for part in parts]) for rows in slices]

    def _layers(self) -> tuple[str, ...]:
        """The layers that objective and priors read."""
        return list_layers([self.objective, *(prior.penalty for prior in self.priors)])

    def _backward(self, roots: Sequence[Tensor], parts: Sequence[Objective]) -> Pass:
        """Return the score of each term, gradients of inputs and, if it is read, image; and each penalty.

        The gradients are those of the negative score, followed by those of each penalty.

        Args:
            roots: inputs of the network and, if it is read, images.
            parts: the objective, and the penalty of each prior.
        """
        ends = [root.detach().requires_grad_() for root in roots]
        activations = self._read(ends[0], ends[-1])
        report, scores = score_terms(parts[0], activations)
        penalties = [penalty(activations) for penalty in parts[1:]]
        losses = [-scores.sum(), *(values.sum() for values in penalties)]
        gradients = [
            gradient
            for place, loss in enumerate(losses, 1)
            for gradient in torch.autograd.grad(
                loss, ends, retain_graph=place < len(losses), allow_unused=True, materialize_grads=True
            )
        ]
        detached = {name: score.detach() for name, score in report.items()}
        return detached, gradients, [values.detach() for values in penalties]

    def _read(self, inputs: Tensor, images: Tensor) -> dict[str, Tensor]:
        """Read all layers; the network as it is runs where it cannot run folded."""
        try:
            with self.folding.apply():
                return self._run_network(inputs, images)
        except FoldingError:
            self.folding = Folding(reason=CHANGED)
        return self._run_network(inputs, images)

    def _run_network(self, inputs: Tensor, images: Tensor) -> dict[str, Tensor]:
        network, device = self.classifier.network, self.classifier.device
        with cast_network(self.precision, device):
            # A copy, because a network may begin in place, which autograd refuses on what it starts from.
            found = read_activations(network, inputs.clone(), self._layers(), images=images)
        return {name: uncast(a) for name, a in found.items()} if self.precision == "bf16" else found

    def _pull_back(
        self, images: Tensor, roots: Sequence[Tensor], ends: Sequence[Tensor], values: Sequence[Tensor]
    ) -> Sequence[Tensor | None]:
        """Return the gradients of the trainable parameters, from those of inputs and image, and penalties."""
        if not self.priors:
            return torch.autograd.grad(roots, self.trainable, ends, allow_unused=True)
        step = len(roots)
        pairs = [ends[start : start + step] for start in range(0, len(ends), step)]
        # Penalties of the image alone do not pass through the chain, whose gradient would be computed of zeros.
        firsts = [0, *(step - 1 if list_layers([prior.penalty]) == (IMAGE,) else 0 for prior in self.priors)]
        score, *penalties = (
            torch.autograd.grad(roots[first:], images, pair[first:], retain_graph=True)[0]
            for first, pair in zip(firsts, pairs, strict=True)
        )
        means = [penalty.view(len(images), -1).sum(1) for penalty in values]  # over views, each of which has its part
        shares = [prior.choose_share(mean) for prior, mean in zip(self.priors, means, strict=True)]
        total = add_priors(score, penalties, shares)
        return torch.autograd.grad(images, self.trainable, total, allow_unused=True)

    def batch_slices(self, inputs: Tensor) -> list[slice]:
        """Split a batch into those that pass through the network together: on a CPU, what fits its caches."""
        batch, pixels = len(inputs), math.prod(inputs.shape[2:])
        penalties = [prior.penalty for prior in self.priors]
        group = common_group(self.objective, penalties)
        has_custom_terms = any(part.has_custom_terms for part in (self.objective, *penalties))
        if inputs.device.type != "cpu" or group is None or has_custom_terms:
            return [slice(0, batch)]
        return split_evenly(batch, PIXELS_PER_BATCH / pixels, group)


def split_evenly(count: int, usual: float, group: int = 1) -> list[slice]:
    """Split rows into parts of the same size, of about `usual` rows; no group of rows is split.

    Example:
        >>> [part.stop - part.start for part in split_evenly(10, usual=4)]
        [5, 5]
        >>> [part.stop - part.start for part in split_evenly(16, usual=5, group=4)]
        [8, 8]
    """
    groups = -(-count // group)
    parts = min(groups, max(1, round(count / max(1, usual))))
    size = max(1, -(-groups // max(1, parts)) * group)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _join(parts: Sequence[Tensor]) -> Tensor:
    """Join what was computed of the parts of a batch."""
    return parts[0] if len(parts) == 1 else torch.cat([*parts])


def _copy_images(images: Tensor) -> Tensor:
    """Detach images, and copy them where they share memory with the parameters."""
    return images.detach().clone() if images.is_leaf or images._is_view() else images.detach()


def score_terms(objective: Objective, activations: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], Tensor]:
    """Return the score of each term, and their sum, (B,), from the activations of a borrowed network."""
    report = objective.term_scores(activations)
    scores = total_score(report)
    if not scores.requires_grad:
        raise ValueError(
            f"the score of {objective} does not depend on the image: it is constant, or the network detaches, rounds "
            "or quantises something, or computes in torch.no_grad() or torch.inference_mode()"
        )
    return report, scores


def _match_layout(values: Tensor, gradient: Tensor) -> Tensor:
    """Give the gradient its parameter's strides: torch's fused optimizers pair the two in memory order."""
    return gradient if gradient.stride() == values.stride() else torch.empty_like(values).copy_(gradient)
