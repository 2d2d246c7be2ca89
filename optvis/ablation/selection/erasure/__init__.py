"""Linear erasure: affine maps of a layer, after which a class can't be read there."""

from optvis.ablation.selection.erasure.eraser import Eraser
from optvis.ablation.selection.erasure.leace import Leace, Splince
from optvis.ablation.selection.erasure.nullspace import Inlp, MeanProjection

__all__ = ["Eraser", "Inlp", "Leace", "MeanProjection", "Splince"]
