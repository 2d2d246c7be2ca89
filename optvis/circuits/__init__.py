"""Weights between layers, and Hinton diagrams of weights and activations."""

from optvis.arguments import check_package
from optvis.circuits.hinton import hinton_of_activations, hinton_of_expanded_weights, hinton_of_weights
from optvis.circuits.weights import expanded_weights, strongest_inputs, weights

__all__ = [
    "expanded_weights",
    "hinton_of_activations",
    "hinton_of_expanded_weights",
    "hinton_of_weights",
    "strongest_inputs",
    "weights",
]

check_package(__name__)
