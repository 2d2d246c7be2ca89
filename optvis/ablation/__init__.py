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
    LayerProbe,
    Prediction,
    PredictionTable,
    Probes,
    RandomBaseline,
    Relearning,
    Report,
    SetMetrics,
    SteeringCurve,
    UnitCurve,
    compare_predictions,
    evaluate,
    leave_one_out,
    steering_curve,
)
from optvis.ablation.fills import Constant, Fill, Gaussian, Mean, Noise, Resampled, Scaled
from optvis.ablation.image_sets import LabeledImages
from optvis.ablation.optimal_fill import Optimal
from optvis.ablation.selection import (
    Attempt,
    Automatic,
    CachedNetwork,
    ChannelGates,
    Choice,
    Contrast,
    Eraser,
    Evidence,
    GreedySearch,
    Inlp,
    Leace,
    MeanProjection,
    MostFrequent,
    SelectionTask,
    Splince,
    Subspace,
    TopNorm,
    UnitSelection,
    find_directions,
    find_units,
)
from optvis.arguments import check_package

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
