"""Objectives: sums of weighted terms, each a question that gives one score per image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from optvis.objectives.product import factors, product
from optvis.objectives.repr import default_name, format_sum
from optvis.objectives.target_tensors import as_rows
from optvis.objectives.term import Schedule, Target, Term, common_batch_size, common_group_size

Weight = float | Sequence[float] | Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Objective:
    """A score per image, to be maximised: a flat sum of terms. Data: it prints, pickles and slices.

    Objectives add and subtract, also numbers. They are multiplied by a number, by a weight per image, (B,), by a
    function of the step, step -> number, and by each other: the product of their scores, image by image. A product of
    sums is written out as a sum of products.

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

    __array_ufunc__ = None  # numpy arrays leave the multiplication to us

    def __post_init__(self) -> None:
        object.__setattr__(self, "batch", common_batch_size([term.batch for term in self.terms], "the sum"))

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers to read, each once, in order of appearance."""
        return tuple(dict.fromkeys(layer for term in self.terms for layer in term.layers))

    @property
    def couples_images(self) -> bool:
        """Whether images see each other."""
        return any(term.couples_images for term in self.terms)

    @property
    def group_size(self) -> int | None:
        """How many successive images see each other: 1 is none of them, None is all."""
        groups = [term.group_size for term in self.terms if term.couples_images]
        return common_group_size(groups)

    @property
    def has_custom_terms(self) -> bool:
        """Whether a user's own function is asked, which may hold tensors for the whole batch."""
        return any(factor.factory == "on" for term in self.terms for factor in factors(term))

    def __call__(self, activations: Mapping[str, Tensor]) -> Tensor:
        """The score of each image, (B,), from activations by layer name; of what is scheduled, at step 0."""
        if not self.terms:
            raise ValueError("an objective without terms asks nothing")
        return total_score(self.term_scores(activations))

    def term_scores(self, activations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weighted score of each term, (B,), by the term's name; repeated names are numbered."""
        scores: dict[str, Tensor] = {}
        for name, term in zip(self.names, self.terms, strict=True):
            scores[name] = term(activations)
        return scores

    @property
    def names(self) -> tuple[str, ...]:
        """The terms' names; the second "channel mixed3" is "channel mixed3 #2"."""
        seen: dict[str, int] = {}
        names = []
        for term in self.terms:
            seen[term.name] = seen.get(term.name, 0) + 1
            names.append(term.name if seen[term.name] == 1 else f"{term.name} #{seen[term.name]}")
        return tuple(names)

    def at_step(self, step: int) -> Objective:
        """The same objective with the weights that it has at a step, i.e. after so many updates.

        Example:
            >>> from optvis.objectives import channel
            >>> (channel("mixed3", 17) * (lambda step: 1 / (1 + step))).at_step(3)
            0.25 * channel('mixed3', 17)
        """
        return Objective(tuple(term.at_step(step) for term in self.terms)) if self.has_schedule else self

    @property
    def has_schedule(self) -> bool:
        """Whether a weight depends on the step."""
        return any(term.schedules for term in self.terms)

    def __getitem__(self, images: slice) -> Objective:
        """The same question for some of the images."""
        if not isinstance(images, slice):
            raise TypeError(f"an objective is sliced, got [{images!r}]; for image i write [i:i + 1]")
        return Objective(tuple(term[images] for term in self.terms))

    def repeat(self, times: int) -> Objective:
        """The same question about so many copies of its images, one after the other.

        Example:
            >>> from optvis.objectives import channel
            >>> channel("mixed3", [1, 2]).repeat(2)
            channel('mixed3', [1, 2, 1, 2])
        """
        return Objective(tuple(term.repeat(times) for term in self.terms))

    def to(self, device: torch.device, dtype: torch.dtype) -> Objective:
        """The same objective with its tensors on a device, and its real ones of a dtype."""
        return Objective(tuple(term.to(device, dtype) for term in self.terms))

    def resolve_labels(self, labels: Sequence[str] | None) -> Objective:
        """The same objective with label texts replaced by indices into a network's labels."""
        return Objective(tuple(term.resolve_labels(labels) for term in self.terms))

    def __add__(self, other: Objective | Weight) -> Objective:
        if isinstance(other, Objective):
            return Objective(self.terms + other.terms)
        return self if _is_zero(other) else self + other * constant(self.layers[0])

    __radd__ = __add__

    def __sub__(self, other: Objective | Weight) -> Objective:
        return self + -other if isinstance(other, Objective) else self + -_as_weight(other)

    def __rsub__(self, other: Weight) -> Objective:
        return -self + other

    def __mul__(self, other: Objective | Schedule | Weight) -> Objective:
        if isinstance(other, Objective):
            return Objective(tuple(product(mine, its) for mine in self.terms for its in other.terms))
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


def total_score(report: Mapping[str, Tensor]) -> Tensor:
    """The scores of all terms added, (B,)."""
    first, *others = report.values()
    for scores in others:
        first = first + scores
    return first


def on(
    layers: str | Sequence[str],
    fn: Callable[..., Tensor],
    *targets: Any,
    name: str | None = None,
    couples_images: bool = False,
) -> Objective:
    """A custom objective: a plain function of the activations of one layer or of several.

    Args:
        layers: name of a layer, or names in the order in which `fn` takes their activations.
        fn: `(*activations, *targets) -> (B,)`, activations as the network gives them, (B, ...).
        targets: passed on after the activations: tensors (B, ...), a row per image, or (1, ...) shared.
        name: what logs call it; by default the function's name and the layer's.
        couples_images: `fn` compares images with each other, so a batch is never split.

    Raises:
        TypeError: `fn` cannot be called, or a target is not made of numbers.
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
    """1 for each image.  a (B, ...) -> (B,)"""
    return a.new_ones(len(a))


def constant(layer: str) -> Objective:
    """1 for each image, whatever the layer gives: what a number added to an objective becomes.

    Example:
        >>> constant("mixed3")({"mixed3": torch.zeros(2, 4)})
        tensor([1., 1.])
    """
    return make_objective("constant", (layer,), ones)


def make_objective(
    factory: str,
    layers: Sequence[str],
    fn: Callable[..., Tensor],
    *targets: Target,
    couples_images: bool = False,
    group_size: int | None = None,
    **options: Any,
) -> Objective:
    """One of the library's own terms; options that are None are left to the function's default."""
    options |= {"group_size": group_size}
    term = Term(
        name=" ".join((factory, *(layer for layer in layers if layer))),
        layers=tuple(layers),
        fn=fn,
        targets=targets,
        options=tuple((key, value) for key, value in options.items() if value is not None),
        couples_images=couples_images,
        group_size=group_size,
        factory=factory,
    )
    return Objective((term,))


def _as_weight(weight: Weight) -> Tensor:
    try:
        rows = torch.as_tensor(weight, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"weight is {weight!r}; expected a number, or one per image, (B,)") from error
    if rows.dim() > 1 or rows.numel() == 0:
        raise ValueError(f"weight is {tuple(rows.shape)}; expected a number, or one per image, (B,)")
    return rows.reshape(-1)


def _is_zero(other: object) -> bool:
    return isinstance(other, int | float) and other == 0
