"""The embedded classifier: its architecture, weights, labels and model card."""

from optvis.models.embedded.labels import LABELS
from optvis.models.embedded.network import demo_classifier, demo_network

__all__ = ["LABELS", "demo_classifier", "demo_network"]
