"""Which vectors serve a class."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from optvis.atlas.samples import Samples
from optvis.objectives.labels import index_of

CHOSEN = "chosen"  # the key of a recipe that says that these are not all
RANK = 2  # a vector serves the classes to which it adds most: so many of them


def serving(samples: Samples, label: int | str, rank: int = RANK) -> Tensor:
    """Which vectors serve a class: they add to its score, and to few others' as much, (N,) of bool.

    Args:
        samples: N of them, with attributions to K classes.
        label: index of the class or its label text.
        rank: among how many of the classes that a vector adds most to the class has to be.

    Raises:
        KeyError, IndexError: there is no such class.
        ValueError: rank under 1.

    Example:
        >>> import torch
        >>> one = Samples("mixed5", torch.ones(3, 2), torch.tensor([[3.0, 2, 1], [1, 2, 3], [-1, -2, -3]]),
        ...               torch.zeros(3, 2).long(), (1, 1), torch.arange(3), ("a", "b", "c"), ("x", "y", "z"), {})
        >>> serving(one, "x", rank=2)
        tensor([ True, False, False])
    """
    if rank < 1:
        raise ValueError(f"rank is {rank}; expected 1 or more")
    added = samples.attribution
    own = added[:, class_of(samples, label)]
    return (own > 0) & ((added > own.unsqueeze(1)).sum(1) < rank)


def class_of(samples: Samples, label: int | str) -> int:
    """The index of a class by its text or number.

    Raises:
        KeyError, IndexError: there is no such class.
        ValueError: the samples have no attributions.
    """
    count = samples.attribution.shape[1]
    if not count:
        raise ValueError("these samples have no classes: the network's output is not a score a class, (B, K)")
    index = index_of(label, samples.labels) if isinstance(label, str) else int(label)
    if not 0 <= index < count:
        raise IndexError(f"class {label} of {count}; expected 0..{count - 1}")
    return index


def chosen_of(samples: Samples, rows: Tensor, what: str) -> Samples:
    """Some of the samples.

    Raises:
        ValueError: none.
    """
    if not bool(rows.any()):
        raise ValueError(f"none of {len(samples)} vectors {what}; give more photographs, or a larger rank")
    return replace(samples[rows], recipe={**samples.recipe, CHOSEN: what})


__all__ = ["serving"]
