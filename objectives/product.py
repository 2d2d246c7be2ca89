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
        targets: how many targets each of them has.
    """

    parts: tuple[Term, ...]
    targets: tuple[int, ...]

    def __call__(self, *given: Any) -> Tensor:
        layers = sum(len(part.layers) for part in self.parts)
        read, rows = iter(given[:layers]), iter(given[layers:])
        scores = [
            part.raw_scores(list(islice(read, len(part.layers))), list(islice(rows, count)))
            for part, count in zip(self.parts, self.targets, strict=True)
        ]
        return reduce(mul, scores)


def product(one: Term, other: Term) -> Term:
    """The term that multiplies the scores of two, image by image; products do not nest.

    Raises:
        ValueError: they are for different numbers of images.
    """
    name = f"{one.name} × {other.name}"
    common_batch_size([one.batch, other.batch], name)
    mine, its = _function(one), _function(other)
    return Term(
        name,
        one.layers + other.layers,
        Product(mine.parts + its.parts, mine.targets + its.targets),
        one.targets + other.targets,
        weight=one.weight * other.weight,
        schedules=one.schedules + other.schedules,
        couples_images=one.couples_images or other.couples_images,
        group_size=common_group_size(part.group_size for part in (one, other) if part.couples_images),
        factory="*",
    )


def factors(term: Term) -> tuple[Term, ...]:
    """What a term multiplies, itself if it is no product: unweighted, each with its own targets."""
    found = _function(term)
    rows = iter(term.targets)
    return tuple(
        replace(part, targets=tuple(islice(rows, count)))
        for part, count in zip(found.parts, found.targets, strict=True)
    )


def _function(term: Term) -> Product:
    """A term as a product, of one factor if it is none."""
    if isinstance(term.fn, Product):
        return term.fn
    return Product((replace(term, targets=(), weight=ONE, schedules=()),), (len(term.targets),))
