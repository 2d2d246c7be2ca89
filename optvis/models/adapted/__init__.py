"""Networks that are called in another way than by their images alone, or return more than their scores.

from optvis.models.adapted.network import AdaptedNetwork

AdaptedNetwork(network, lambda network, images: network(images, text), output="scores")
"""
