"""A microscope: a static site with a page for each channel of a network's layers."""

from optvis.arguments import check_package
from optvis.microscope.builder import build_microscope
from optvis.microscope.cost import SweepCost, estimate_cost
from optvis.microscope.effects import Effects, measure_effects
from optvis.microscope.plan import MicroscopeOptions
from optvis.microscope.renderings import ChannelRenderer, ChannelRenderings
from optvis.microscope.top_activations import find_top_activations

__all__ = [
    "ChannelRenderer",
    "ChannelRenderings",
    "Effects",
    "MicroscopeOptions",
    "SweepCost",
    "build_microscope",
    "estimate_cost",
    "find_top_activations",
    "measure_effects",
]

check_package(__name__)
