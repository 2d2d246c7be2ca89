"""Every objective of `optvis.objectives`, with its oracle and targets for three images. Each listed one is tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optvis.objectives import (
    IMAGE,
    OUTPUT,
    Objective,
    activation_statistics,
    alignment,
    blur_input_each_step,
    caricature,
    channel,
    channel_weights,
    cosine,
    direction,
    direction_neuron,
    diversity,
    dot_compare,
    gram,
    gram_distance,
    input_diff,
    l1,
    l2,
    layer_norm,
    log_odds,
    logit,
    match_distribution,
    mean_square,
    neuron,
    on,
    penalize_boundary_complexity,
    position_norm,
    tensor_direction,
    total_variation,
)

from . import oracles

IMAGES, CHANNELS, COLORS = 3, 4, 3
SPACE = {"BC": (), "BTC": (7,), "BCHW": (4, 6), "BHWC": (4, 6)}


@dataclass(frozen=True)
class Member:
    """One objective, or one set of its options.

    Args:
        build: (*targets, **layout) -> an objective; a target has a row per image or is one image's.
        oracle: (a, *targets) -> the score of one image, with a (C, ...); with `couples_images`, (all a) -> all scores.
        targets: a row for each of three images.
        layer: the layer of its activations.
        layouts: in which it can be build_for.
        has_axis: whether it takes `channel_axis`.
        drops_batch_axis: whether one image's target needs no axis of images.
        couples_images: whether it compares images with each other.
        gradient: (a) -> the gradient of one image's score, if it differs from that of the formula by design.
        field: shape of one more target in the layout of the layer; () is the layer's own height and width.
    """

    build: Callable[..., Objective]
    oracle: Callable[..., Any]
    targets: tuple[Any, ...] = ()
    layer: str = "mixed"
    layouts: tuple[str, ...] = ("BC", "BTC", "BCHW", "BHWC")
    has_axis: bool = True
    drops_batch_axis: bool = True
    couples_images: bool = False
    gradient: Callable[[oracles.Array], oracles.Array] | None = None
    field: tuple[int, ...] | None = None

    @property
    def channels(self) -> int:
        return COLORS if self.layer == IMAGE else CHANNELS

    def activations(self, layout: str, space: tuple[int, ...] | None = None) -> Tensor:
        """Random activations with channels first, (B, C, ...), float64."""
        return random_activations(layout, self.channels, space)

    def fields(self, space: tuple[int, ...]) -> list[Tensor]:
        """The last target with channels first, if there is one."""
        if self.field is None:
            return []
        generator = torch.Generator().manual_seed(31)
        shape = (IMAGES, self.channels, *(self.field or space))
        return [torch.randn(shape, generator=generator, dtype=torch.float64)]

    def of(self, images: slice | int, layout: str | None = None, space: tuple[int, ...] | None = None) -> Objective:
        """Build the objective for some of the images, or with one image's targets for all."""
        keywords = {"channel_axis": -1} if layout == "BHWC" and self.has_axis else {}
        return self.build_for(images, self.layouts[0] if layout is None else layout, space, **keywords)

    def build_for(
        self, images: slice | int, layout: str, space: tuple[int, ...] | None = None, **keywords: int
    ) -> Objective:
        """Build the objective with keyword arguments."""
        fields = [apply_layout(field, layout) for field in self.fields(SPACE[layout] if space is None else space)]
        images = slice(images, images + 1) if isinstance(images, int) and not self.drops_batch_axis else images
        return self.build(*(target[images] for target in (*self.targets, *fields)), **keywords)

    def expected(self, canonical: Tensor, rows: Any = range(IMAGES)) -> Tensor:
        """Score images (B, C, ...) with the oracle, each with the targets of its row."""
        if self.couples_images:
            return torch.tensor(self.oracle(canonical.double().numpy()), dtype=torch.float64)
        targets = [*self.targets, *self.fields(tuple(canonical.shape[2:]))]
        scores = [
            self.oracle(a.double().numpy(), *(np.asarray(target[row]) for target in targets))
            for a, row in zip(canonical, rows, strict=True)
        ]
        return torch.tensor(scores, dtype=torch.float64)


def random_activations(layout: str, channels: int = CHANNELS, space: tuple[int, ...] | None = None) -> Tensor:
    """Random activations with channels first, (B, C, ...), float64."""
    generator = torch.Generator().manual_seed(len(layout))
    shape = (IMAGES, channels, *(SPACE[layout] if space is None else space))
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def apply_layout(canonical: Tensor, layout: str) -> Tensor:
    """Move the channels to their axis in a layout."""
    return canonical.movedim(1, -1) if layout in ("BTC", "BHWC") else canonical


def vectors(dtype: torch.dtype = torch.float64) -> Tensor:
    """A direction for each image."""
    return torch.randn(IMAGES, CHANNELS, generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(dtype)


def matrices() -> Tensor:
    """A Gram matrix for each image."""
    rows = torch.randn(IMAGES, CHANNELS, 8, generator=torch.Generator().manual_seed(10), dtype=torch.float64)
    return rows @ rows.mT / 8


def square_matrix() -> Tensor:
    """A matrix of channels by channels."""
    return torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(11), dtype=torch.float64)


def product(channels: Any, vector: Any, **layout: int) -> Objective:
    """A product of an objective and a sum, which becomes a sum of products."""
    return 2 * channel("mixed", channels, **layout) * (cosine("mixed", vector, **layout) - 0.5)


def product_oracle(a: oracles.Array, index: int, vector: oracles.Array) -> float:
    return 2 * oracles.channel(a, index) * (oracles.cosine(a, vector) - 0.5)


def shifted_power(a: Tensor, power: Tensor, shift: Tensor) -> Tensor:
    """A custom objective with a number and a vector for each image."""
    return ((a.flatten(2) - shift.unsqueeze(2)) ** power.view(-1, 1, 1)).flatten(1).mean(1)


def shifted_power_oracle(a: oracles.Array, power: int, shift: oracles.Array) -> float:
    return float(np.mean([[(v - s) ** power for v in plane.ravel()] for plane, s in zip(a, shift, strict=True)]))


def statistics(mean: Any, variance: Any, **options: Any) -> Objective:
    """The prior on the mean and the variance of one layer."""
    return activation_statistics({"mixed": (mean, variance)}, **options)


REFERENCES = torch.randn(2, CHANNELS, 4, 6, generator=torch.Generator().manual_seed(12), dtype=torch.float64)
INDEX = [0, 3, 2]
Y, X = [3, 0, 1], [5, 2, 0]
PLANES = ("BCHW", "BHWC")

MEMBERS = {
    "channel": Member(partial(channel, "mixed"), oracles.channel, (INDEX,)),
    "channel_weights": Member(partial(channel_weights, "mixed"), oracles.channel_weights, (vectors(),)),
    "neuron": Member(partial(neuron, "mixed"), oracles.neuron, (INDEX,)),
    "neuron at (y, x)": Member(partial(neuron, "mixed"), oracles.neuron, (INDEX, Y, X), layouts=PLANES),
    "neuron of a token": Member(partial(neuron, "mixed"), oracles.neuron, (INDEX, Y), layouts=("BTC",)),
    "logit": Member(logit, oracles.channel, (INDEX,), OUTPUT, ("BC",), has_axis=False),
    "log_odds": Member(log_odds, oracles.log_odds, (INDEX,), OUTPUT, ("BC",), has_axis=False),
    "position_norm": Member(partial(position_norm, "mixed"), oracles.position_norm),
    "position_norm at (y, x)": Member(partial(position_norm, "mixed"), oracles.position_norm, (Y, X), layouts=PLANES),
    "layer_norm": Member(partial(layer_norm, "mixed"), oracles.layer_norm),
    "layer_norm p=1": Member(partial(layer_norm, "mixed", p=1), partial(oracles.layer_norm, p=1)),
    "layer_norm p=3.5": Member(partial(layer_norm, "mixed", p=3.5), partial(oracles.layer_norm, p=3.5)),
    "layer_norm p=inf": Member(partial(layer_norm, "mixed", p=float("inf")), partial(oracles.layer_norm, p=np.inf)),
    "layer_norm of a channel": Member(partial(layer_norm, "mixed"), oracles.channel_norm, (INDEX,)),
    "mean_square": Member(partial(mean_square, "mixed"), oracles.mean_square, has_axis=False),
    "l1": Member(l1, oracles.l1, layer=IMAGE, has_axis=False),
    "l1 k=0.3": Member(partial(l1, "mixed", constant=0.3), partial(oracles.l1, constant=0.3), has_axis=False),
    "l2": Member(l2, oracles.l2, layer=IMAGE, has_axis=False),
    "l2 k=0.3 ε=2": Member(
        partial(l2, "mixed", constant=0.3, epsilon=2.0), partial(oracles.l2, constant=0.3, epsilon=2.0), has_axis=False
    ),
    "direction": Member(partial(direction, "mixed"), oracles.direction, (vectors(),)),
    "direction p=1.5": Member(
        partial(direction, "mixed", power=1.5), partial(oracles.direction, power=1.5), (vectors(),)
    ),
    "direction p=4": Member(partial(direction, "mixed", power=4), partial(oracles.direction, power=4), (vectors(),)),
    "direction float32": Member(partial(direction, "mixed"), oracles.direction, (vectors(torch.float32),)),
    "direction_neuron": Member(partial(direction_neuron, "mixed"), oracles.direction_neuron, (vectors(),)),
    "direction_neuron at (y, x) p=2": Member(
        partial(direction_neuron, "mixed", power=2),
        partial(oracles.direction_neuron, power=2),
        (vectors(), Y, X),
        layouts=PLANES,
    ),
    "direction whitened p=2": Member(
        partial(direction, "mixed", power=2, whitening=square_matrix()),
        partial(oracles.direction_whitened, matrix=square_matrix().numpy(), power=2),
        (vectors(),),
    ),
    "direction_neuron whitened": Member(
        partial(direction_neuron, "mixed", whitening=square_matrix()),
        partial(oracles.direction_neuron_whitened, matrix=square_matrix().numpy()),
        (vectors(),),
    ),
    "tensor_direction": Member(
        partial(tensor_direction, "mixed"), oracles.tensor_direction, field=(2, 3), layouts=PLANES
    ),
    "tensor_direction p=2": Member(
        partial(tensor_direction, "mixed", power=2),
        partial(oracles.tensor_direction, power=2),
        field=(3, 1),
        layouts=PLANES,
    ),
    "caricature": Member(partial(caricature, "mixed"), oracles.caricature, field=(), drops_batch_axis=False),
    "caricature p=2": Member(
        partial(caricature, "mixed", power=2), partial(oracles.caricature, power=2), field=(), drops_batch_axis=False
    ),
    "dot_compare": Member(
        partial(dot_compare, "mixed"), oracles.dot_compare, field=(), drops_batch_axis=False, has_axis=False
    ),
    "dot_compare p=1.5": Member(
        partial(dot_compare, "mixed", power=1.5),
        partial(oracles.dot_compare, power=1.5),
        field=(),
        drops_batch_axis=False,
        has_axis=False,
    ),
    "cosine": Member(partial(cosine, "mixed"), oracles.cosine, (vectors(),)),
    "gram": Member(partial(gram, "mixed"), oracles.gram),
    "gram_distance": Member(partial(gram_distance, "mixed"), oracles.gram_distance, (matrices(),)),
    "gram_distance p=2": Member(
        partial(gram_distance, "mixed", power=2), partial(oracles.gram_distance, power=2), (matrices(),)
    ),
    "alignment": Member(partial(alignment, "mixed"), oracles.alignment, couples_images=True, has_axis=False),
    "alignment r=3": Member(
        partial(alignment, "mixed", decay_ratio=3),
        partial(oracles.alignment, ratio=3),
        couples_images=True,
        has_axis=False,
    ),
    "diversity": Member(partial(diversity, "mixed"), oracles.diversity, couples_images=True),
    "product": Member(product, product_oracle, (INDEX, vectors())),
    "activation_statistics": Member(statistics, oracles.activation_statistics, (vectors(), vectors().square())),
    "activation_statistics relative": Member(
        partial(statistics, relative=True, weights=[3.0]),
        partial(oracles.activation_statistics, relative=True, weight=3.0),
        (vectors(), vectors().square()),
    ),
    "activation_statistics of a batch": Member(
        partial(statistics, vectors()[0], vectors()[1].square(), per="batch"),
        partial(oracles.batch_statistics, mean=vectors()[0].numpy(), variance=vectors()[1].square().numpy()),
        couples_images=True,
    ),
    "match_distribution": Member(
        partial(match_distribution, {"mixed": REFERENCES}),
        partial(oracles.match_distribution, references=REFERENCES.numpy()),
        layouts=("BCHW",),
        has_axis=False,
    ),
    "match_distribution relative": Member(
        partial(match_distribution, {"mixed": REFERENCES}, relative=True, weights=[3.0]),
        partial(oracles.match_distribution, references=REFERENCES.numpy(), relative=True, weight=3.0),
        layouts=("BCHW",),
        has_axis=False,
    ),
    "blur_input_each_step": Member(
        blur_input_each_step, oracles.blur_penalty, layer=IMAGE, layouts=PLANES, gradient=oracles.blur_gradient
    ),
    "penalize_boundary_complexity": Member(
        penalize_boundary_complexity, oracles.boundary, layer=IMAGE, layouts=("BCHW",), has_axis=False
    ),
    "penalize_boundary_complexity of 1 pixel": Member(
        partial(penalize_boundary_complexity, width=1, constant=0.2),
        partial(oracles.boundary, width=1, constant=0.2),
        layer=IMAGE,
        layouts=("BCHW",),
        has_axis=False,
    ),
    "input_diff": Member(input_diff, oracles.input_diff, field=(), layer=IMAGE, layouts=("BCHW",), has_axis=False),
    "total_variation": Member(total_variation, oracles.total_variation, layer=IMAGE, layouts=PLANES),
    "total_variation of a layer": Member(partial(total_variation, "mixed"), oracles.total_variation, layouts=PLANES),
    "on": Member(
        partial(on, "mixed", shifted_power),
        shifted_power_oracle,
        (torch.tensor([1, 2, 3]), vectors()),
        layouts=("BCHW",),
        has_axis=False,
        drops_batch_axis=False,
    ),
}
