"""DeepDream: gradient ascent on the pixels of an image, from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any, TypeAlias, TypedDict

import torch
from torch import Tensor, nn

from optvis.arguments import check_axes, check_minimum
from optvis.data.images import ImageLike
from optvis.errors import NetworkError, NotFiniteError
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow, plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.layers import explain_no_gradient
from optvis.models.normalize import INFER, Normalizer
from optvis.models.provenance import provenance
from optvis.objectives import Objective, as_objective
from optvis.params import Streams
from optvis.params.canvas import height_and_width
from optvis.progress import progress_bar
from optvis.rendering.ascent import score_terms
from optvis.rendering.dreams.octaves import DreamCanvas, Octaves, tiles
from optvis.rendering.image_warnings import warn_about_scores
from optvis.rendering.result import Rendering
from optvis.rendering.runner import History, conclude, run
from optvis.rendering.setup import load_whole, needs_own_size, resolve_objective

GradientScaling: TypeAlias = Callable[[Tensor], Tensor]

EPS = 1e-8  # added to a standard deviation, so that an image without gradient does not change


class DreamOptions(TypedDict, total=False):
    """The options of `dream` that `dream_video` passes on to it."""

    step_size: float
    gradient_scaling: GradientScaling
    seed: int


def divide_by_std(gradient: Tensor) -> Tensor:
    """Divide each image's gradient by its standard deviation, (B, 3, H, W): steps are equally strong at any depth.

    DeepDream's own rule divides by the mean absolute value (Mordvintsev et al., "Inceptionism", 2015); the later
    TensorFlow tutorial "DeepDream" by the standard deviation.

    Raises:
        ValueError: a gradient of other axes.
    """
    check_axes({"gradient": gradient}, "B C H W")
    return gradient / (gradient.flatten(1).std(1).view(-1, 1, 1, 1) + EPS)


def identity(gradient: Tensor) -> Tensor:
    """Return the gradient as it is, (B, 3, H, W)."""
    return gradient


def noise_start(size: int | tuple[int, int], seed: int = 0, channels: int = 3) -> Tensor:
    """Draw white noise to start a dream from: N(0.5, 0.1) pixels, (1, C, H, W) in [0, 1].

    >>> noise_start(8).shape
    torch.Size([1, 3, 8, 8])
    """
    return (0.5 + 0.1 * Streams((seed,), "dream start").normal(channels, *height_and_width(size))).clamp(0, 1).float()


def black_start(size: int | tuple[int, int], channels: int = 3) -> Tensor:
    """Make a black image to start a dream from: (1, C, H, W) of zeros.

    >>> float(black_start((2, 3)).max())
    0.0
    """
    return torch.zeros(1, channels, *height_and_width(size), dtype=torch.float32, device="cpu")


@plain_mode()
def dream(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    objective: Objective | str,
    *,
    size: int | None = None,
    steps: int = 10,
    step_size: float = 0.01,
    octaves: int | Octaves = 4,
    gradient_scaling: GradientScaling = divide_by_std,
    seed: int = 0,
    normalize: Normalizer | str = INFER,
    snapshots: bool = False,
    progress: bool = True,
) -> Rendering:
    """Maximise an objective by gradient ascent on the pixels of an image, at several sizes from coarse to fine.

    The steps begin at the smallest octave; the change made at each is enlarged and added to the next. Each step adds
    `step_size` · `gradient_scaling(gradient)` and clips to [0, 1], after a random shift that hides the seams of tiles.
    Ctrl-C stops early and returns the images so far. (Mordvintsev et al., "Inceptionism", Google Research blog, 2015.)

    Args:
        model: a network, or a Classifier.
        images: where to start: an image in any form, whole and of any aspect ratio, or several;
            `noise_start(size)`; `black_start(size)`.
        objective: what is maximised; `layer_norm(layer)` and `1e-5 * gram(layer)` are the usual ones, and
            "layer:channel" is a channel.
        size: the longer side in pixels to which the image is resized first; its own by default.
        steps: at each octave.
        step_size: change of pixels in [0, 1] by a step, per standard deviation of the gradient; with
            `gradient_scaling=identity` the factor of the gradient itself.
        octaves: number of sizes, each 1.4 times the one before, the last being the image's own; or `Octaves(count,
            scale, passes, tile_size)`.
        gradient_scaling: `divide_by_std`, `identity`, or any function of the gradient, (B, 3, H, W) -> (B, 3, H, W).
        seed: of the random shifts.
        normalize, progress: see `render`.
        snapshots: keep the images after each octave of each pass, for an animation.

    Returns:
        A Rendering. Its scores are those of the whole canvas at each step, summed over tiles.

    Raises:
        ValueError: a number is out of range; the network takes one size only, and the image is smaller; as in
            `load_image`.
        NotFiniteError: a score or gradient is not finite; its attribute `rendering` holds the images so far.

    Example:
        >>> from optvis.objectives import layer_norm
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> dream(net, noise_start((40, 60)), layer_norm(""), octaves=2, steps=2, progress=False)
        Rendering(1 of 40 × 60 px, 4 steps, scores ...)
    """
    check_minimum(0, steps=steps)
    classifier, objective = as_classifier(model, normalize), as_objective(objective)
    resolved = resolve_objective(objective, classifier).to(classifier.device, classifier.image_dtype)
    start = load_whole(classifier, images, size).to(classifier.device, classifier.image_dtype)
    if resolved.batch not in (1, len(start)):
        raise ValueError(f"{len(start)} images and an objective for {resolved.batch}; give one for all, or as many")
    plan = octaves if isinstance(octaves, Octaves) else Octaves(octaves)

    job = DreamJob(
        classifier, objective, resolved, start, plan, steps, step_size, gradient_scaling, seed, snapshots, progress
    )
    made = job.run_in_tiles() if classifier.fixed_size else job.run_where_it_fits()
    if not made.recipe["interrupted"]:
        warn_about_scores(made)
    return made


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
        dreamer = Dreamer(
            canvas, history, self.classifier, whole, tile_size, self.gradient_scaling, self.step_size, streams
        )

        def result(interrupted: bool) -> Rendering:
            return history.rendering(canvas.images(), self.recipe(interrupted), ("",) * len(start))

        total = self.octaves.passes * len(self.sizes) * self.steps
        with progress_bar(total=total, show=self.progress, description="dream", unit="step") as bar:
            passes = dreamer.passes(self.octaves.passes, self.sizes, self.steps, self.snapshots)
            return conclude(run(passes, bar), result)

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
    """The steps of a dream, which change a canvas in place; the streams draw the shifts, the rest is as in `dream`."""

    canvas: DreamCanvas
    history: History
    classifier: Classifier
    objective: Objective
    tile_size: int | None
    gradient_scaling: GradientScaling
    step_size: float
    streams: Streams

    def passes(self, count: int, sizes: Sequence[tuple[int, int]], steps: int, keep: bool) -> Iterator[None]:
        """Pass through all sizes so many times, yielding after each step; keep the images after each octave if wanted.

        After a NotFiniteError the canvas is as it was before the octave.
        """
        for _ in range(count):
            for size in sizes:
                yield from self._octave(size, steps)
                if keep:
                    self.history.keep(self.canvas.images())
            self.canvas.restart()

    def _octave(self, size: tuple[int, int], steps: int) -> Iterator[None]:
        self.canvas.next_octave(size)
        before, first, flags = self.canvas.current, len(self.history), list[Tensor]()
        for _ in range(steps):
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
        limits = torch.tensor(
            images.shape[2:] if self.tile_size is None else (self.tile_size, self.tile_size), device="cpu"
        )
        down, right = (self.streams.seek(index).uniform(2)[0] * limits).long().tolist()
        scores, gradient = self.gradient(images.roll((down, right), (2, 3)), self.objective.at_step(index))
        gradient = gradient.roll((-down, -right), (2, 3))
        images = (images + self.step_size * self.gradient_scaling(gradient)).clamp(0, 1)
        return images, scores, gradient.isfinite().all()

    def gradient(self, images: Tensor, objective: Objective) -> tuple[Tensor, Tensor]:
        """Compute scores summed over tiles, (B,), and the gradient of all pixels, (B, 3, H, W)."""
        gradient, scores, network = torch.zeros_like(images), images.new_zeros(len(images)), self.classifier.network
        for rows, columns in tiles(images.shape[2:], self.tile_size):
            tile = images[:, :, rows, columns].detach().requires_grad_()
            with borrow(network), torch.enable_grad():
                inputs = self.classifier.preprocess(tile)
                activations = read_activations(network, inputs, objective.layers, images=tile)
                _, score = score_terms(objective, activations)
                (found,) = torch.autograd.grad(score.sum(), tile, allow_unused=True)
            if found is None:
                raise ValueError(f"the score of {objective} has no gradient{explain_no_gradient(network)}")
            gradient[:, :, rows, columns] = found
            scores = scores + score.detach()
        return scores, gradient
