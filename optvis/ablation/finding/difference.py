"""The direction of a thing: what a layer gives more where the thing is in the picture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from optvis.ablation.finding.case import named_pictures
from optvis.ablation.finding.stages import ordered
from optvis.features.units import Directions
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives.layout import positions


def difference(
    net: nn.Module | Classifier,
    having: Any,
    lacking: Any,
    layer: str,
    *,
    dimensions: int = 1,
    normalize: Normalizer | str = INFER,
) -> Directions:
    """The directions along which pairs of images differ most at all positions: eigenvectors of their second moment.

    Args:
        net: a network, or a Classifier.
        having: images with the thing, (B, 3, H, W) in [0, 1], or photographs in any form.
        lacking: the same images without it, in the same order.
        layer: name as in `layers(net)`.
        dimensions: how many directions, K.
        normalize: see `render`; by default what the model carries.

    Returns:
        K orthonormal directions; each points to where the thing is.

    Raises:
        ValueError: another number of images; images that do not differ there in so many dimensions; a layer whose
            channels are the classes.
        KeyError: a layer that does not exist.

    Example:
        >>> net = Classifier(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(12, 2)), None, 2)
        >>> net.network[0].weight.data, net.network[0].bias.data = torch.eye(3).view(3, 3, 1, 1), torch.zeros(3)
        >>> red = torch.zeros(1, 3, 2, 2).index_fill(1, torch.tensor([0]), 1.0)
        >>> difference(net, red, torch.zeros(1, 3, 2, 2), "0").vectors.round()
        tensor([[1., 0., 0.]])
    """
    classifier = as_classifier(net, normalize)
    ordered(classifier, [layer])
    pairs = named_pictures(having, classifier)[0], named_pictures(lacking, classifier)[0]
    if len(pairs[0]) != len(pairs[1]):
        raise ValueError(f"{len(pairs[0])} images with the thing, {len(pairs[1])} without; expected pairs")
    with borrow(classifier.network), torch.no_grad():
        seen = [
            positions(read_activations(classifier.network, classifier.preprocess(x), [layer])[layer]) for x in pairs
        ]
    return Directions(layer, _leading((seen[0] - seen[1]).double(), dimensions))


def _leading(differences: Tensor, dimensions: int) -> Tensor:
    """(B, C, P) -> (K, C)"""
    rows = differences.movedim(1, 2).flatten(0, 1)
    moments, directions = torch.linalg.eigh(rows.T @ rows / len(rows))
    rank = int((moments > 1e-12 * moments[-1].clamp(min=1e-300)).sum())
    if not 1 <= dimensions <= rank:
        raise ValueError(f"{dimensions} dimensions of differences that span {rank}")
    leading = directions.flip(1)[:, :dimensions].T
    signs = (leading @ rows.mean(0)).sign()
    pointed: Tensor = leading * torch.where(signs == 0, 1.0, signs).unsqueeze(1)
    return pointed.float()


__all__ = ["difference"]
