"""Evaluation: what a network loses without some units, against random units."""

from optvis.ablation.evaluation.evaluate import evaluate
from optvis.ablation.evaluation.predictions import Prediction, PredictionTable, compare_predictions, leave_one_out
from optvis.ablation.evaluation.probes import LayerProbe, Probes, Relearning
from optvis.ablation.evaluation.report import Report
from optvis.ablation.evaluation.results import RandomBaseline, SetMetrics, UnitCurve
from optvis.ablation.evaluation.steering import SteeringCurve, steering_curve
from optvis.formatting import Estimate

__all__ = [
    "Estimate",
    "LayerProbe",
    "Prediction",
    "PredictionTable",
    "Probes",
    "RandomBaseline",
    "Relearning",
    "Report",
    "SetMetrics",
    "SteeringCurve",
    "UnitCurve",
    "compare_predictions",
    "evaluate",
    "leave_one_out",
    "steering_curve",
]
