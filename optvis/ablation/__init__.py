"""Ablation: a network with some of its units switched off.

>>> from optvis import Channels, blinded, load
>>> net = load("demo")
>>> with blinded(net, Channels("mixed5", [3, 14])):
...     pass  # render(net, ...), classify(net, ...), net.network(...): all of them without these channels
"""

from optvis.ablation.baking.bake import bake, save_baked
from optvis.ablation.blinded import blinded
from optvis.ablation.compare_renderings import BeforeAfter, compare_renderings
from optvis.ablation.evaluation.evaluate import evaluate
from optvis.ablation.evaluation.predictions import Prediction, PredictionTable, compare_predictions, leave_one_out
from optvis.ablation.evaluation.probes import LayerProbe, Probes, Relearning
from optvis.ablation.evaluation.report import Report
from optvis.ablation.evaluation.results import RandomBaseline, SetMetrics, UnitCurve
from optvis.ablation.evaluation.steering import SteeringCurve, steering_curve
from optvis.ablation.fills import Constant, Fill, Gaussian, Mean, Noise, Resampled, Scaled
from optvis.ablation.image_sets import LabeledImages
from optvis.ablation.optimal_fill import Optimal
from optvis.ablation.selection.attempt import Attempt, Choice
from optvis.ablation.selection.automatic import Automatic
from optvis.ablation.selection.cached_network import CachedNetwork, ChannelGates
from optvis.ablation.selection.directions import Subspace, find_directions
from optvis.ablation.selection.erasure.eraser import Eraser
from optvis.ablation.selection.erasure.leace import Leace, Splince
from optvis.ablation.selection.erasure.nullspace import Inlp, MeanProjection
from optvis.ablation.selection.find_units import find_units
from optvis.ablation.selection.greedy_search import GreedySearch
from optvis.ablation.selection.rankings import Contrast, MostFrequent, TopNorm
from optvis.ablation.selection.selection import Evidence, UnitSelection
from optvis.ablation.selection.task import SelectionTask
from optvis.arguments import check_package
from optvis.formatting import Estimate

__all__ = [
    "Attempt",
    "Automatic",
    "BeforeAfter",
    "CachedNetwork",
    "ChannelGates",
    "Choice",
    "Constant",
    "Contrast",
    "Eraser",
    "Estimate",
    "Evidence",
    "Fill",
    "Gaussian",
    "GreedySearch",
    "Inlp",
    "LabeledImages",
    "LayerProbe",
    "Leace",
    "Mean",
    "MeanProjection",
    "MostFrequent",
    "Noise",
    "Optimal",
    "Prediction",
    "PredictionTable",
    "Probes",
    "RandomBaseline",
    "Relearning",
    "Report",
    "Resampled",
    "Scaled",
    "SelectionTask",
    "SetMetrics",
    "Splince",
    "SteeringCurve",
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
    "steering_curve",
]

check_package(__name__)
