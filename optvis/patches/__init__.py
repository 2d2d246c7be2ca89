"""Adversarial patches: pasted onto images to change the predicted class, with control patches."""

from optvis.arguments import check_package
from optvis.patches.controls import flat_patch, shuffle_patch
from optvis.patches.paste import paste
from optvis.patches.rate import Rate, estimate_rate
from optvis.patches.sources import cut_patch, load_patch
from optvis.patches.trial import PatchTrial
from optvis.patches.try_patch import POSITIONS, try_patch

__all__ = [
    "POSITIONS",
    "PatchTrial",
    "Rate",
    "cut_patch",
    "estimate_rate",
    "flat_patch",
    "load_patch",
    "paste",
    "shuffle_patch",
    "try_patch",
]

check_package(__name__)
