"""Whether objective, parameterization, transforms and network fit together, tried on one image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from optvis.errors import NetworkError, warn_user
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.overrides.fold import Folding, record_folding
from optvis.objectives import Objective
from optvis.objectives.product import factors
from optvis.params import Streams
from optvis.rendering.setup import add_resize, input_transform
from optvis.transforms import Compose

#: What runs the network itself, such as the distance of `accentuate`, compares its activations with those of the step.
OWN_FUNCTION = "the objective has a function of its own, which may run the network itself"


def list_layers(parts: Sequence[Objective]) -> tuple[str, ...]:
    """List the layers that some objectives read, each once."""
    return tuple(dict.fromkeys(layer for part in parts for layer in part.layers))


def fit_together(
    classifier: Classifier,
    objective: Objective,
    penalties: Sequence[Objective],
    param: nn.Module,
    transform: nn.Module | None,
    seeds: Sequence[int],
) -> tuple[Compose, Objective, Folding]:
    """Return the chain from image to network, which resizes where the network fails otherwise.

    Args:
        penalties: what is read beside the objective.

    Returns:
        The chain, the checked objective, and what of the network can be folded.
    """
    chain = input_transform(classifier, param, transform, seeds)
    try:
        return chain, *_validate(classifier, objective, penalties, param, chain, seeds)
    except (NetworkError, ValueError, AssertionError):
        resized = add_resize(classifier, param, chain, seeds, objective.layers)
        if resized is chain:
            raise
    return resized, *_validate(classifier, objective, penalties, param, resized, seeds)


def _validate(
    classifier: Classifier,
    objective: Objective,
    penalties: Sequence[Objective],
    param: nn.Module,
    chain: Compose,
    seeds: Sequence[int],
) -> tuple[Objective, Folding]:
    """Check on one image that all layers exist and that indices fit: on CUDA a bad gather kills the context.

    Returns:
        The objective for the network's head, and what of the network can be folded.
    """
    with borrow(classifier.network), torch.no_grad():
        images = param()[:1]
        seen = chain(images, Streams(seeds[:1], "transform"))
        objective = objective.with_head(lambda: classifier.read_head(seen))
        inputs = classifier.preprocess(seen)
        with record_folding(classifier.network, list_layers([objective, *penalties])) as folding:
            activations = read_activations(classifier.network, inputs, objective.layers, images=images)
    lone = [term.name for term in objective.terms if term.couples_images and not term.pools_images]
    if lone and len(seeds) == 1:
        warn_user(f"{lone[0]} compares images, and has no effect on one; give several, as with seed=range(4)")
    for part in (factor for term in objective.terms for factor in factors(term)):
        if any(not target.is_floating_point() for target in part.targets):  # type: ignore[union-attr]
            shapes = {layer: (len(seeds), *activations[layer].shape[1:]) for layer in part.layers}
            zero = torch.zeros(1, dtype=torch.float32, device="cpu")
            part({layer: zero.expand(shape) for layer, shape in shapes.items()})
    if any(part.has_custom_terms for part in (objective, *penalties)):
        folding = Folding(reason=OWN_FUNCTION)
    return objective, folding
