"""The embedded classifier, its weights, labels and card."""
