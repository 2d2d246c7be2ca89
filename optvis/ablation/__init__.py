"""Ablation: a network with some of its units switched off.

>>> from optvis import Channels, blinded, load
>>> net = load("demo")
>>> with blinded(net, Channels("mixed5", [3, 14])):
...     pass  # render(net, ...), classify(net, ...), net.network(...): all of them without these channels
"""

from optvis.ablation.baking import bake, save_baked
from optvis.ablation.blinded import blinded
from optvis.ablation.compare_renderings import BeforeAfter, compare_renderings
from optvis.ablation.evaluation import (
    Estimate,
    Prediction,
    PredictionTable,
    RandomBaseline,
    Report,
    SetMetrics,
    UnitCurve,
    compare_predictions,
    evaluate,
    leave_one_out,
)
from optvis.ablation.fills import Constant, Fill, Gaussian, Mean, Noise, Resampled
from optvis.ablation.image_sets import LabeledImages
from optvis.ablation.optimal_fill import Optimal
from optvis.ablation.selection import (
    Attempt,
    Automatic,
    CachedNetwork,
    ChannelGates,
    Choice,
    Contrast,
    Evidence,
    GreedySearch,
    MostFrequent,
    SelectionTask,
    Subspace,
    TopNorm,
    UnitSelection,
    find_directions,
    find_units,
)
from optvis.arguments import check_room

__all__ = [
    "Attempt",
    "Automatic",
    "BeforeAfter",
    "CachedNetwork",
    "ChannelGates",
    "Choice",
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

check_room(__name__)
