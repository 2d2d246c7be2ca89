"""A dream as it is asked for, and its steps: gradient ascent on pixels, octave by octave, in tiles where it has to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optvis.errors import NetworkError, NotFiniteError
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.layers import explain_no_gradient
from optvis.models.provenance import provenance
from optvis.objectives import Objective
from optvis.params import Streams
from optvis.progress import progress_bar
from optvis.rendering.ascent import score_terms
from optvis.rendering.dreams.octaves import DreamCanvas, Octaves, tiles
from optvis.rendering.result import Rendering
from optvis.rendering.runner import History, conclude, run
from optvis.rendering.setup import needs_own_size

GradientScaling: TypeAlias = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class DreamJob:
    """A dream as it is asked for.

    Args:
        classifier: the network.
        objective: as it was given, for the recipe.
        resolved: for the network.
        start: images (B, C, H, W), on its device.
        octaves, steps, step_size, gradient_scaling, seed, snapshots, progress: see `dream`.
    """

    classifier: Classifier
    objective: Objective
    resolved: Objective
    start: Tensor
    octaves: Octaves
    steps: int
    step_size: float
    gradient_scaling: GradientScaling
    seed: int
    snapshots: bool
    progress: bool

    def run_where_it_fits(self) -> Rendering:
        """Dream; in tiles of the network's own size where it takes no other."""
        try:
            return self.run()
        except (NetworkError, ValueError, AssertionError):
            if not _needs_tiles(self.octaves, self.classifier, self.start, self.resolved.layers):
                raise
        return self.run_in_tiles()

    def run_in_tiles(self) -> Rendering:
        """Dream in tiles of the network's own size."""
        return replace(self, octaves=_fit_tiles(self.octaves, self.classifier, self.start)).run()

    def run(self) -> Rendering:
        """Dream all octaves; after Ctrl-C or a NotFiniteError conclude with what there is."""
        tile_size, start = self.octaves.tile_size, self.start
        tile = start[:1, :, :tile_size, :tile_size]
        canvas, history, streams = DreamCanvas(start), History(), Streams((self.seed,) * len(start), "dream")
        whole = self.resolved.with_head(lambda: self.classifier.read_head(tile))
        dreamer = Dreamer(self, whole, canvas, history, streams)

        def result(interrupted: bool) -> Rendering:
            return history.rendering(canvas.images(), self.recipe(interrupted), ("",) * len(start))

        total = self.octaves.passes * len(self.sizes) * self.steps
        with progress_bar(total=total, show=self.progress, description="dream", unit="step") as bar:
            return conclude(run(dreamer.passes(), bar), result)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Of the octaves, in pixels."""
        return self.octaves.sizes((self.start.shape[2], self.start.shape[3]))

    def recipe(self, interrupted: bool) -> dict[str, Any]:
        """All settings of the dream, in JSON types."""
        return provenance(
            self.classifier,
            "dream",
            objective=repr(self.objective),
            octaves=[list(sides) for sides in self.sizes],
            passes=self.octaves.passes,
            steps=self.steps,
            step_size=self.step_size,
            gradient_scaling=getattr(self.gradient_scaling, "__name__", repr(self.gradient_scaling)),
            tile_size=self.octaves.tile_size,
            interrupted=interrupted,
            seeds=[index(self.seed)],
        )


def _needs_tiles(plan: Octaves, classifier: Classifier, start: Tensor, layers: Sequence[str]) -> bool:
    """Whether a network that fails takes one size only, as far as some layers, and not the first octave's or tile's."""
    first = plan.sizes((start.shape[2], start.shape[3]))[0]
    height, width = (side if plan.tile_size is None else min(side, plan.tile_size) for side in first)
    return needs_own_size(classifier, (height, width), layers)


def _fit_tiles(octaves: Octaves, classifier: Classifier, start: Tensor) -> Octaves:
    """Set the size of tiles for a network that takes one size only."""
    side = classifier.size[0]
    if octaves.tile_size not in (None, side):
        raise ValueError(f"tile_size is {octaves.tile_size}; {classifier.name} takes tiles of {side} px only")
    if min(start.shape[2:]) < side:
        raise ValueError(
            f"{classifier.name} takes tiles of {side} px only, and the image is {start.shape[2]} × {start.shape[3]}; "
            "enlarge it with size=..."
        )
    return replace(octaves, tile_size=side)


@dataclass(frozen=True, eq=False)
class Dreamer:
    """The steps of a dream, which change a canvas in place.

    Args:
        job: what is dreamt.
        objective: for the network and its head.
        canvas: the images.
        history: gets their scores.
        streams: draw the shifts.
    """

    job: DreamJob
    objective: Objective
    canvas: DreamCanvas
    history: History
    streams: Streams

    def passes(self) -> Iterator[None]:
        """Pass through all sizes as often as the job says, yielding after each step; keep the images that it wants.

        After a NotFiniteError the canvas is as it was before the octave.
        """
        for _ in range(self.job.octaves.passes):
            for size in self.job.sizes:
                yield from self._octave(size)
                if self.job.snapshots:
                    self.history.keep(self.canvas.images())
            self.canvas.restart()

    def _octave(self, size: tuple[int, int]) -> Iterator[None]:
        self.canvas.next_octave(size)
        before, first, flags = self.canvas.current, len(self.history), list[Tensor]()
        for _ in range(self.job.steps):
            self.canvas.current, scores, is_finite = self.step(self.canvas.current, len(self.history))
            self.history.scores.append(scores)
            flags.append(is_finite)
            yield
        for step, is_finite in enumerate(flags, start=first):
            scores_are_finite = self.history.scores[step].isfinite().all()
            if not (scores_are_finite and is_finite):
                self.canvas.current = before
                what = "gradient" if scores_are_finite else "score"
                raise NotFiniteError(
                    f"step {step}: the {what} of {self.objective} is not finite; the image is as before this octave"
                )

    def step(self, images: Tensor, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return the images after a step, their scores before it, (B,), and whether the gradient is finite."""
        side = self.job.octaves.tile_size
        limits = torch.tensor(images.shape[2:] if side is None else (side, side), device="cpu")
        down, right = (self.streams.seek(index).uniform(2)[0] * limits).long().tolist()
        scores, gradient = self.gradient(images.roll((down, right), (2, 3)), self.objective.at_step(index))
        gradient = gradient.roll((-down, -right), (2, 3))
        images = (images + self.job.step_size * self.job.gradient_scaling(gradient)).clamp(0, 1)
        return images, scores, gradient.isfinite().all()

    def gradient(self, images: Tensor, objective: Objective) -> tuple[Tensor, Tensor]:
        """Compute scores summed over tiles, (B,), and the gradient of all pixels, (B, 3, H, W)."""
        classifier, network = self.job.classifier, self.job.classifier.network
        gradient, scores = torch.zeros_like(images), images.new_zeros(len(images))
        for rows, columns in tiles(images.shape[2:], self.job.octaves.tile_size):
            tile = images[:, :, rows, columns].detach().requires_grad_()
            with borrow(network), torch.enable_grad():
                inputs = classifier.preprocess(tile)
                activations = read_activations(network, inputs, objective.layers, images=tile)
                _, score = score_terms(objective, activations)
                (found,) = torch.autograd.grad(score.sum(), tile, allow_unused=True)
            if found is None:
                raise ValueError(f"the score of {objective} has no gradient{explain_no_gradient(network)}")
            gradient[:, :, rows, columns] = found
            scores = scores + score.detach()
        return scores, gradient
