"""Baking: an ablation written into a copy of the network's weights."""

from optvis.ablation.baking.bake import bake, save_baked

__all__ = ["bake", "save_baked"]
