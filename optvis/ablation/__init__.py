"""Ablation: the same network, asked again with some of its units switched off.

>>> from optvis import load
>>> from optvis.ablation import blinded
>>> from optvis.units import Channels
>>> net = load("demo")
>>> with blinded(net, Channels("mixed5", [3, 14])):
...     pass  # render(net, ...), classify(net, ...), net.network(...): all without them
"""

from optvis.ablation.answers import Answers, before_and_after, leave_one_out
from optvis.ablation.baking import bake, save
from optvis.ablation.blinding import blinded
from optvis.ablation.contrast import Contrast
from optvis.ablation.difference import difference
from optvis.ablation.evaluate import evaluate
from optvis.ablation.fills import Fill, Gaussian, Mean, Noise, Resampled
from optvis.ablation.find import find
from optvis.ablation.found import Found
from optvis.ablation.imagesets import Labelled
from optvis.ablation.optimal import Optimal
from optvis.ablation.recipes import Commonest, Loudest
from optvis.ablation.report import Report
from optvis.ablation.search import Search
from optvis.ablation.seeing import Seen, see
from optvis.ablation.subspace import Subspace

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
