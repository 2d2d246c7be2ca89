"""Ablation: a network with some of its units switched off.

>>> from optvis import load
>>> from optvis.ablation import blinded
>>> from optvis.features.units import Channels
>>> net = load("demo")
>>> with blinded(net, Channels("mixed5", [3, 14])):
...     pass  # render(net, ...), classify(net, ...), net.network(...): all of them without these channels
"""

from optvis.ablation.baking.bake import bake, save_baked
from optvis.ablation.blinded import blinded
from optvis.ablation.compare_renderings import BeforeAfter, compare_renderings
from optvis.ablation.evaluation.evaluate import evaluate
from optvis.ablation.evaluation.metrics import Estimate
from optvis.ablation.evaluation.predictions import (
    Prediction,
    PredictionTable,
    compare_predictions,
    leave_one_out,
)
from optvis.ablation.evaluation.report import Report
from optvis.ablation.evaluation.results import RandomBaseline, SetMetrics, UnitCurve
from optvis.ablation.fills import Constant, Fill, Gaussian, Mean, Noise, Resampled
from optvis.ablation.image_sets import LabeledImages
from optvis.ablation.optimal_fill import Optimal
from optvis.ablation.selection.cached_network import CachedNetwork, ChannelGates
from optvis.ablation.selection.directions import Subspace, find_directions
from optvis.ablation.selection.find_units import find_units
from optvis.ablation.selection.greedy_search import GreedySearch
from optvis.ablation.selection.rankings import Contrast, MostFrequent, TopNorm
from optvis.ablation.selection.selection import Evidence, UnitSelection
from optvis.ablation.selection.task import SelectionTask

__all__ = [
    "BeforeAfter",
    "CachedNetwork",
    "ChannelGates",
    "Constant",
    "Contrast",
    "Estimate",
    "Evidence",
    "Fill",
    "Gaussian",
    "GreedySearch",
    "LabeledImages",
    "Mean",
    "MostFrequent",
    "Noise",
    "Optimal",
    "Prediction",
    "PredictionTable",
    "RandomBaseline",
    "Report",
    "Resampled",
    "SelectionTask",
    "SetMetrics",
    "Subspace",
    "TopNorm",
    "UnitCurve",
    "UnitSelection",
    "bake",
    "blinded",
    "compare_predictions",
    "compare_renderings",
    "evaluate",
    "find_directions",
    "find_units",
    "leave_one_out",
    "save_baked",
]
