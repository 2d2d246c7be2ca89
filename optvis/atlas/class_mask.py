"""The vectors that contribute to a class."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from optvis.arguments import check_minimum
from optvis.atlas.samples import Samples
from optvis.objectives.labels import class_index

RANK = 2
SELECTION = "selection"  # the key of a recipe that says which samples were selected


def class_mask(samples: Samples, label: int | str, rank: int = RANK) -> Tensor:
    """Which vectors contribute to a class: they add to its score, and to few other scores as much, (N,) of bool.

    Args:
        samples: N of them, with attributions to K classes.
        label: label or index of the class.
        rank: the class has to be among so many classes to which the vector adds most.

    Raises:
        KeyError, IndexError: there is no such class.
        ValueError: rank below 1.

    Example:
        >>> import torch
        >>> samples = Samples("mixed5", torch.ones(3, 2), torch.tensor([[3.0, 2, 1], [1, 2, 3], [-1, -2, -3]]),
        ...                   torch.zeros(3, 2).long(), (1, 1), torch.arange(3), ("a", "b", "c"), ("x", "y", "z"), {})
        >>> class_mask(samples, "x", rank=2)
        tensor([ True, False, False])
    """
    check_minimum(1, rank=rank)
    attribution = samples.attribution
    own = attribution[:, sampled_class(samples, label)]
    return (own > 0) & ((attribution > own.unsqueeze(1)).sum(1) < rank)


def sampled_class(samples: Samples, label: int | str) -> int:
    """The index of a class to which samples are attributed, by its label or index.

    Raises:
        KeyError, IndexError, ValueError: as in `class_index`; the samples have no attributions.
    """
    count = samples.attribution.shape[1]
    if not count:
        raise ValueError("these samples have no classes: the network's output is not a score for each class, (B, K)")
    return class_index(label, samples.labels, count)


def select_samples(samples: Samples, mask: Tensor, what: str) -> Samples:
    """Select some of the samples.

    Args:
        samples: N of them.
        mask: which, (N,) of bool.
        what: what they do, for the recipe and the error message, e.g. "contribute to 'wok'".

    Raises:
        ValueError: none is selected.
    """
    if not bool(mask.any()):
        raise ValueError(f"none of {len(samples)} vectors {what}; give more images, or a larger rank")
    return replace(samples[mask], recipe={**samples.recipe, SELECTION: what})
