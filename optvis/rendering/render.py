"""The one-liner: images that a network answers to."""

from __future__ import annotations

import copy
import math
import platform
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from optvis.errors import NotFiniteError
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.overrides.max_pool import PoolGradient, gradient_text
from optvis.objectives import Objective, as_objective
from optvis.params import ImageParam, fft_image
from optvis.progress import progress_bar
from optvis.rendering.ascent import REDIRECTED_STEPS, Step, prepared
from optvis.rendering.optimizers import OptimizerMaker, optimizer_text, suited
from optvis.rendering.result import Rendering, joined
from optvis.rendering.setup import asked, labels_of, seeds_for
from optvis.transforms import STANDARD
from optvis.version import __version__

USUAL_STEPS = 64  # twice what `docs/performance.md` needed for Lucid's quality


def render(
    model: nn.Module | Classifier,
    objective: Objective | str,
    image: ImageParam | nn.Module | None = None,
    *,
    steps: int = USUAL_STEPS,
    size: int | tuple[int, int] | None = None,
    transform: nn.Module | None = STANDARD,
    normalize: Normalizer | str = INFER,
    optimizer: OptimizerMaker | None = None,
    seed: int | Sequence[int] = 0,
    snapshots: Collection[int] = (),
    chunk: int | None = None,
    redirect: int = REDIRECTED_STEPS,
    pool_gradient: PoolGradient | None = None,
    progress: bool = True,
) -> Rendering:
    """Make images that maximise an objective: one per target, weight or seed.

    Ctrl-C (or interrupting a notebook's cell) stops early and returns what is there. The network is left exactly as
    it was, whatever happens.

    Args:
        model: a network, or a Classifier, which knows its own normalisation, size and labels.
        objective: what is maximised: a score per image; "layer:channel" is a channel.
        image: a parameterization, which is updated in place; `fft_image(size)` by default.
        steps: how many updates. Lucid's own defaults are `steps=512, optimizer=ADAM`.
        size: side, or (height, width), of the images in pixels; the network's own by default.
        transform: between images and network; None shows it the images as they are.
        normalize: for a bare module that does not carry its own: `IMAGENET`, `Normalize(mean, std)`, a
            function, or None if it takes [0, 1] as it is.
        optimizer: makes a torch optimizer of parameters, e.g. `partial(torch.optim.Adam, lr=0.1)` or Lucid's,
            `ADAM` of `optvis.rendering.optimizers`; by default what suits the image: `FAST_ADAM`, Adam on
            gradients of unit mean square, or what its canvas brings.
        seed: one number gives every image the same stream of noise and transforms, so that an image is the same
            alone and in a batch; a sequence gives each image its own.
        snapshots: numbers of updates at which the images are kept as well; `range(steps)` for an animation.
        chunk: how many images are made at a time, all at once by default; memory does not grow beyond. When CUDA
            runs out of memory it is halved and the work goes on.
        redirect: for how many steps ReLU gradients are redirected where an image has none.
        pool_gradient: smooths the gradient of max pooling: `average` or `squares`.
        progress: show a progress bar.

    Returns:
        A Rendering with images, scores and recipe; save it, print it, or let a notebook show it.

    Raises:
        KeyError, IndexError, ValueError, TypeError: before the first step, for layers, channels, labels, sizes
            that do not fit the network.
        NotFiniteError: a score or gradient is not finite; its attribute `rendering` holds what there was.

    Example:
        >>> from optvis.objectives import channel
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> render(net, channel("", [0, 2]), steps=4, progress=False)
        Rendering(2 of 16 × 16 px, 4 steps, scores ...)
    """
    if steps < 0:
        raise ValueError(f"steps is {steps}; expected 0 or more")
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk is {chunk}; expected 1 or more images")
    classifier = as_classifier(model, normalize)
    objective = as_objective(objective)
    asked(objective, classifier)  # recipes and labels keep the words; each chunk turns them into indices again
    seeds = seeds_for(seed, objective, image)
    kept = frozenset(snapshots)
    area = classifier.resolve_size(size)
    maker = suited(image, optimizer)
    work = _Work(classifier, objective, image, seeds, area, transform, maker, redirect, pool_gradient, steps, kept)
    with _bar(steps, len(seeds), progress) as bar:
        return work.done(len(seeds) if chunk is None else min(chunk, len(seeds)), bar)


_Part: TypeAlias = tuple[Rendering | None, KeyboardInterrupt | NotFiniteError | None]


@dataclass(frozen=True, eq=False)
class _Work:
    classifier: Classifier
    objective: Objective
    image: nn.Module | None
    seeds: tuple[int, ...]
    size: tuple[int, int]
    transform: nn.Module | None
    optimizer: OptimizerMaker
    redirect: int
    pool_gradient: PoolGradient | None
    steps: int
    kept: frozenset[int]

    def done(self, chunk: int, bar: Any) -> Rendering:
        """All images, a chunk at a time; what there is after Ctrl-C.

        Raises:
            NotFiniteError: with what there is as its `rendering`.
        """
        parts: list[Rendering] = []
        start = 0
        while start < len(self.seeds):
            chunk = min(chunk, len(self.seeds) - start)
            made = self.tried(slice(start, start + chunk), bar)
            if made is None:
                chunk = self.halved(chunk)
                torch.cuda.empty_cache()
                bar.reset()
                bar.update(start * self.steps)
                continue
            part, stop = made
            parts += [] if part is None else [part]
            if isinstance(stop, NotFiniteError):
                stop.rendering = joined(parts, self.recipe(False, sum(map(len, parts))))
                raise stop
            if stop is not None:
                if not parts:
                    raise stop
                return joined(parts, self.recipe(True, sum(map(len, parts))))
            start += chunk
        return joined(parts, self.recipe(False, len(self.seeds)))

    def tried(self, rows: slice, bar: Any) -> _Part | None:
        """Some of the images; None where memory does not suffice and fewer may do."""
        try:
            return self.part(rows, bar)
        except torch.OutOfMemoryError:
            count = len(self.seeds[rows])
            if (
                self.objective.group_size is None
                or getattr(self.image, "couples_images", False)
                or self.halved(count) == count
            ):
                raise
            return None

    def halved(self, count: int) -> int:
        """Half as many images, or some more, so that none are parted that see each other."""
        group = self.objective.group_size
        return count if group is None else math.ceil(count / (2 * group)) * group

    def part(self, rows: slice, bar: Any) -> _Part:
        """Some of the images, and what stopped them early."""
        whole = len(self.seeds[rows]) == len(self.seeds)
        objective = self.objective if whole else self.objective[rows]
        image = self.working_copy(rows, whole)
        labels = labels_of(objective, len(self.seeds[rows]))
        stop: KeyboardInterrupt | NotFiniteError | None = None
        history: _History | None = None
        try:
            ascent = prepared(
                self.classifier,
                objective,
                image,
                transform=self.transform,
                optimizer=self.optimizer,
                seed=self.seeds[rows],
                redirect=self.redirect,
                pool_gradient=self.pool_gradient,
            )
            history = _History(image, self.kept, labels)
            for step in islice(ascent.steps(), self.steps):
                history.add(step)
                bar.update(len(step.scores))
            ascent.check_finite()
        except (KeyboardInterrupt, NotFiniteError) as error:
            stop = error
        if history is None:
            return None, stop
        self.give_back(rows, image)
        return history.rendering(self.recipe(isinstance(stop, KeyboardInterrupt), len(self.seeds))), stop

    def working_copy(self, rows: slice, whole: bool) -> nn.Module:
        """A parameterization of some of the images; the given one changes only when they are done."""
        if self.image is None:
            return fft_image(self.size, seeds=self.seeds[rows])
        if whole:
            return copy.deepcopy(self.image)
        if not isinstance(self.image, ImageParam):
            raise ValueError(f"chunk needs an image that can be sliced, an ImageParam; got {type(self.image).__name__}")
        return self.image[rows]

    @torch.no_grad()
    def give_back(self, rows: slice, image: nn.Module) -> None:
        """Write the parameters of some images into the parameterization that was given."""
        if self.image is not None:
            whole = len(self.seeds[rows]) == len(self.seeds)
            for mine, made in zip(self.image.parameters(), image.parameters(), strict=True):
                if mine is not made:  # parts share the parameters of their colour maps
                    (mine if whole else mine[rows]).copy_(made)

    def recipe(self, interrupted: bool, images: int) -> dict[str, Any]:
        """What made the first so many images, in JSON's types."""
        objective = self.objective if images == len(self.seeds) else self.objective[:images]
        image = f"fft_image({self.size})" if self.image is None else " ".join(repr(self.image).split())
        return {
            "network": self.classifier.name,
            "objective": repr(objective),
            "image": image,
            "transform": " ".join(repr(self.transform).split()),
            "normalize": repr(self.classifier.normalize),
            "optimizer": optimizer_text(self.optimizer),
            "steps": self.steps,
            "interrupted": interrupted,
            "seeds": list(self.seeds[:images]),
            "redirect": self.redirect,
            "pool_gradient": gradient_text(self.pool_gradient),
            "dtype": str(self.classifier.image_dtype),
            "device": str(self.classifier.device),
            "optvis": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        }


class _History:
    """What is kept of each step, on the network's device until the end."""

    def __init__(self, image: nn.Module, kept: frozenset[int], labels: tuple[str, ...]) -> None:
        self.image, self.kept, self.labels = image, kept, labels
        self.scores: list[Tensor] = []
        self.snapshots: dict[int, Tensor] = {}

    def add(self, step: Step) -> None:
        self.scores.append(step.scores)
        if step.index in self.kept:
            self.snapshots[step.index] = step.images.cpu()

    @torch.no_grad()
    def rendering(self, recipe: dict[str, Any]) -> Rendering:
        images = self.image().detach().clone().cpu()
        if len(self.scores) in self.kept:
            self.snapshots[len(self.scores)] = images
        scores = torch.stack(self.scores).cpu() if self.scores else torch.empty(0, len(images))
        return Rendering(images, scores, recipe, self.snapshots, self.labels)


def _bar(steps: int, images: int, progress: bool) -> Any:
    return progress_bar(total=steps * images, show=progress, unit="img", description="render", smoothing=0.1)


__all__ = ["Rendering", "render"]
