"""Every recipe that the bench measures, by name: a function from a network, targets, a seed and steps to images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from torch import Tensor

from optvis import Classifier, maco, render, rendering
from optvis.microscope.renderings import OPTIMIZER, REDIRECT_STEPS, STEPS, VIEWS
from optvis.models.adapted.precision import PRECISIONS
from optvis.objectives import Objective, batchnorm_statistics, channel, logit
from optvis.rendering import Prior
from optvis.rendering.maco import MACO_STEPS
from optvis.rendering.recipes import SMOOTH
from optvis.transforms import COARSE_TO_FINE

from .lucent import lucent_images
from .precisions import render_at


@dataclass(frozen=True)
class Targets:
    """What is rendered: classes, or channels of a layer.

    Args:
        numbers: one for each picture.
        layer: None for classes.
    """

    numbers: tuple[int, ...]
    layer: str | None = None

    def objective(self) -> Objective:
        """The objective of all of them, an image each."""
        return logit(self.numbers) if self.layer is None else channel(self.layer, self.numbers)


Make: TypeAlias = Callable[[Classifier, Targets, int, int], Tensor]


@dataclass(frozen=True)
class Recipe:
    """A way to make pictures.

    Args:
        make: (classifier, targets, seed, steps) -> images (B, 3, H, W) in [0, 1], on the CPU.
        steps: that it takes unless told otherwise.
    """

    make: Make
    steps: int


def rendered(function: Callable[..., Any] = render, *, prior: Objective | None = None, **options: Any) -> Make:
    """Make pictures with `render`, or a function like it, with these options.

    Args:
        function: takes a network, an objective, and `seed`, `steps` and `progress`.
        prior: is added to the objective of each picture.
        options: of the function.
    """

    def make(classifier: Classifier, targets: Targets, seed: int, steps: int) -> Tensor:
        objective = targets.objective() if prior is None else targets.objective() + prior
        images: Tensor = function(classifier, objective, seed=seed, steps=steps, progress=False, **options).images
        return images

    return make


#: The recipes that `render` ships, then what they are measured against.
RECIPES: dict[str, Recipe] = {
    **{name: Recipe(rendered(recipe=name), recipe.steps) for name, recipe in rendering.RECIPES.items()},
    "statistics": Recipe(rendered(priors=(*SMOOTH, Prior(batchnorm_statistics(per="batch"), 0.5))), 256),
    "plain-256": Recipe(rendered(recipe="plain"), 256),
    "maco": Recipe(rendered(maco), MACO_STEPS),
    "microscope": Recipe(
        rendered(recipe="fast", transform=VIEWS, optimizer=OPTIMIZER, redirect_steps=REDIRECT_STEPS, size=128), STEPS
    ),
    "plain-128": Recipe(rendered(recipe="plain", transform=COARSE_TO_FINE, size=128), STEPS),
    **{
        f"{name}-{precision}": Recipe(partial(render_at, precision, name), rendering.RECIPES[name].steps)
        for name in ("natural", "fast")
        for precision in PRECISIONS
    },
    "lucent": Recipe(lucent_images, 512),
    "lucent-full": Recipe(partial(lucent_images, canvas=None), 512),
}
