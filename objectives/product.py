"""Products of terms: one term that holds the layers and targets of all its factors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from operator import mul
from typing import Any

from torch import Tensor

from optvis.objectives.term import ONE, Term, common_batch_size, common_group_size


@dataclass(frozen=True)
class Product:
    """The function of a product term: (*activations, *targets) of all factors, in order -> (B,).

    Args:
        parts: the factors, without weights and targets.
        targets: the number of targets of each factor.
    """

    parts: tuple[Term, ...]
    targets: tuple[int, ...]

    def __call__(self, *inputs: Any) -> Tensor:
        layers = sum(len(part.layers) for part in self.parts)
        activations, targets = iter(inputs[:layers]), iter(inputs[layers:])
        scores = [
            part.raw_scores(list(islice(activations, len(part.layers))), list(islice(targets, count)))
            for part, count in zip(self.parts, self.targets, strict=True)
        ]
        return reduce(mul, scores)

    def with_head(self, head: Any) -> Product:
        """The same for outputs that a head reads."""
        return replace(self, parts=tuple(part.with_head(head) for part in self.parts))


def product(one: Term, other: Term) -> Term:
    """Build the term whose score is the product of two terms' scores, image by image. Products do not nest.

    Raises:
        ValueError: the terms are for different numbers of images.
    """
    name = f"{one.name} × {other.name}"
    common_batch_size([one.batch, other.batch], name)
    left, right = _as_product(one), _as_product(other)
    return Term(
        name,
        one.layers + other.layers,
        Product(left.parts + right.parts, left.targets + right.targets),
        one.targets + other.targets,
        weight=one.weight * other.weight,
        schedules=one.schedules + other.schedules,
        couples_images=one.couples_images or other.couples_images,
        pools_images=all(part.pools_images for part in (one, other) if part.couples_images),
        group_size=common_group_size(part.group_size for part in (one, other) if part.couples_images),
        factory="*",
    )


def factors(term: Term) -> tuple[Term, ...]:
    """List the factors of a product, without weights and each with its own targets. Other terms have one factor."""
    function = _as_product(term)
    rows = iter(term.targets)
    return tuple(
        replace(part, targets=tuple(islice(rows, count)))
        for part, count in zip(function.parts, function.targets, strict=True)
    )


def _as_product(term: Term) -> Product:
    if isinstance(term.fn, Product):
        return term.fn
    return Product((replace(term, targets=(), weight=ONE, schedules=()),), (len(term.targets),))
