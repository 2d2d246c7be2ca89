"""Weights between layers, and Hinton diagrams of them."""
