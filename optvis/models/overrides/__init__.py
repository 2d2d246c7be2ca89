"""Gradient overrides: ReLU, max pooling, linearised networks."""
