"""Attribution: how much each channel, position or group of a layer contributes to a score."""

from optvis.arguments import check_package
from optvis.attribution.attribute import attribute
from optvis.attribution.captum import FromCaptum
from optvis.attribution.layer_function import LayerFunction
from optvis.attribution.methods import (
    Ablation,
    AttributionMethod,
    GradientMethod,
    GradientTimesActivation,
    IntegratedGradients,
    MidpointAblation,
    SmoothGrad,
    StochasticIntegratedGradients,
    ValueMethod,
)
from optvis.attribution.names import METHODS
from optvis.attribution.pixels import Occlusion, Saliency
from optvis.attribution.result import Attribution

__all__ = [
    "METHODS",
    "Ablation",
    "Attribution",
    "AttributionMethod",
    "FromCaptum",
    "GradientMethod",
    "GradientTimesActivation",
    "IntegratedGradients",
    "LayerFunction",
    "MidpointAblation",
    "Occlusion",
    "Saliency",
    "SmoothGrad",
    "StochasticIntegratedGradients",
    "ValueMethod",
    "attribute",
]

check_package(__name__)
