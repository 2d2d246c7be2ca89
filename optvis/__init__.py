"""Feature visualization for PyTorch: see what a vision network has learned, and prove it.

from optvis import load, render
from optvis.objectives import channel

render(load("squeezenet1_0"), channel("features.12", 50)).save("50.png")
"""

from pathlib import Path

# From a checkout, `objectives/` and `params/` lie beside this folder; installed, they lie in it.
if not (Path(__file__).parent / "objectives").is_dir():
    __path__.append(str(Path(__file__).parent.parent))

from optvis.attribution import Attribution, attribute
from optvis.grids import ActivationGrid, SemanticDictionary, activation_grid, semantic_dictionary
from optvis.models.activations import activations
from optvis.models.classifier import Classifier
from optvis.models.classify import Classification, classify
from optvis.models.layers import layers
from optvis.models.normalize import IMAGENET, Normalize
from optvis.models.zoo import load
from optvis.rendering.ascent import ascend
from optvis.rendering.dream import dream
from optvis.rendering.render import render
from optvis.rendering.result import Rendering
from optvis.version import __version__

__all__ = [
    "IMAGENET",
    "ActivationGrid",
    "Attribution",
    "Classification",
    "Classifier",
    "Normalize",
    "Rendering",
    "SemanticDictionary",
    "__version__",
    "activation_grid",
    "activations",
    "ascend",
    "attribute",
    "classify",
    "dream",
    "layers",
    "load",
    "render",
    "semantic_dictionary",
]
