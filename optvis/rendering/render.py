"""render: images that maximise an objective, in one call."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import nn

from optvis.models.adapted.precision import Precision
from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.models.overrides.max_pool import PoolGradient
from optvis.objectives import Objective, as_objective
from optvis.params import ImageParam
from optvis.rendering.job import RenderJob
from optvis.rendering.optimizers import OptimizerMaker, default_optimizer, set_rate
from optvis.rendering.priors import Prior
from optvis.rendering.recipes import FROM_RECIPE, Recipe, find_recipe
from optvis.rendering.result import Rendering
from optvis.transforms.presets import as_transform


@plain_mode()
def render(
    model: nn.Module | Classifier,
    objective: Objective | str,
    param: ImageParam | nn.Module | None = None,
    *,
    recipe: str | Recipe = "natural",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    transform: nn.Module | Sequence[nn.Module] | str | None = FROM_RECIPE,
    views: int = 1,
    optimizer: OptimizerMaker | None = None,
    rate: float | None = None,
    seed: int | Sequence[int] = 0,
    normalize: Normalizer | str = INFER,
    snapshots: Collection[int] = (),
    transparency: bool = False,
    batch_size: int | None = None,
    redirect_steps: int | None = None,
    pool_gradient: PoolGradient | None = None,
    priors: Sequence[Prior] | None = None,
    precision: Precision = "tf32",
    compile: bool = False,
    progress: bool = True,
) -> Rendering:
    """Render images that maximise an objective: one per target, weight or seed.

    Ctrl-C (or interrupting a notebook's cell) stops early and returns the images so far. The network is restored on
    every exit, errors included. A warning says which images ended blank, outside [0, 1], or at a ceiling of a
    layer, such as that of a ReLU6.

    Args:
        model: a network, or a Classifier, which brings its normalisation, size and labels.
        objective: what is maximised, a score per image; "layer:channel" is a channel.
        param: a parameterization, which is updated in place; `fft_image(size)` by default.
        recipe: "natural", pictures that other networks recognise; "fast", the same views in a quarter of the steps;
            "plain", Lucid's transforms in 64 steps; "icon", for small pictures in 48 steps; "lucid", its transforms,
            optimizer and 512 steps; or a `Recipe` of your own. Steps, transform and optimizer that are given replace
            the recipe's.
        size: side, or (height, width), of the images in pixels; the network's own by default, a parameterization's own
            where one is given.
        steps: number of updates; the recipe's by default.
        transform: between images and network: a module, or a list of modules applied in turn; None for none; the
            recipe's by default.
        views: number of draws of the transform for each image at each step; their mean score is maximised.
        optimizer: a function that makes a torch optimizer of parameters, e.g. `partial(torch.optim.Adam, lr=0.1)` or
            Lucid's, `ADAM`. The default is the optimizer that the parameterization brings, else the recipe's.
        rate: first learning rate, in place of the optimizer's own.
        seed: one number gives all images the same noise and transforms, so that an image is the same alone and in a
            batch, but for rounding, which ascent amplifies on CUDA; a sequence gives each image its own. Objectives
            and priors that compare images turn a number into seed, seed + 1, …, those that compare images in groups do
            so in each group.
        normalize: for a bare module that does not bring its own: `IMAGENET`, `Normalize(mean, std)`, a function, or
            None if the network takes images in [0, 1].
        snapshots: numbers of updates after which the images are kept as well; `range(steps)` for an animation.
        transparency: also sum up `|∂score/∂image|` over the steps, the Rendering's `transparency`.
        batch_size: number of images in memory at a time. By default all; on CUDA as many as fit, which one step of a
            few images tells. Where CUDA runs out of memory, the batch size is halved and the batch is repeated.
        redirect_steps: number of first steps in which ReLU gradients are redirected where an image has none; the
            recipe's by default.
        pool_gradient: replaces the gradient of max pooling by a smoother one: `average` or `squares`.
        priors: penalties that are minimised with a share of the score's gradient, e.g.
            `[Prior(batchnorm_statistics(per="batch"), 1.0)]` or `[Prior(diversity("mixed3"), 0.5)]`; the recipe's by
            default, () for none.
        precision: how exactly the network computes. On CUDA, "tf32" rounds the factors of products of float32 to 10
            bits, "highest" does not; on a CPU they are the same. "bf16" runs the network in bfloat16 by autocast, on
            any device, and scores its activations in float32. Functions whose numbers are compared, such as
            `attribute`, `find_units` and `evaluate`, always compute at "highest".
        compile: compile the network's part of a step with torch's compiler, which pays for many images or steps: it
            takes about a minute. The next call with other channels or seeds, and as many, uses what was compiled; one
            with another layer, size, recipe or number of images compiles again. What cannot be compiled, such as an
            objective with a function of your own, runs as it is; the recipe says why.
        progress: show a progress bar.

    Raises:
        KeyError, IndexError, ValueError, TypeError: before the first step, if layers, channels, labels or sizes do not
            fit the network.
        NotFiniteError: a score or gradient is not finite; its attribute `rendering` holds the images so far.

    Example:
        >>> from optvis.objectives import channel
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> render(net, channel("", [0, 2]), steps=4, progress=False)
        Rendering(2 of 16 × 16 px, 4 steps, scores ...)
    """
    classifier, preset = as_classifier(model, normalize), find_recipe(recipe)
    goal = as_objective(objective)
    maker = default_optimizer(param, optimizer, preset.optimizer)
    return RenderJob(
        classifier,
        goal,
        param,
        preset.steps if steps is None else steps,
        size=size,
        transform=preset.choose_transform(classifier, goal) if transform == FROM_RECIPE else as_transform(transform),
        optimizer=set_rate(maker, rate),
        seed=seed,
        snapshots=snapshots,
        batch_size=batch_size,
        views=views,
        transparency=transparency,
        redirect_steps=preset.redirect_steps if redirect_steps is None else redirect_steps,
        pool_gradient=pool_gradient,
        priors=preset.priors if priors is None else tuple(priors),
        precision=precision,
        compile=compile,
        progress=progress,
        options={"recipe": preset.name},
    ).run()
