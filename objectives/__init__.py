"""What is asked of a network: a score per image, to be maximised.

>>> from optvis.objectives import channel, total_variation
>>> channel("mixed3", [17, 40]) - 0.001 * total_variation()
channel('mixed3', [17, 40]) - 0.001 * total_variation()
"""

from optvis.objectives.channels import channel, logit, neuron
from optvis.objectives.directions import cosine, direction, direction_neuron
from optvis.objectives.grams import gram, gram_distance, gram_matrix
from optvis.objectives.labels import Labels
from optvis.objectives.layout import IMAGE, OUTPUT, pick, positions
from optvis.objectives.norms import l1, l2, layer_norm, mean_square
from optvis.objectives.objective import Objective, constant, on
from optvis.objectives.penalties import total_variation
from optvis.objectives.term import Term

__all__ = [
    "IMAGE",
    "OUTPUT",
    "Labels",
    "Objective",
    "Term",
    "channel",
    "constant",
    "cosine",
    "direction",
    "direction_neuron",
    "gram",
    "gram_distance",
    "gram_matrix",
    "l1",
    "l2",
    "layer_norm",
    "logit",
    "mean_square",
    "neuron",
    "on",
    "pick",
    "positions",
    "total_variation",
]
