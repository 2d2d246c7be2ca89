"""Evaluation: what a network loses without some units, against random units."""

from optvis.ablation.evaluation.evaluate import evaluate
from optvis.ablation.evaluation.metrics import Estimate
from optvis.ablation.evaluation.predictions import Prediction, PredictionTable, compare_predictions, leave_one_out
from optvis.ablation.evaluation.report import Report
from optvis.ablation.evaluation.results import RandomBaseline, SetMetrics, UnitCurve

__all__ = [
    "Estimate",
    "Prediction",
    "PredictionTable",
    "RandomBaseline",
    "Report",
    "SetMetrics",
    "UnitCurve",
    "compare_predictions",
    "evaluate",
    "leave_one_out",
]
