"""Objectives: what an image is optimised for. Each gives a score per image, to maximise.

>>> from optvis.objectives import channel, total_variation
>>> channel("mixed3", [17, 40]) - 0.001 * total_variation()
channel('mixed3', [17, 40]) - 0.001 * total_variation()
"""

from optvis.arguments import check_package
from optvis.objectives.caricatures import caricature, dot_compare
from optvis.objectives.channels import channel, channel_weights, neuron
from optvis.objectives.directions import cosine, direction, direction_neuron, tensor_direction
from optvis.objectives.distributions import match_distribution
from optvis.objectives.features import feature
from optvis.objectives.grams import gram, gram_distance, gram_matrix
from optvis.objectives.labels import Labels
from optvis.objectives.layout import IMAGE, INPUT, OUTPUT, pick, positions
from optvis.objectives.logits import log_odds, logit
from optvis.objectives.norms import l1, l2, layer_norm, mean_square, position_norm
from optvis.objectives.objective import Objective, constant, on
from optvis.objectives.pairs import channel_interpolate, interpolate, positive_negative
from optvis.objectives.penalties import (
    blur_alpha_each_step,
    blur_input_each_step,
    input_diff,
    penalize_boundary_complexity,
    total_variation,
)
from optvis.objectives.schedules import After, Decay
from optvis.objectives.shorthand import as_objective
from optvis.objectives.similarity import alignment, diversity
from optvis.objectives.statistics import activation_statistics, batchnorm_statistics
from optvis.objectives.term import Term
from optvis.objectives.texts import text
from optvis.objectives.whitening import whitening

__all__ = [
    "IMAGE",
    "INPUT",
    "OUTPUT",
    "After",
    "Decay",
    "Labels",
    "Objective",
    "Term",
    "activation_statistics",
    "alignment",
    "as_objective",
    "batchnorm_statistics",
    "blur_alpha_each_step",
    "blur_input_each_step",
    "caricature",
    "channel",
    "channel_interpolate",
    "channel_weights",
    "constant",
    "cosine",
    "direction",
    "direction_neuron",
    "diversity",
    "dot_compare",
    "feature",
    "gram",
    "gram_distance",
    "gram_matrix",
    "input_diff",
    "interpolate",
    "l1",
    "l2",
    "layer_norm",
    "log_odds",
    "logit",
    "match_distribution",
    "mean_square",
    "neuron",
    "on",
    "penalize_boundary_complexity",
    "pick",
    "position_norm",
    "positions",
    "positive_negative",
    "tensor_direction",
    "text",
    "total_variation",
    "whitening",
]

check_package(__name__)
