"""The network as a function of its images, for attribution to pixels."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.tail import IMAGES_PER_PASS
from optvis.objectives import IMAGE


class ImageTail:
    """All that a network computes from its images in [0, 1]: what `Tail` is behind a layer, for the layer "<image>".

    Args:
        classifier: whose normalisation is part of the function.
        images: (B, C, H, W) in [0, 1].
    """

    layer = IMAGE

    def __init__(self, classifier: Classifier, images: Tensor) -> None:
        self.classifier, self.network, self.activations = classifier, classifier.network, images
        self.inputs = classifier.preprocess(images)

    @property
    def variations_per_pass(self) -> int:
        """How many variations of the images should run together, 1 or more."""
        return max(1, IMAGES_PER_PASS // len(self.activations))

    def run(self, activations: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Compute layers of the network for other images, (K · B, C, H, W)."""
        with borrow(self.network, gradients=None):
            return read_activations(self.network, self.classifier.preprocess(activations), layers, images=activations)
