"""Rendering in batches: what `render`, `maco` and `accentuate` have in common."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypedDict

import torch
from torch import nn

from optvis.arguments import check_minimum
from optvis.models.adapted.precision import Precision, check_precision
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.overrides.max_pool import PoolGradient, gradient_text
from optvis.models.provenance import provenance
from optvis.objectives import Objective
from optvis.params import ImageParam
from optvis.progress import progress_bar
from optvis.rendering.ascent import Ascent
from optvis.rendering.image_warnings.ceiling import Ceiling
from optvis.rendering.image_warnings.warn import find_image_ceilings, warn_about_images
from optvis.rendering.kept import KEPT, describe_ascent
from optvis.rendering.optimizers import OptimizerMaker, default_optimizer, describe_optimizer, mixes_images
from optvis.rendering.priors import Prior
from optvis.rendering.recipes import REDIRECT_STEPS
from optvis.rendering.result import Rendering, concatenate
from optvis.rendering.runner import History, Stop, conclude, run
from optvis.rendering.setup import (
    check_param_size,
    common_group,
    default_param,
    describe_default,
    image_labels,
    resolve_objective,
    resolve_seeds,
)
from optvis.rendering.steps.graph import may_record
from optvis.rendering.steps.memory import fit_batch, free_bytes, measure_peak
from optvis.rendering.steps.step import Step
from optvis.rendering.views import SumOfGradients, repeat_for_views, view_seeds
from optvis.transforms import STANDARD


class RenderOptions(TypedDict, total=False):
    """The options of `render` that `maco` and `accentuate` pass on to it."""

    transform: nn.Module | None
    optimizer: OptimizerMaker | None
    snapshots: Collection[int]
    batch_size: int | None
    redirect_steps: int
    pool_gradient: PoolGradient | None
    priors: Sequence[Prior]
    precision: Precision
    compile: bool
    progress: bool


@dataclass(frozen=True, eq=False)
class RenderJob:
    """All settings of a rendering; `run` makes the images. See `render` for those that are not listed here.

    Args:
        objective: what is maximised, with label texts, as recipes and labels show it.
        penalty: terms that are maximised as well, and left out of scores, labels and recipe; a row per image.
        method: the public function, for the recipe.
        options: its own entries in the recipe.
    """

    classifier: Classifier
    objective: Objective
    param: nn.Module | None
    steps: int
    size: int | tuple[int, int] | None = None
    transform: nn.Module | None = STANDARD
    optimizer: OptimizerMaker | None = None
    seed: int | Sequence[int] = 0
    snapshots: Collection[int] = ()
    batch_size: int | None = None
    views: int = 1
    transparency: bool = False
    redirect_steps: int = REDIRECT_STEPS
    pool_gradient: PoolGradient | None = None
    precision: Precision = "tf32"
    compile: bool = False
    progress: bool = True
    priors: Sequence[Prior] = ()
    penalty: Objective | None = None
    method: str = "render"
    options: Mapping[str, Any] = field(default_factory=dict)
    ceilings: list[Ceiling] = field(default_factory=list, init=False)  # of the images so far
    notes: dict[str, Any] = field(default_factory=dict, init=False)  # how the last batch was computed, for the recipe

    def __post_init__(self) -> None:
        check_minimum(0, steps=self.steps)
        check_minimum(1, views=self.views, batch_size=self.batch_size)
        check_precision(self.precision, self.classifier.dtype)
        check_param_size(self.param, self.size)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """A seed per image, (B,)."""
        return resolve_seeds(self.seed, self.objective, self.param, [prior.penalty for prior in self.priors])

    @cached_property
    def group(self) -> int | None:
        """Number of successive images that must stay in one batch: 1 if none are compared, None for all."""
        return common_group(self.objective, [prior.penalty for prior in self.priors])

    def run(self) -> Rendering:
        """Render all images, a batch at a time; after Ctrl-C or a NotFiniteError conclude with what there is."""
        resolve_objective(self.objective, self.classifier)  # raises for an unknown label before the first step
        images = len(self.seeds)
        total, description = self.steps * images, self.method
        with progress_bar(total=total, show=self.progress, unit="img", description=description, smoothing=0.1) as bar:
            rendering = self._run_batches(self._choose_batch_size(images), bar)
        if rendering.complete:
            warn_about_images(rendering, self.ceilings, self.steps, self.param)
        return rendering

    def _choose_batch_size(self, images: int) -> int:
        """How many images run together first: on CUDA as many as fit, where they can be split."""
        group, device = self.group, self.classifier.device
        is_whole = self.param is not None and (not isinstance(self.param, ImageParam) or self.param.couples_images)
        if group is not None and not is_whole and mixes_images(default_optimizer(self.param, self.optimizer)):
            return min(group, images)
        if self.batch_size is not None:
            return min(self.batch_size, images)
        if device.type != "cuda" or group is None or is_whole:
            return images
        return fit_batch(images, group, self._measure_step, free_bytes(device))

    def _measure_step(self, images: int) -> int:
        """The bytes that a step of the first so many images takes."""
        rows = slice(0, images)
        ascent = self.build_ascent(rows, self._copy_param(rows), self.objective, self.penalty)
        return measure_peak(lambda: ascent.evaluate(0), self.classifier.device)

    def _run_batches(self, batch_size: int, bar: Any) -> Rendering:
        parts: list[Rendering] = []
        start, stop = 0, None
        while start < len(self.seeds) and stop is None:
            batch_size = min(batch_size, len(self.seeds) - start)
            result = self._try_batch(slice(start, start + batch_size), bar)
            if result is None:
                batch_size = self._halve(batch_size)
                torch.cuda.empty_cache()
                bar.reset()
                bar.update(start * self.steps)
                continue
            part, stop = result
            parts += [] if part is None else [part]
            start += batch_size
        if stop is not None and not parts:
            raise stop
        return conclude(stop, lambda interrupted: concatenate(parts, self.recipe(interrupted, sum(map(len, parts)))))

    def _try_batch(self, rows: slice, bar: Any) -> tuple[Rendering | None, Stop] | None:
        """Render some images; None where memory does not suffice and fewer may do."""
        try:
            with borrow(self.classifier.network):  # once, not at each step
                return self._run_batch(rows, bar)
        except torch.OutOfMemoryError:
            KEPT.clear()
            images = len(self.seeds[rows])
            if getattr(self.param, "couples_images", False) or self._halve(images) == images:
                raise
            return None

    def _halve(self, images: int) -> int:
        """Half as many images, rounded up to whole groups that are compared; all where all are compared."""
        return images if self.group is None else math.ceil(images / (2 * self.group)) * self.group

    def _run_batch(self, rows: slice, bar: Any) -> tuple[Rendering | None, Stop]:
        """Render some images; return them and what ended the run early."""
        param = self._copy_param(rows)
        recorder = SumOfGradients(param) if self.transparency else None
        try:
            may_keep = recorder is None and self.param is None and (self.compile or may_record(self.classifier.device))
            total = self._resolve_total(rows, self.objective, self.penalty) if may_keep else None
            key = None if total is None else self._describe_ascent(rows, total)
            ascent = None if total is None else self._restart_ascent(rows, param, total, key)
            if ascent is None:
                job = self if key is None else replace(self, transform=copy.deepcopy(self.transform))
                ascent = job.build_ascent(rows, recorder or param, self.objective, self.penalty)
        except KeyboardInterrupt as stop:
            return None, stop
        try:
            history, ended = self._run_ascent(ascent, bar)
            if ended is None and self.steps:
                ended = self._note_ceilings(ascent, rows)
            self.notes.update(ascent.describe())
            param = param if recorder else ascent.param
            self._write_back(rows, param)
            with torch.no_grad():
                images = param().detach().clone()
        except BaseException:
            ascent.release()
            raise
        ended = _keep(ascent, key if ended is None else None) or ended
        labels = image_labels(self._select(self.objective, rows), len(images))
        return history.rendering(images, {}, labels, recorder.total if recorder else None), ended

    def _run_ascent(self, ascent: Ascent, bar: Any) -> tuple[History, Stop]:
        """Take all steps; return their scores and what ended them early."""
        penalties = ascent.objective.names[len(self.objective.terms) :]
        history = History(self.snapshots)

        def record(step: Step) -> int:
            if step.index in history.snapshot_steps:
                history.keep(step.images)
            scores = step.scores
            for name in penalties:
                scores = scores - step.report[name]
            history.scores.append(scores if self.views == 1 else scores.view(-1, self.views).sum(1))
            return len(step.scores) // self.views

        return history, run(ascent.run(self.steps), bar, record)

    def _describe_ascent(self, rows: slice, total: Objective) -> bytes | None:
        """What the ascent of some images has in common with those that can go on with its steps; None if nothing."""
        size = self.classifier.resolve_size(self.size)
        fixed = (self.transform, self.redirect_steps, self.pool_gradient, self.precision, self.compile, self.views)
        priors = [self._select_prior(prior, rows) for prior in self.priors]
        maker = default_optimizer(self.param, self.optimizer)
        seeds = view_seeds(self.seeds[rows], self.views)
        return describe_ascent(self.classifier, total, seeds, size, maker, priors, *fixed)

    def _restart_ascent(self, rows: slice, param: nn.Module, total: Objective, key: bytes | None) -> Ascent | None:
        """Restart an ascent that was kept, with the numbers of some images; None where there is none."""
        ascent = KEPT.take(self.classifier, key)
        if ascent is None:
            return None
        try:
            ascent.restart(total, param, view_seeds(self.seeds[rows], self.views))
        except BaseException:
            ascent.release()
            raise
        return ascent

    def _resolve_total(self, rows: slice, objective: Objective, penalty: Objective | None) -> Objective:
        """The objective and the penalty of some images, on views of them."""
        score = resolve_objective(self._select(objective, rows), self.classifier)
        total = score if penalty is None else score + self._select(penalty, rows)
        return repeat_for_views(total, self.views)

    def _note_ceilings(self, ascent: Ascent, rows: slice) -> Stop:
        """Note which images are at a ceiling; return a Ctrl-C that came meanwhile, which ends the run."""
        try:
            for one in find_image_ceilings(ascent, self.steps, self.views):
                self.ceilings.append(replace(one, images=tuple((rows.start or 0) + row for row in one.images)))
        except KeyboardInterrupt as stop:
            return stop
        return None

    def build_ascent(self, rows: slice, param: nn.Module, objective: Objective, penalty: Objective | None) -> Ascent:
        """Build the ascent of some images, whose parameterization is given, on views of them."""
        return Ascent(
            self.classifier,
            self._resolve_total(rows, objective, penalty),
            param,
            self.transform,
            default_optimizer(self.param, self.optimizer),
            view_seeds(self.seeds[rows], self.views),
            self.redirect_steps,
            self.pool_gradient,
            [self._select_prior(prior, rows) for prior in self.priors],
            self.precision,
            self.compile,
        )

    def _select_prior(self, prior: Prior, rows: slice) -> Prior:
        return prior.with_penalty(repeat_for_views(self._select(prior.penalty, rows), self.views))

    def _select(self, objective: Objective, rows: slice) -> Objective:
        return objective if self._is_whole(rows) else objective[rows]

    def _is_whole(self, rows: slice) -> bool:
        return len(self.seeds[rows]) == len(self.seeds)

    def _copy_param(self, rows: slice) -> nn.Module:
        """Copy the parameterization of some images: the given one changes when they are done, and not before."""
        if self.param is None:
            return default_param(self.classifier, self.size, self.seeds[rows])
        if self._is_whole(rows):
            return copy.deepcopy(self.param)
        if not isinstance(self.param, ImageParam):
            raise ValueError(f"batch_size needs an ImageParam, which can be sliced; got {type(self.param).__name__}")
        return self.param[rows]

    def _write_back(self, rows: slice, param: nn.Module) -> None:
        """Write the parameters of some images into the parameterization that was given."""
        if self.param is not None:
            for old, new in zip(self.param.parameters(), param.parameters(), strict=True):
                if old is not new:  # slices share the parameters of their colour maps
                    with torch.inference_mode(old.is_inference()), torch.no_grad():
                        (old if self._is_whole(rows) else old[rows]).copy_(new)

    def recipe(self, interrupted: bool, images: int) -> dict[str, Any]:
        """The recipe of the first so many images, in JSON's types."""
        param = describe_default(self.classifier, self.size) if self.param is None else repr(self.param)
        return provenance(
            self.classifier,
            self.method,
            objective=repr(self._select(self.objective, slice(0, images))),
            param=" ".join(param.split()),
            transform=" ".join(repr(self.transform).split()),
            optimizer=describe_optimizer(default_optimizer(self.param, self.optimizer)),
            steps=self.steps,
            interrupted=interrupted,
            seeds=list(self.seeds[:images]),
            views=self.views,
            redirect_steps=self.redirect_steps,
            pool_gradient=gradient_text(self.pool_gradient),
            precision=self.precision,
            **({"priors": [repr(prior) for prior in self.priors]} if self.priors else {}),
            **self.notes,
            **self.options,
        )


def _keep(ascent: Ascent, key: bytes | None) -> Stop:
    """Keep an ascent for the next rendering of its kind; return a Ctrl-C that came meanwhile, which ends the run."""
    try:
        KEPT.keep(key, ascent)
    except KeyboardInterrupt as stop:
        ascent.release()
        return stop
    return None
