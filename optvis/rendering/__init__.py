"""Images that maximise an objective."""

from optvis.arguments import check_package
from optvis.rendering.accentuate import accentuate
from optvis.rendering.ascent import ascend
from optvis.rendering.dreams.dream import DreamOptions, black_start, divide_by_std, dream, identity, noise_start
from optvis.rendering.dreams.octaves import Octaves
from optvis.rendering.dreams.video import dream_video
from optvis.rendering.job import RenderOptions
from optvis.rendering.kept import free_kept_steps
from optvis.rendering.maco import NADAM, maco
from optvis.rendering.optimizers import ADAM, FAST_ADAM, ImageAdam
from optvis.rendering.priors import Prior
from optvis.rendering.recipes import FROM_RECIPE, RECIPES, SLOW_ADAM, Recipe
from optvis.rendering.render import render
from optvis.rendering.result import Rendering
from optvis.rendering.steps.step import Step

__all__ = [
    "ADAM",
    "FAST_ADAM",
    "FROM_RECIPE",
    "NADAM",
    "RECIPES",
    "SLOW_ADAM",
    "DreamOptions",
    "ImageAdam",
    "Octaves",
    "Prior",
    "Recipe",
    "RenderOptions",
    "Rendering",
    "Step",
    "accentuate",
    "ascend",
    "black_start",
    "divide_by_std",
    "dream",
    "dream_video",
    "free_kept_steps",
    "identity",
    "maco",
    "noise_start",
    "render",
]

check_package(__name__)
