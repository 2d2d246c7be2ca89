"""The embedded classifier: its architecture, weights, labels and model card."""
