"""Maps of all that a layer knows: activation atlases, of all classes, of one, and of what separates two.

from optvis import load
from optvis.atlas import activation_atlas, compare

net = load("squeezenet1_0")
activation_atlas(net, "photos", "features.12").save("atlas")
compare(net, "photos", "features.12", "wok", "frying pan").top(5)
"""

from optvis.atlas.builder import activation_atlas
from optvis.atlas.cell import Cell
from optvis.atlas.class_atlas import Comparison, class_atlas, compare
from optvis.atlas.class_mask import serving
from optvis.atlas.layout import lay_out
from optvis.atlas.levels import Level
from optvis.atlas.result import ActivationAtlas
from optvis.atlas.samples import Samples
from optvis.atlas.sampling import sample

__all__ = [
    "ActivationAtlas",
    "Cell",
    "Comparison",
    "Level",
    "Samples",
    "activation_atlas",
    "class_atlas",
    "compare",
    "lay_out",
    "sample",
    "serving",
]
