"""Selection: which units carry a class."""

from optvis.ablation.selection.attempt import Attempt, Choice
from optvis.ablation.selection.automatic import Automatic
from optvis.ablation.selection.cached_network import CachedNetwork, ChannelGates
from optvis.ablation.selection.directions import Subspace, find_directions
from optvis.ablation.selection.erasure import Eraser, Inlp, Leace, MeanProjection, Splince
from optvis.ablation.selection.find_units import find_units
from optvis.ablation.selection.greedy_search import GreedySearch
from optvis.ablation.selection.rankings import Contrast, MostFrequent, TopNorm
from optvis.ablation.selection.selection import Evidence, UnitSelection
from optvis.ablation.selection.task import SelectionTask

__all__ = [
    "Attempt",
    "Automatic",
    "CachedNetwork",
    "ChannelGates",
    "Choice",
    "Contrast",
    "Eraser",
    "Evidence",
    "GreedySearch",
    "Inlp",
    "Leace",
    "MeanProjection",
    "MostFrequent",
    "SelectionTask",
    "Splince",
    "Subspace",
    "TopNorm",
    "UnitSelection",
    "find_directions",
    "find_units",
]
