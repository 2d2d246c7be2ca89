"""Ablation: the same network, asked again with some of its units switched off.

>>> from optvis import load
>>> from optvis.ablation import blinded
>>> from optvis.features.units import Channels
>>> net = load("demo")
>>> with blinded(net, Channels("mixed5", [3, 14])):
...     pass  # render(net, ...), classify(net, ...), net.network(...): all without them
"""

from optvis.ablation.baking.bake import bake, save
from optvis.ablation.blinding import blinded
from optvis.ablation.compare_renderings import Seen, see
from optvis.ablation.evaluation.evaluate import evaluate
from optvis.ablation.evaluation.image_sets import Labelled
from optvis.ablation.evaluation.report import Report
from optvis.ablation.fills import Fill, Gaussian, Mean, Noise, Resampled
from optvis.ablation.finding.before_after import Answers, before_and_after, leave_one_out
from optvis.ablation.finding.contrast import Contrast
from optvis.ablation.finding.difference import difference
from optvis.ablation.finding.find_units import find
from optvis.ablation.finding.recipes import Commonest, Loudest
from optvis.ablation.finding.search import Search
from optvis.ablation.finding.selection import Found
from optvis.ablation.finding.subspace import Subspace
from optvis.ablation.optimal_fill import Optimal

__all__ = [
    "Answers",
    "Commonest",
    "Contrast",
    "Fill",
    "Found",
    "Gaussian",
    "Labelled",
    "Loudest",
    "Mean",
    "Noise",
    "Optimal",
    "Report",
    "Resampled",
    "Search",
    "Seen",
    "Subspace",
    "bake",
    "before_and_after",
    "blinded",
    "difference",
    "evaluate",
    "find",
    "leave_one_out",
    "save",
    "see",
]
