"""Deep dreams: a photograph in which a network is shown more and more of what it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from optvis.data.images import ImageLike, load_image
from optvis.errors import NotFiniteError
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import Objective, as_objective
from optvis.params import Streams
from optvis.params.canvas import height_and_width
from optvis.progress import progress_bar
from optvis.rendering.ascent import answered
from optvis.rendering.octaves import Canvas, octave_sizes, tiles
from optvis.rendering.result import Rendering
from optvis.rendering.setup import asked
from optvis.version import __version__

Scaling: TypeAlias = Callable[[Tensor], Tensor]

GENTLEST = 1e-8  # added to a deviation, so that an image without gradient stands still


def by_deviation(gradient: Tensor) -> Tensor:
    """Each image's gradient divided by its standard deviation, (B, 3, H, W): steps of one strength at any depth.

    DeepDream's own rule divides by the mean absolute value (Mordvintsev et al., "Inceptionism", 2015); the later
    TensorFlow tutorial "DeepDream" by the standard deviation.
    """
    return gradient / (gradient.flatten(1).std(1).view(-1, 1, 1, 1) + GENTLEST)


def raw(gradient: Tensor) -> Tensor:
    """The gradient as it is, (B, 3, H, W)."""
    return gradient


def noise(size: int | tuple[int, int], seed: int = 0) -> Tensor:
    """A start from nothing: N(0.5, 0.1) pixels, (1, 3, H, W) in [0, 1].

    >>> noise(8).shape
    torch.Size([1, 3, 8, 8])
    """
    return (0.5 + 0.1 * Streams((seed,), "dream start").normal(3, *height_and_width(size))).clamp(0, 1).float()


def black(size: int | tuple[int, int]) -> Tensor:
    """A start from less than nothing: (1, 3, H, W) of zeros.

    >>> float(black((2, 3)).max())
    0.0
    """
    return torch.zeros(1, 3, *height_and_width(size))


def dream(
    model: nn.Module | Classifier,
    photo: ImageLike | Sequence[ImageLike],
    objective: Objective | str,
    *,
    steps: int = 10,
    step_size: float = 0.01,
    octaves: int = 4,
    octave_scale: float = 1.4,
    rounds: int = 1,
    scaling: Scaling = by_deviation,
    tile: int | None = None,
    size: int | None = None,
    normalize: Normalizer | str = INFER,
    seed: int = 0,
    snapshots: bool = False,
    progress: bool = True,
) -> Rendering:
    """Dream of a photograph: gradient ascent on its pixels, from coarse to fine.

    The photograph is dreamt at the smallest octave first; what was added there is enlarged onto the next. Each step
    adds `step_size` · `scaling(gradient)` and clips to [0, 1], after a random shift that hides the tiles' seams.
    Ctrl-C stops early and returns what is there. (Mordvintsev et al., "Inceptionism", Google Research blog, 2015.)

    Args:
        model: a network, or a Classifier.
        photo: where to start: a photograph in any form, whole and of any aspect; `noise(size)`; `black(size)`.
        objective: what is maximised; `layer_norm(layer)` and `1e-5 * gram(layer)` are the usual ones, and
            "layer:channel" is a channel.
        steps: at each octave.
        step_size: by how much a step changes pixels in [0, 1]: by this one standard deviation of the gradient,
            or with `scaling=raw` by this multiple of the gradient.
        octaves: how many sizes, the last being the photograph's own.
        octave_scale: by how much each is larger than the one before.
        rounds: how often the result is fed back, "deeper and deeper".
        scaling: `by_deviation`, `raw`, or any function of the gradient, (B, 3, H, W) -> (B, 3, H, W).
        tile: side in pixels of the pieces whose gradients are computed one after the other, so that memory does not
            grow with the canvas; by default the whole at once, or the network's size where it takes no other.
        size: the longer side in pixels to which the photograph is brought first; its own by default.
        normalize: see `render`; by default what the model carries.
        seed: of the random shifts.
        snapshots: keep the picture after each octave of each round, for an animation.
        progress: show a progress bar.

    Returns:
        A Rendering; its scores are those of the whole canvas at each step, summed over tiles.

    Raises:
        ValueError: numbers out of range; as in `load_image`.
        NotFiniteError: a score or gradient is not finite.

    Example:
        >>> from optvis.objectives import layer_norm
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> dream(net, noise((40, 60)), layer_norm(""), octaves=2, steps=2, progress=False)
        Rendering(1 of 40 × 60 px, 4 steps, scores ...)
    """
    for name, value in (("octaves", octaves), ("rounds", rounds), ("tile", tile)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}; expected 1 or more")
    if steps < 0 or not octave_scale > 1:
        raise ValueError(f"steps={steps}, octave_scale={octave_scale}; expected steps >= 0 and a scale over 1")
    classifier = as_classifier(model, normalize)
    objective = as_objective(objective)
    question = asked(objective, classifier).to(classifier.device, classifier.image_dtype)
    start = _batch(photo, size).to(classifier.device, classifier.image_dtype)
    if question.batch not in (1, len(start)):
        raise ValueError(f"{len(start)} images and an objective for {question.batch}; give one for all, or as many")
    if classifier.fixed_size and tile not in (None, classifier.size[0]):
        raise ValueError(f"tile is {tile}; {classifier.name} takes pieces of {classifier.size[0]} px only")
    tile = classifier.size[0] if tile is None and classifier.fixed_size else tile
    if classifier.fixed_size and min(start.shape[2:]) < classifier.size[0]:
        raise ValueError(
            f"{classifier.name} takes pieces of {classifier.size[0]} px only, and the picture is "
            f"{start.shape[2]} × {start.shape[3]}; enlarge it with size=..."
        )
    sizes = octave_sizes((start.shape[2], start.shape[3]), octaves, octave_scale, 1 if tile is None else tile)
    dreamer = _Dreamer(classifier, question, tile, scaling, step_size, Streams((seed,) * len(start), "dream"))
    recipe = {
        "network": classifier.name,
        "objective": repr(objective),
        "octaves": [list(sides) for sides in sizes],
        "rounds": rounds,
        "steps": steps,
        "step_size": step_size,
        "scaling": getattr(scaling, "__name__", repr(scaling)),
        "tile": tile,
        "normalize": repr(classifier.normalize),
        "seeds": [index(seed)],
        "optvis": __version__,
        "torch": torch.__version__,
    }
    canvas, scores, kept = Canvas.of(start), list[Tensor](), dict[int, Tensor]()
    interrupted = False
    bar = progress_bar(total=rounds * len(sizes) * steps, show=progress, description="dream", unit="step")
    with bar:
        try:
            for _ in _dreamt(dreamer, canvas, [sizes] * rounds, steps, scores, bar):
                if snapshots:
                    kept[len(scores)] = canvas.picture().cpu()
        except KeyboardInterrupt:
            interrupted = True
        except NotFiniteError as error:
            error.rendering = _rendering(canvas, scores, recipe, kept)
            raise
    return _rendering(canvas, scores, recipe | {"interrupted": interrupted}, kept)


def _rendering(canvas: Canvas, scores: list[Tensor], recipe: dict[str, Any], kept: dict[int, Tensor]) -> Rendering:
    """What there is."""
    pictures = canvas.picture().cpu()
    history = torch.stack(scores).cpu() if scores else torch.empty(0, len(pictures))
    return Rendering(pictures, history, recipe, kept, ("",) * len(pictures))


@dataclass(frozen=True, eq=False)
class _Dreamer:
    classifier: Classifier
    objective: Objective
    tile: int | None
    scaling: Scaling
    step_size: float
    streams: Streams

    def step(self, images: Tensor, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Images one step deeper, (B, 3, H, W), their scores before it, (B,), and whether the gradient is finite."""
        height, width = images.shape[2:]
        reach = torch.tensor([height, width]) if self.tile is None else torch.tensor([self.tile, self.tile])
        down, right = (self.streams.seek(index).uniform(2)[0] * reach).long().tolist()
        rolled = images.roll((down, right), (2, 3))
        scores, gradient = self.gradient(rolled, self.objective.at_step(index))
        back = gradient.roll((-down, -right), (2, 3))
        return (images + self.step_size * self.scaling(back)).clamp(0, 1), scores, back.isfinite().all()

    def gradient(self, images: Tensor, question: Objective) -> tuple[Tensor, Tensor]:
        """Scores summed over tiles, (B,), and the gradient of all pixels, (B, 3, H, W)."""
        gradient = torch.zeros_like(images)
        scores = images.new_zeros(len(images))
        for rows, columns in tiles(images.shape[2:], self.tile):
            piece = images[:, :, rows, columns].detach().requires_grad_()
            score, gradient[:, :, rows, columns] = self.ask(piece, question)
            scores = scores + score
        return scores, gradient

    def ask(self, piece: Tensor, question: Objective) -> tuple[Tensor, Tensor]:
        network = self.classifier.network
        with borrow(network), torch.enable_grad():
            _, scores = answered(network, question, self.classifier.preprocess(piece), piece)
            (gradient,) = torch.autograd.grad(scores.sum(), piece)
        return scores.detach(), gradient


def _dreamt(
    dreamer: _Dreamer,
    canvas: Canvas,
    rounds: Sequence[Sequence[tuple[int, int]]],
    steps: int,
    scores: list[Tensor],
    bar: Any,
) -> Iterator[None]:
    """Dream in place, yielding after each octave."""
    for sizes in rounds:
        for size in sizes:
            canvas.next_octave(size)
            before, flags = canvas.current, list[Tensor]()
            for _ in range(steps):
                canvas.current, score, is_finite = dreamer.step(canvas.current, len(scores))
                scores.append(score)
                flags.append(is_finite)
                bar.update()
            _check_finite(scores, flags, canvas, before, dreamer.objective)
            yield
        canvas.original = canvas.base = canvas.current


def _check_finite(
    scores: Sequence[Tensor], gradients: Sequence[Tensor], canvas: Canvas, before: Tensor, objective: Objective
) -> None:
    """Raise if an octave's last scores or gradients went wrong, with the canvas as it was before."""
    first = len(scores) - len(gradients)
    for step, (score, is_finite) in enumerate(zip(scores[first:], gradients, strict=True), start=first):
        if not (score.isfinite().all() and is_finite):
            canvas.current = before
            what = "gradient" if score.isfinite().all() else "score"
            raise NotFiniteError(
                f"step {step}: the {what} of {objective} is not finite; the image is as before this octave"
            )


def _batch(photo: ImageLike | Sequence[ImageLike], size: int | None) -> Tensor:
    if isinstance(photo, list | tuple):
        if not photo:
            raise ValueError("no photographs: the list is empty")
        return torch.cat([load_image(one, size) for one in photo])
    return load_image(photo, size)
