"""Activation grids and semantic dictionaries: icons at each position of an image."""
