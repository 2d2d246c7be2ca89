"""The names of the methods of attribution."""

from optvis.attribution.methods import (
    Ablation,
    AttributionMethod,
    GradientTimesActivation,
    IntegratedGradients,
    MidpointAblation,
    SmoothGrad,
    StochasticIntegratedGradients,
)
from optvis.attribution.pixels import Occlusion, Saliency

#: The methods that `attribute` knows by name, with their default options.
METHODS: dict[str, AttributionMethod] = {
    "midpoint": MidpointAblation(),
    "grad_x_activation": GradientTimesActivation(),
    "integrated_gradients": IntegratedGradients(),
    "stochastic_ig": StochasticIntegratedGradients(),
    "smoothgrad": SmoothGrad(),
    "ablation": Ablation(),
    "saliency": Saliency(),
    "occlusion": Occlusion(),
}
