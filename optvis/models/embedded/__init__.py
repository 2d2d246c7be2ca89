"""The embedded classifiers, a convolutional network and a transformer: architectures, weights, labels, model cards."""

from optvis.models.embedded.labels import LABELS
from optvis.models.embedded.network import demo_classifier, demo_network
from optvis.models.embedded.vit import DemoViT, demo_vit

__all__ = ["LABELS", "DemoViT", "demo_classifier", "demo_network", "demo_vit"]
