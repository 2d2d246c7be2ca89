"""Whether objective, parameterization, transforms and network fit together, tried on one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, eq=False)
class Fit:
    """What was found out about an ascent before its first step.

    Args:
        chain: from image to network.
        objective: for the network's head.
        folding: what of the network can be folded.
        shapes: of the activations of each layer, for one image.
    """

    chain: Compose
    objective: Objective
    folding: Folding
    shapes: Mapping[str, tuple[int, ...]]

    def check_targets(self, objective: Objective, images: int) -> None:
        """Check that indices fit, on tensors without memory: on CUDA a bad gather kills the context.

        Raises:
            IndexError, ValueError: they do not.
        """
        for part in (factor for term in objective.terms for factor in factors(term)):
            if any(not target.is_floating_point() for target in part.targets):  # type: ignore[union-attr]
                zero = torch.zeros(1, dtype=torch.float32, device="cpu")
                part({layer: zero.expand((images, *self.shapes[layer][1:])) for layer in part.layers})


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
) -> Fit:
    """Fit the parts of an ascent together, with a chain that resizes where the network fails otherwise.

    Args:
        penalties: what is read beside the objective.
    """
    chain = input_transform(classifier, param, transform, seeds)
    try:
        return _validate(classifier, objective, penalties, param, chain, seeds)
    except (NetworkError, ValueError, AssertionError):
        resized = add_resize(classifier, param, chain, seeds, objective.layers)
        if resized is chain:
            raise
    return _validate(classifier, objective, penalties, param, resized, seeds)


def _validate(
    classifier: Classifier,
    objective: Objective,
    penalties: Sequence[Objective],
    param: nn.Module,
    chain: Compose,
    seeds: Sequence[int],
) -> Fit:
    """Check on one image that all layers exist and that indices fit."""
    with borrow(classifier.network), torch.no_grad():
        images = param()[:1]
        seen = chain(images, Streams(seeds[:1], "transform"))
        objective = objective.with_head(lambda: classifier.read_head(seen))
        inputs = classifier.preprocess(seen)
        with record_folding(classifier.network, list_layers([objective, *penalties])) as folding:
            activations = read_activations(classifier.network, inputs, objective.layers, images=images)
    for part in (objective, *penalties):
        warn_of_lone_image(part, len(seeds))
    if any(part.has_custom_terms for part in (objective, *penalties)):
        folding = Folding(reason=OWN_FUNCTION)
    fit = Fit(chain, objective, folding, {layer: tuple(found.shape) for layer, found in activations.items()})
    fit.check_targets(objective, len(seeds))
    return fit


def warn_of_lone_image(objective: Objective, images: int) -> None:
    """Warn where an objective compares images, and there is one."""
    lone = [term.name for term in objective.terms if term.couples_images and not term.pools_images]
    if lone and images == 1:
        warn_user(f"{lone[0]} compares images, and has no effect on one; give several, as with seed=range(4)")
