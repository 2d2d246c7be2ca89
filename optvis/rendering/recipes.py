"""Recipes: named settings of `render`, each a composition of public parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from torch import nn

from optvis.errors import suggest
from optvis.models.classifier import Classifier
from optvis.objectives import Objective, total_variation
from optvis.rendering.optimizers import ADAM, FAST_ADAM, ImageAdam, OptimizerMaker
from optvis.rendering.priors import Prior
from optvis.rendering.setup import accepts_size
from optvis.transforms import STANDARD, natural_crops
from optvis.transforms.sizes import scale_size

FROM_RECIPE: Final = "recipe"  #: the transform of the recipe, where None means no transform
REDIRECT_STEPS = 16  # Lucid redirects ReLU gradients for as many (lucid.optvis.overrides, 2017)
PLAIN_STEPS = 64  # twice what `docs/performance.md` needed for Lucid's quality
ICON_STEPS = 48  # updates of each icon of an atlas, a dictionary or a diagram
VIEW_SHARE = 0.72  # side of a view, in sides of the canvas: half of the pixels, twice as fast
WHOLE_VIEW = 112  # pixels a side up to which views of a network are not reduced: 69 px hide details from one of 96 px
#: The prior of "natural": neighbouring pixels differ a little less than those of photographs, of which the median over
#: 14 at 224 px is 0.026.
SMOOTH = (Prior(total_variation(smoothing=0.02, mean=True), 0.04, level=0.02),)
SLOW_ADAM = partial(ImageAdam, lr=0.1, betas=(0.5, 0.99), eps=0.5, halving=64.0)  #: the optimizer of "natural"


@dataclass(frozen=True)
class Recipe:
    """Settings of `render` under a name: how many steps, which transform, which optimizer.

    Args:
        name: for the recipe of a result.
        steps: number of updates.
        build_transform: builds the chain between the image and a given network.
        positional_transform: takes its place where the objective reads one position or has a target for each, as
            `neuron` and `caricature` do: views of different parts of the image would contradict each other.
        optimizer: where neither the caller nor the canvas brings one.
        priors: penalties, each with a share of the score's gradient.
        redirect_steps: for how many first steps ReLU gradients are redirected where an image has none.

    Example:
        >>> from dataclasses import replace
        >>> replace(RECIPES["fast"], name="faster", steps=32).steps
        32
    """

    name: str
    steps: int
    build_transform: Callable[[Classifier], nn.Module | None]
    optimizer: OptimizerMaker
    positional_transform: nn.Module | None = STANDARD
    priors: tuple[Prior, ...] = ()
    redirect_steps: int = REDIRECT_STEPS

    def choose_transform(self, classifier: Classifier, objective: Objective) -> nn.Module | None:
        """Return the chain between the image and a network, for an objective."""
        return self.positional_transform if objective.is_positional else self.build_transform(classifier)


def build_natural_crops(classifier: Classifier) -> nn.Module:
    """Crops of the one size that the network takes, or with about half of the canvas's pixels.

    They are not smaller than `VIEW_SHARE` of the network's own size, or than `WHOLE_VIEW` if the network takes more: a
    small canvas is seen whole.
    """
    if classifier.fixed_size:
        return natural_crops(classifier.size)
    shares = scale_size(classifier.size, VIEW_SHARE)
    height, width = (max(share, min(own, WHOLE_VIEW)) for share, own in zip(shares, classifier.size, strict=True))
    accepts = accepts_size(classifier, (height, width))
    return natural_crops(VIEW_SHARE, at_least=(height, width)) if accepts else natural_crops(1.0)


def build_standard(_: Classifier) -> nn.Module:
    """Lucid's standard transforms, the same for every network."""
    return STANDARD


#: "natural": pictures that other networks recognise. "fast": the same views, in a quarter of the steps. "lucid":
#: transforms, optimizer and steps of Lucid (Olah et al., "Feature Visualization", Distill 2017,
#: doi:10.23915/distill.00007). "plain": Lucid's transforms, with an optimizer that needs an eighth of its steps.
#: "icon": the same transforms, with the prior of "natural", for pictures of some 64 px.
RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("natural", 256, build_natural_crops, SLOW_ADAM, STANDARD, SMOOTH, 96),
        Recipe("fast", 64, build_natural_crops, partial(SLOW_ADAM, lr=0.2, halving=32.0), STANDARD, SMOOTH, 48),
        Recipe("plain", PLAIN_STEPS, build_standard, FAST_ADAM),
        Recipe("icon", ICON_STEPS, build_standard, partial(SLOW_ADAM, lr=0.3, halving=32.0), STANDARD, SMOOTH),
        Recipe("lucid", 512, build_standard, ADAM),
    )
}


def find_recipe(recipe: str | Recipe) -> Recipe:
    """Return the recipe of a name, or the recipe itself.

    Raises:
        ValueError: no such recipe.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        listing = f"there are {', '.join(map(repr, RECIPES))}"
        raise ValueError(f"no recipe {recipe!r}; {suggest(str(recipe), RECIPES, listing)}")
    return RECIPES[recipe]
