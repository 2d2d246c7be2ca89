"""What must be agreed before the first step: labels, seeds, sizes, layers and indices."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import torch
from torch import nn

from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.objectives import IMAGE, Objective, as_objective
from optvis.objectives.product import factors
from optvis.params import ImageParam, Streams
from optvis.transforms import Compose, Resize


def asked(objective: Objective | str, classifier: Classifier) -> Objective:
    """The objective with labels turned into indices of this network's classes."""
    return as_objective(objective).resolve_labels(classifier.labels)


def seeds_for(seed: int | Sequence[int], objective: Objective, image: nn.Module | None) -> tuple[int, ...]:
    """One seed per image, (B,): B is what seeds, objective and image agree on.

    Raises:
        ValueError: they do not agree.
    """
    given = _integers(seed)
    images = len(image()) if image is not None and not isinstance(image, ImageParam) else len(image or given)
    counts = {"seeds": len(given), "the objective": objective.batch, "the image parameterization": images}
    batch = max(counts.values())
    wrong = {what: count for what, count in counts.items() if count not in (1, batch)}
    if image is not None and images != batch:
        wrong["the image parameterization"] = images
    if wrong:
        told = ", ".join(f"{what} {count}" for what, count in counts.items())
        raise ValueError(f"the numbers of images differ: {told}; give one for all, or as many everywhere")
    if len(given) == batch:
        return given
    apart = batch if objective.group_size is None else objective.group_size
    return tuple(given[0] + place % apart for place in range(batch))


def _integers(seed: Any) -> tuple[int, ...]:
    """One seed or several, of Python, NumPy or torch, as plain integers."""
    try:
        return (index(seed),)
    except TypeError:
        return tuple(index(one) for one in seed)


def labels_of(objective: Objective, images: int) -> tuple[str, ...]:
    """What each image is asked, where they can be asked one by one."""
    return () if objective.couples_images else tuple(repr(objective[i : i + 1]) for i in range(images))


def fitted(classifier: Classifier, image: nn.Module, transform: nn.Module | None, seeds: Sequence[int]) -> Compose:
    """The chain of transforms, ending at the network's size where it takes no other."""
    chain = Compose() if transform is None else Compose(transform)
    if not classifier.fixed_size:
        return chain
    with torch.no_grad():
        seen = chain(image()[:1], Streams(seeds[:1], "transform"))
    return chain if tuple(seen.shape[2:]) == classifier.size else Compose(chain, Resize(classifier.size))


def check(classifier: Classifier, objective: Objective, image: nn.Module, chain: Compose, seeds: Sequence[int]) -> None:
    """Ask once, of one image, whether layers exist and indices fit: on CUDA a bad gather kills the context."""
    with borrow(classifier.network), torch.no_grad():
        images = image()[:1]
        inputs = classifier.preprocess(chain(images, Streams(seeds[:1], "transform")))
        found = read_activations(classifier.network, inputs, objective.layers) | {IMAGE: images}
    for part in (factor for term in objective.terms for factor in factors(term)):
        if any(not target.is_floating_point() for target in part.targets):  # type: ignore[union-attr]
            shapes = {layer: (len(seeds), *found[layer].shape[1:]) for layer in part.layers}
            part({layer: torch.zeros(1).expand(shape) for layer, shape in shapes.items()})
