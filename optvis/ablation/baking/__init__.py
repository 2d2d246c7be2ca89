"""Baking: an ablation written into a copy of the network's weights."""
