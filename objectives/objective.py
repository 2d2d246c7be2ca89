"""Objectives: sums of weighted terms, each of which gives one score per image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from optvis.arguments import describe_value
from optvis.objectives.layout import IMAGE, name_tokens
from optvis.objectives.product import factors, product
from optvis.objectives.prompts import Embed
from optvis.objectives.repr import default_name, format_sum
from optvis.objectives.statistics_term import Reader, fill, reads_network
from optvis.objectives.target_tensors import as_rows
from optvis.objectives.term import Schedule, Target, Term, common_batch_size, common_group_size, own_options

Weight = float | Sequence[float] | Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Objective:
    """A score per image to maximise: a flat sum of terms. It is plain data: it can be printed, pickled and sliced.

    Objectives can be added to and subtracted from objectives and numbers. They can be multiplied by a number, by a
    weight per image, (B,), by a schedule, step -> number, and by objectives, which multiplies the scores image by
    image. A product of sums becomes a sum of products.

    Args:
        terms: the summands.

    Raises:
        ValueError: terms are for different numbers of images.

    Example:
        >>> from optvis.objectives import channel
        >>> both = channel("mixed3", 17) + 0.5 * channel("mixed4", [3, 5])
        >>> both.batch, both.layers
        (2, ('mixed3', 'mixed4'))
        >>> both[1:]
        channel('mixed3', 17) + 0.5 * channel('mixed4', 5)
        >>> channel("mixed3", 17) * (channel("mixed4", 3) + 1)
        channel('mixed3', 17) * channel('mixed4', 3) + channel('mixed3', 17) * constant('mixed4')
    """

    terms: tuple[Term, ...]
    batch: int = field(init=False)

    __array_ufunc__ = None  # array * objective calls Objective.__rmul__

    def __post_init__(self) -> None:
        object.__setattr__(self, "batch", common_batch_size([term.batch for term in self.terms], "the sum"))

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers that the terms need, each once, in order of appearance."""
        return tuple(dict.fromkeys(layer for term in self.terms for layer in term.layers))

    @property
    def couples_images(self) -> bool:
        """Whether a term compares images with each other, so that a batch can only be split between groups."""
        return any(term.couples_images for term in self.terms)

    @property
    def group_size(self) -> int | None:
        """Number of successive images that must stay in one batch: 1 if none are compared, None for all."""
        return common_group_size(term.group_size for term in self.terms if term.couples_images)

    @property
    def has_custom_terms(self) -> bool:
        """Whether a term calls a user's own function, which may hold tensors for the whole batch."""
        return any(factor.factory == "on" for term in self.terms for factor in factors(term))

    @property
    def is_positional(self) -> bool:
        """Whether a term reads one position of a layer, or compares all with targets: then moving the image matters.

        Example:
            >>> from optvis.objectives import channel, neuron
            >>> channel("mixed3", 17).is_positional, neuron("mixed3", 17).is_positional
            (False, True)
        """
        return any(factor.is_positional for term in self.terms for factor in factors(term))

    def __call__(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Compute the score of each image, (B,), from activations by layer name, with schedules at step 0."""
        if not self.terms:
            raise ValueError("an objective without terms has no score")
        return total_score(self.term_scores(activations))

    def term_scores(self, activations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the weighted score of each term, (B,), by the name of the term."""
        return {name: term(activations) for name, term in zip(self.names, self.terms, strict=True)}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the terms; the second "channel mixed3" is "channel mixed3 #2"."""
        counts: Counter[str] = Counter()
        names = []
        for term in self.terms:
            counts[term.name] += 1
            names.append(term.name if counts[term.name] == 1 else f"{term.name} #{counts[term.name]}")
        return tuple(names)

    def at_step(self, step: int) -> Objective:
        """Apply the schedules: the same objective with its weights at a step, counted from 0.

        Example:
            >>> from optvis.objectives import channel
            >>> (channel("mixed3", 17) * (lambda step: 1 / (1 + step))).at_step(3)
            0.25 * channel('mixed3', 17)
        """
        return Objective(tuple(term.at_step(step) for term in self.terms)) if self.has_schedule else self

    @property
    def has_schedule(self) -> bool:
        """Whether a weight changes with the step."""
        return any(term.schedules for term in self.terms)

    def __getitem__(self, images: slice) -> Objective:
        """Take the objective for some of the images."""
        if not isinstance(images, slice):
            raise TypeError(f"an objective takes slices, got [{images!r}]; for image i write [i:i + 1]")
        return Objective(tuple(term[images] for term in self.terms))

    def repeat(self, times: int) -> Objective:
        """Repeat the objective for copies of its batch, one after the other.

        Example:
            >>> from optvis.objectives import channel
            >>> channel("mixed3", [1, 2]).repeat(2)
            channel('mixed3', [1, 2, 1, 2])
        """
        return Objective(tuple(term.repeat(times) for term in self.terms))

    def repeat_each(self, times: int) -> Objective:
        """Repeat each image of the objective, so that the copies of one follow each other.

        Example:
            >>> from optvis.objectives import channel
            >>> channel("mixed3", [1, 2]).repeat_each(2)
            channel('mixed3', [1, 1, 2, 2])
        """
        return Objective(tuple(term.repeat_each(times) for term in self.terms))

    @property
    def tensors(self) -> list[Tensor]:
        """The targets of all terms that are tensors, and their weights."""
        values = (value for term in self.terms for value in (*term.targets, term.weight))
        return [value for value in values if isinstance(value, Tensor)]

    def to(self, device: torch.device, dtype: torch.dtype, copy: bool = False) -> Objective:
        """Move the objective's tensors to a device, and floating-point ones to a dtype; copy them all where asked."""
        return Objective(tuple(term.to(device, dtype, copy) for term in self.terms))

    def resolve(self, labels: Sequence[str] | None, embed: Embed | None = None) -> Objective:
        """Replace label texts by their indices in a network's labels, and prompts by their embeddings.

        Args:
            labels: of the network.
            embed: its encoder of texts, texts -> (N, C); None where it has none.

        Raises:
            ValueError: a label, and the network has no labels; a prompt, and it takes no texts.
            KeyError: a label that does not exist, or that matches two classes.
        """
        return Objective(tuple(term.resolve(labels, embed) for term in self.terms))

    @property
    def reads_network(self) -> bool:
        """Whether a term takes the running statistics of a network that is not given yet."""
        return any(reads_network(term) for term in self.terms)

    def resolve_statistics(self, read: Reader) -> Objective:
        """Replace what stands for a network's running statistics.

        Args:
            read: reads those of some layers, or of all where it is given None; it is called only if there are any.
        """
        return Objective(tuple(fill(term, read) for term in self.terms)) if self.reads_network else self

    def with_head(self, read_head: Callable[[], Any]) -> Objective:
        """The same objective for the outputs of a network's head, which is read only where a class is named."""
        if not any(factor.reads_classes for term in self.terms for factor in factors(term)):
            return self
        head = read_head()
        return Objective(tuple(term.with_head(head) for term in self.terms))

    def __add__(self, other: Objective | Weight) -> Objective:
        if isinstance(other, Objective):
            return Objective(self.terms + other.terms)
        is_zero = isinstance(other, int | float) and other == 0  # as where `sum` begins
        return self if is_zero else self + other * constant(self.layers[0] if self.layers else IMAGE)

    __radd__ = __add__

    def __sub__(self, other: Objective | Weight) -> Objective:
        return self + -other if isinstance(other, Objective) else self + -_as_weight(other)

    def __rsub__(self, other: Weight) -> Objective:
        return -self + other

    def __mul__(self, other: Objective | Schedule | Weight) -> Objective:
        if isinstance(other, Objective):
            return Objective(tuple(product(left, right) for left in self.terms for right in other.terms))
        if callable(other):
            return Objective(tuple(replace(term, schedules=(*term.schedules, other)) for term in self.terms))
        factor = _as_weight(other)
        return Objective(tuple(replace(term, weight=term.weight * factor) for term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: Weight) -> Objective:
        return self * (1 / _as_weight(divisor))

    def __neg__(self) -> Objective:
        return self * -1.0

    def __repr__(self) -> str:
        return format_sum(self.terms)


def total_score(term_scores: Mapping[str, Tensor]) -> Tensor:
    """Add the scores of all terms, (B,)."""
    return reduce(add, term_scores.values())


def on(
    layers: str | Sequence[str],
    fn: Callable[..., Tensor],
    *targets: Any,
    name: str | None = None,
    couples_images: bool = False,
) -> Objective:
    """Build a custom objective from a function of the activations of one or several layers.

    Args:
        layers: name of a layer, or names in the order of `fn`'s arguments.
        fn: `(*activations, *targets) -> (B,)`, with activations in the layer's own layout, (B, ...).
        targets: arguments of `fn` after the activations: tensors (B, ...), a row per image, or (1, ...) for all.
        name: the name in logs; by default those of the function and the layer.
        couples_images: whether `fn` compares images with each other, so that a batch cannot be split.

    Raises:
        TypeError: `fn` is not callable, or a target does not hold numbers.
        ValueError: no layers; targets for different numbers of images.

    Example:
        >>> def kurtosis(a):
        ...     return a.flatten(1).pow(4).mean(1)
        >>> on("mixed3", kurtosis)({"mixed3": torch.full((2, 3, 4, 4), 2.0)})
        tensor([16., 16.])
    """
    if not callable(fn):
        raise TypeError(f"on() got {type(fn).__name__}; expected a function of the activations: (B, ...) -> (B,)")
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    if not names:
        raise ValueError("on() got no layers; expected the name of one or of several, e.g. 'mixed3' or '<image>'")
    rows = tuple(as_rows(target) for target in targets)
    label = default_name(fn, names) if name is None else name
    return Objective((Term(label, names, fn, rows, couples_images=couples_images),))


def ones(a: Tensor) -> Tensor:
    """Score each image with 1.  a (B, ...) -> (B,)"""
    return a.new_ones(len(a))


def constant(layer: str) -> Objective:
    """Score each image with 1. A number that is added to an objective becomes a multiple of this.

    Example:
        >>> constant("mixed3")({"mixed3": torch.zeros(2, 4)})
        tensor([1., 1.])
    """
    return make_objective("constant", layer, ones)


def make_objective(
    factory: str,
    layer: str,
    fn: Callable[..., Tensor],
    *targets: Target,
    tokens: str | None = None,
    couples_images: bool = False,
    group_size: int | None = None,
    **options: Any,
) -> Objective:
    """Build one of the library's objectives, with one term. Options that are None or `fn`'s default are left out."""
    layer = name_tokens(layer, tokens)
    options |= {} if group_size is None else {"group_size": group_size}
    term = Term(
        name=f"{factory} {layer}" if layer else factory,
        layers=(layer,),
        fn=fn,
        targets=targets,
        options=own_options(fn, **options),
        couples_images=couples_images,
        group_size=group_size,
        factory=factory,
    )
    return Objective((term,))


def _as_weight(weight: Weight) -> Tensor:
    given: object = weight
    try:
        rows = torch.as_tensor(weight, dtype=torch.float64, device="cpu").detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        cure = "; as_objective makes an objective of a text 'layer:channel'" if isinstance(given, str) else ""
        expected = f"expected a number, or one per image, (B,){cure}"
        raise TypeError(f"weight is {describe_value(weight)}; {expected}") from error
    if rows.dim() > 1 or rows.numel() == 0:
        raise ValueError(f"weight is {tuple(rows.shape)}; expected a number, or one per image, (B,)")
    return rows.reshape(-1)
