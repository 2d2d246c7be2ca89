"""Activation atlases: maps of a layer's activations, of all classes, of one class, and of two classes compared.

from optvis import load
from optvis.atlas import AtlasBuilder

builder = AtlasBuilder(load("squeezenet1_0"), "photos", "features.12")
builder.all().save("atlas")
builder.compare("wok", "frying pan").top(5)
"""

from optvis.arguments import check_package
from optvis.atlas.activation_atlas import activation_atlas, class_atlas, compare_classes
from optvis.atlas.builder import AtlasBuilder
from optvis.atlas.cell import Cell
from optvis.atlas.class_mask import class_mask
from optvis.atlas.comparison import Comparison
from optvis.atlas.layout import lay_out
from optvis.atlas.levels import Level
from optvis.atlas.options import AtlasOptions
from optvis.atlas.result import ActivationAtlas
from optvis.atlas.sample_activations import sample_activations
from optvis.atlas.samples import Samples

__all__ = [
    "ActivationAtlas",
    "AtlasBuilder",
    "AtlasOptions",
    "Cell",
    "Comparison",
    "Level",
    "Samples",
    "activation_atlas",
    "class_atlas",
    "class_mask",
    "compare_classes",
    "lay_out",
    "sample_activations",
]

check_package(__name__)
