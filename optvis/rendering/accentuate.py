"""Feature accentuation: what in a photograph a feature responds to, made stronger."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from optvis.data.images import ImageLike, load_image
from optvis.models.activations import read_activations
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import IMAGE, Objective, as_objective, on
from optvis.params import ImageParam, Streams, fft_image
from optvis.rendering.ascent import REDIRECTED_STEPS, Ascent, prepared
from optvis.rendering.optimizers import FAST_ADAM, OptimizerMaker, optimizer_text
from optvis.rendering.result import Rendering
from optvis.rendering.setup import asked, fitted, labels_of, seeds_for
from optvis.rendering.views import Views, climbed, repeated, told, view_seeds
from optvis.transforms import STANDARD, Transform

DISTANCE = "distance to the photograph"


def accentuate(
    model: nn.Module | Classifier,
    photo: ImageLike | Sequence[ImageLike],
    objective: Objective | str,
    layer: str,
    *,
    hold: float = 1.0,
    image: ImageParam | None = None,
    size: int | None = None,
    steps: int = 64,
    views: int = 1,
    transform: nn.Module | None = STANDARD,
    normalize: Normalizer | str = INFER,
    optimizer: OptimizerMaker = FAST_ADAM,
    seed: int | Sequence[int] = 0,
    snapshots: Collection[int] = (),
    redirect: int = REDIRECTED_STEPS,
    progress: bool = True,
) -> Rendering:
    """A photograph in which an objective is made stronger while the network goes on seeing the same picture.

    Maximises score(T x) − λ ‖f_l(T x) − f_l(T x₀)‖ from the photograph x₀ on, with f_l the activations of a layer and
    the same transform T of both at each step. λ is `hold` times the ratio of the two gradients' sums of absolute
    values at the start, for each image: there the norm's gradient is zero, so both are taken after one update, on a
    copy. (Hamblin et al., "Feature accentuation: Revealing 'what' features respond to in natural images", 2024,
    arXiv:2402.10039.) Ctrl-C stops early and returns what is there.

    Args:
        model: a network, or a Classifier.
        photo: where to start, in any form; several photographs make several images.
        objective: what is maximised: a score per image; "layer:channel" is a channel.
        layer: whose activations are held, an early or middle one; "<image>" holds the pixels.
        hold: how strongly. 0 lets go; at 1 both gradients are as strong at first.
        image: a parameterization of the photograph's size, which is filled with it and updated in place;
            `fft_image` by default. `phase_image` keeps the magnitude of the photograph's spectrum.
        size: the longer side in pixels, of the whole photograph; by default it is cropped to the network's own size,
            as its publisher does.
        steps: how many updates.
        views: how many draws of the transform at each step, of each image.
        transform: between images and network; None shows it the images as they are.
        normalize: see `render`; by default what the model carries.
        optimizer: makes a torch optimizer of parameters; see `render`.
        seed: one number gives every image the same stream of transforms; a sequence gives each its own.
        snapshots: numbers of updates at which the images are kept as well.
        redirect: for how many steps ReLU gradients are redirected where an image has none.
        progress: show a progress bar.

    Returns:
        A Rendering; its scores are those of the objective alone, and its `transparency` is Σ over steps of
        `|∂(score − λ distance)/∂image|`, (B, 3, H, W), which `faded()` shows.

    Raises:
        KeyError, IndexError, ValueError, TypeError: before the first step, for layers, channels, labels, sizes or
            photographs that do not fit.
        NotFiniteError: a score or gradient is not finite.

    Example:
        >>> from optvis.objectives import channel
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), None, 16)
        >>> accentuate(net, torch.rand(3, 16, 16), channel("2", 1), "0", steps=4, progress=False)
        Rendering(1 of 16 × 16 px, 4 steps, scores ...)
    """
    if steps < 0 or views < 1 or not hold >= 0:
        raise ValueError(f"steps={steps}, views={views}, hold={hold}; expected steps and hold >= 0, a view or more")
    classifier = as_classifier(model, normalize)
    objective = as_objective(objective)
    question = asked(objective, classifier)
    start = (classifier.load_batch(photo) if size is None else _whole(photo, size)).to(classifier.device)
    shape, count = (start.shape[2], start.shape[3]), max(len(start), question.batch)
    made = fft_image(shape, seeds=(0,) * count) if image is None else image
    made.to(classifier.device, classifier.image_dtype)
    with torch.no_grad():
        original = made.fill_(start)().clone()  # not quite the photograph: a sigmoid reaches neither black nor white
    seeds = seeds_for(seed, question, made)
    beside = Beside(fitted(classifier, made, transform, seeds), original.repeat_interleave(views, dim=0))
    distance = on(layer, Distance(classifier, beside, layer), name=DISTANCE)
    begin = partial(
        prepared,
        classifier,
        transform=beside,
        optimizer=optimizer,
        seed=view_seeds(seeds, views),
        redirect=redirect,
        pool_gradient=None,
    )
    steady = Objective(tuple(replace(term, schedules=()) for term in question.terms))  # a schedule may begin at nought
    weight = hold * balance(begin, repeated(steady, views), repeated(distance, views), Views(made, views))
    shown = Views(made, views)
    ascent = begin(repeated(question - weight.cpu() * distance, views), shown)
    recipe = told(
        ascent,
        "accentuate",
        objective=repr(objective),
        layer=layer,
        hold=hold,
        weights=weight.tolist(),
        image=" ".join(repr(made).split()),
        views=views,
        optimizer=optimizer_text(optimizer),
        steps=steps,
        seeds=list(seeds),
    )
    labels = labels_of(objective, len(seeds))
    return climbed(ascent, shown, steps, snapshots, recipe, labels, progress, left_out=DISTANCE)


class Beside(Transform):
    """A chain, which at the same time does to other images, with the same draws, what it does to these.

    Args:
        chain: the transforms.
        others: (B, C, H, W); what became of them is kept as `changed`.
    """

    def __init__(self, chain: nn.Module, others: Tensor) -> None:
        super().__init__()
        self.chain, self.others = chain, others
        self.changed = others

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        with torch.no_grad():
            self.changed = self.chain(self.others[: len(images)], streams.seek(streams.step))
        changed: Tensor = self.chain(images, streams.seek(streams.step))
        return changed

    def __repr__(self) -> str:
        return repr(self.chain)


class Distance:
    """‖f_l(T x) − f_l(T x₀)‖ of each image: a function of the layer's activations, (B, ...) -> (B,)."""

    def __init__(self, classifier: Classifier, beside: Beside, layer: str) -> None:
        self.classifier, self.beside, self.layer = classifier, beside, layer

    def __call__(self, a: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm((a - self.original()).flatten(1), dim=1)
        return norms

    @torch.no_grad()
    def original(self) -> Tensor:
        """What the layer makes of the photographs as they were transformed last."""
        if self.layer == IMAGE:
            return self.beside.others
        inputs = self.classifier.preprocess(self.beside.changed)
        return read_activations(self.classifier.network, inputs, [self.layer])[self.layer]


def balance(begin: Any, score: Objective, distance: Objective, views: Views) -> Tensor:
    """|∂score| / |∂distance| of each image after one update without the distance, on a copy, (B,).

    Each is the sum of absolute values over the image's parameters; 1 where the distance has no gradient.
    """
    views = copy.deepcopy(views)
    ascent: Ascent = begin(score, views)
    next(ascent.steps())
    sizes = [_size(one.evaluated(1)[1]) for one in (ascent, begin(distance, views))]
    return torch.where(sizes[1] > 0, sizes[0] / sizes[1], 1)


def _size(gradients: Sequence[Tensor | None]) -> Tensor:
    """Σ|g| of each image, (B,)."""
    given = [gradient.abs().flatten(1).sum(1) for gradient in gradients if gradient is not None]
    total = given[0]
    for more in given[1:]:
        total = total + more
    return total


def _whole(photo: ImageLike | Sequence[ImageLike], size: int) -> Tensor:
    if isinstance(photo, list | tuple):
        return torch.cat([load_image(one, size) for one in photo])
    return load_image(photo, size)


__all__ = ["accentuate"]
