"""Feature visualization for PyTorch: what a vision network has learned, tested by ablation.

from optvis import load, render
from optvis.objectives import channel

render(load("squeezenet1_0"), channel("features.12", 50)).save("50.png")
"""

from pathlib import Path

# From a checkout, `objectives/` and `params/` lie beside this folder; installed, they lie in it.
if not (Path(__file__).parent / "objectives").is_dir():
    __path__.append(str(Path(__file__).parent.parent))

from optvis.ablation import Report, UnitSelection, bake, blinded, compare_renderings, evaluate, find_units, save_baked
from optvis.arguments import build_getattr
from optvis.atlas import ActivationAtlas, activation_atlas, class_atlas, compare_classes, sample_activations
from optvis.attribution import Attribution, attribute
from optvis.data import load_image
from optvis.errors import NetworkError, NotFiniteError
from optvis.features import Channels, Directions, Features, Heads, attention_map, expose_features, receptive_fields
from optvis.formatting.version import __version__
from optvis.grids import ActivationGrid, SemanticDictionary, activation_grid, semantic_dictionary
from optvis.microscope import build_microscope
from optvis.models import (
    IMAGENET,
    Classification,
    Classifier,
    Normalize,
    activations,
    as_classifier,
    classify,
    layers,
    load,
    zero_shot,
)
from optvis.patches import load_patch, try_patch
from optvis.rendering import Prior, Rendering, accentuate, ascend, dream, maco, render

__getattr__ = build_getattr(__name__)
__all__ = [
    "IMAGENET",
    "ActivationAtlas",
    "ActivationGrid",
    "Attribution",
    "Channels",
    "Classification",
    "Classifier",
    "Directions",
    "Features",
    "Heads",
    "NetworkError",
    "Normalize",
    "NotFiniteError",
    "Prior",
    "Rendering",
    "Report",
    "SemanticDictionary",
    "UnitSelection",
    "__version__",
    "accentuate",
    "activation_atlas",
    "activation_grid",
    "activations",
    "as_classifier",
    "ascend",
    "attention_map",
    "attribute",
    "bake",
    "blinded",
    "build_microscope",
    "class_atlas",
    "classify",
    "compare_classes",
    "compare_renderings",
    "dream",
    "evaluate",
    "expose_features",
    "find_units",
    "layers",
    "load",
    "load_image",
    "load_patch",
    "maco",
    "receptive_fields",
    "render",
    "sample_activations",
    "save_baked",
    "semantic_dictionary",
    "try_patch",
    "zero_shot",
]
