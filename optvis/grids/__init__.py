"""Activation grids and semantic dictionaries: icons of what a layer represents at each position of an image."""

from optvis.arguments import check_package
from optvis.grids.activation_grid import activation_grid
from optvis.grids.optimizer import SoftSignSGD
from optvis.grids.options import ICON_TRANSFORM, IconOptions
from optvis.grids.page import AnnotatedGrid, build_grid_page
from optvis.grids.result import ActivationGrid
from optvis.grids.semantic_dictionary import SemanticDictionary, semantic_dictionary

__all__ = [
    "ICON_TRANSFORM",
    "ActivationGrid",
    "AnnotatedGrid",
    "IconOptions",
    "SemanticDictionary",
    "SoftSignSGD",
    "activation_grid",
    "build_grid_page",
    "semantic_dictionary",
]

check_package(__name__)
