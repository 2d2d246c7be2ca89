"""Feature accentuation: strengthen in an image what a feature responds to."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Unpack

import torch
from torch import Tensor, nn

from optvis.arguments import check_minimum
from optvis.data.images import ImageLike
from optvis.models.activations import read_activations
from optvis.models.adapted.precision import Precision, cast_network, uncast
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import IMAGE, Objective, as_objective, on
from optvis.params import ImageParam, Streams
from optvis.rendering.job import RenderJob, RenderOptions
from optvis.rendering.result import Rendering
from optvis.rendering.setup import (
    add_resize,
    default_param,
    input_transform,
    load_whole,
    resolve_objective,
    resolve_seeds,
)
from optvis.transforms import STANDARD, Transform

DISTANCE = "distance to the start"
ACCENTUATION_STEPS = 64


@plain_mode()
def accentuate(
    model: nn.Module | Classifier,
    images: ImageLike | Sequence[ImageLike],
    objective: Objective | str,
    layer: str,
    *,
    strength: float = 1.0,
    param: ImageParam | None = None,
    size: int | None = None,
    steps: int = ACCENTUATION_STEPS,
    views: int = 1,
    seed: int | Sequence[int] = 0,
    normalize: Normalizer | str = INFER,
    **options: Unpack[RenderOptions],
) -> Rendering:
    """Raise an objective in an image while the network's activations in a layer stay near those of the image.

    Maximises score(T x) − λ ‖f_l(T x) − f_l(T x₀)‖ from the image x₀ on, where f_l are the activations of the layer,
    and T is the same transform of both at each step. λ is `strength` times the ratio of the two gradients' sums of
    absolute values at the start, for each image. The norm's gradient is zero there, so both are measured after one
    update, on a copy. (Hamblin et al., "Feature accentuation: Revealing 'what' features respond to in natural images",
    2024, arXiv:2402.10039.)

    It is a composition of parts: `render(model, objective - λ * distance, param.fill_(images), recipe="plain",
    transparency=True)` with a distance that applies the transform of the step to the image as well. Scores, labels and
    recipe of the result are those of the objective alone.

    Args:
        images: where to start: an image in any form, or several.
        layer: the layer whose activations stay near those of the image, an early or middle one; "<image>" for the
            pixels.
        strength: weight of the distance. At 0 it has no effect; at 1 both gradients are equally strong at first.
        param: a parameterization of the image's size; it is filled with the image and updated in place. `fft_image` by
            default; `phase_image` keeps the magnitude of the image's spectrum.
        size: the longer side in pixels of the whole image; by default the image is cropped to the network's own size,
            as the network's publisher does.
        model, objective, steps, views, normalize, seed, options: see `render`; there are no `priors` by default.

    Returns:
        A Rendering. Its scores are those of the objective alone. Its `transparency` is Σ over steps of
        `|∂(score − λ distance)/∂image|`, (B, 3, H, W), and `with_transparency()` shows it.

    Raises:
        KeyError, IndexError, ValueError, TypeError, NotFiniteError: as in `render`; a negative strength.

    Example:
        >>> from optvis.objectives import channel
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), None, 16)
        >>> accentuate(net, torch.rand(3, 16, 16), channel("2", 1), "0", steps=4, progress=False)
        Rendering(1 of 16 × 16 px, 4 steps, scores ...)
    """
    check_minimum(0, strength=strength)
    classifier, objective = as_classifier(model, normalize), as_objective(objective)
    start = (classifier.load_batch(images) if size is None else load_whole(classifier, images, size)).to(
        classifier.device
    )
    count = max(len(start), resolve_objective(objective, classifier).batch)
    param = default_param(classifier, (start.shape[2], start.shape[3]), (0,) * count) if param is None else param
    param.to(classifier.device, classifier.image_dtype)
    with torch.no_grad():
        original = param.fill_(start)().clone()  # not quite the image: a sigmoid reaches neither black nor white
    seeds = resolve_seeds(seed, objective, param, [prior.penalty for prior in options.get("priors", ())])
    chain = input_transform(classifier, param, options.get("transform", STANDARD), seeds)
    chain = add_resize(classifier, param, chain, seeds, [layer, *objective.layers])
    draws = SharedDraws(chain)
    precision = options.get("precision", "tf32")
    distance = on(layer, Distance(classifier, draws, layer, precision), original, name=DISTANCE)
    settings: RenderOptions = {**options, "transform": draws}
    job = RenderJob(
        classifier, objective, param, steps, seed=seeds, views=views, transparency=True, method="accentuate", **settings
    )
    weight = strength * balance(replace(job, priors=()), param, distance)
    recipe = {"layer": layer, "strength": strength, "weights": weight.tolist()}
    return replace(job, penalty=-(weight.cpu() * distance), options=recipe).run()


class SharedDraws(Transform):
    """A chain of transforms whose last draws can be applied to other images."""

    def __init__(self, chain: nn.Module) -> None:
        super().__init__()
        self.chain = chain
        self.streams, self.step = Streams((0,), "transform"), 0

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        self.streams, self.step = streams, streams.step
        return self.repeat_on(images)

    def repeat_on(self, images: Tensor) -> Tensor:
        """Transform other images, a row for each of the last ones, with the draws of the last ones."""
        transformed: Tensor = self.chain(images, self.streams.seek(self.step))
        return transformed

    def __repr__(self) -> str:
        return repr(self.chain)


class Distance:
    """‖f_l(T x) − f_l(T x₀)‖ of each image, (B,), from the layer's activations of x, (B, ...), and from x₀."""

    def __init__(self, classifier: Classifier, draws: SharedDraws, layer: str, precision: Precision) -> None:
        self.classifier, self.draws, self.layer, self.precision = classifier, draws, layer, precision

    def __call__(self, a: Tensor, original: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm((a - self.activations(original, len(a))).flatten(1), dim=1)
        return norms

    @torch.no_grad()
    def activations(self, original: Tensor, count: int) -> Tensor:
        """The layer's activations of the original images under the last transform, for `count` images."""
        if self.layer == IMAGE:
            return original
        rows = original if len(original) == count else original.repeat(count, 1, 1, 1)
        inputs = self.classifier.preprocess(self.draws.repeat_on(rows))
        with cast_network(self.precision, self.classifier.device):
            return uncast(read_activations(self.classifier.network, inputs, [self.layer])[self.layer])


def balance(job: RenderJob, param: ImageParam, distance: Objective) -> Tensor:
    """Compute |∂score| / |∂distance| of each image after one update without the distance, on a copy, (B,).

    Each is the sum of absolute values over the image's parameters; 1 where the distance has no gradient.
    """
    objective = resolve_objective(job.objective, job.classifier)
    steady = Objective(tuple(replace(term, schedules=()) for term in objective.terms))  # a schedule may begin at 0
    everything, param = slice(0, len(job.seeds)), copy.deepcopy(param)
    ascent = job.build_ascent(everything, param, steady, None)
    next(ascent.steps())
    sizes = [
        reduce(torch.add, (gradient.abs().flatten(1).sum(1) for gradient in one.evaluate(1)[1] if gradient is not None))
        for one in (ascent, job.build_ascent(everything, param, distance, None))
    ]
    return torch.where(sizes[1] > 0, sizes[0] / sizes[1], 1)
