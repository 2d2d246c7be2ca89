"""What evaluations run a network on: units as one a layer, the class of each image, logits without units."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from optvis.ablation.blinded import check_units, replace_units
from optvis.ablation.evaluation.variants import Variant
from optvis.ablation.fills import Replacement
from optvis.ablation.image_sets import NamedSet
from optvis.ablation.unit_activations import split_batch
from optvis.features.units import Units
from optvis.models.classifier import Classifier, check_logits
from optvis.models.run import run_network


def as_variant(classifier: Classifier, units: Units | Sequence[Units]) -> Variant:
    """Units as a tuple, at least one, and one a layer; errors as in `evaluate`."""
    variant = (units,) if not isinstance(units, Sequence) else tuple(units)
    check_units(classifier.network, variant)
    if not any(len(one) for one in variant):
        raise ValueError("no units: there is nothing to switch off")
    layers = [one.layer for one in variant]
    twice = next((layer for layer in layers if layers.count(layer) > 1), None)
    if twice is not None:
        raise ValueError(f"{layers.count(twice)} units for layer {twice!r}; join them into one Channels or Directions")
    return variant


def resolve_truth(sets: Sequence[NamedSet], logits: Tensor) -> Tensor:
    """The class of each image, (B,): as labelled, or as the network predicts."""
    predicted = torch.split(logits.argmax(1), [len(one) for one in sets])
    return torch.cat([own if one.classes is None else one.classes for one, own in zip(sets, predicted, strict=True)])


def logits_without(
    classifier: Classifier, images: Tensor, units: Variant, replacements: Sequence[Replacement]
) -> Tensor:
    """The logits of images, (B, classes), without some units. The network has to be borrowed."""
    with replace_units(classifier.network, units, replacements):
        batches = (classifier.preprocess(images[rows]) for rows in split_batch(images))
        outputs = torch.cat([check_logits(run_network(classifier.network, inputs)).detach() for inputs in batches])
        if len(outputs) != len(images):
            raise ValueError(
                f"the network gives {len(outputs)} rows of scores for {len(images)} images; expected one each"
            )
        return classifier.read_head(images).logits(outputs)
