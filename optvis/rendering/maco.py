"""MACO: images with the spectrum of natural ones, of which only the phase is made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import Objective, as_objective
from optvis.params import phase_image
from optvis.rendering.ascent import REDIRECTED_STEPS, prepared
from optvis.rendering.optimizers import OptimizerMaker, optimizer_text
from optvis.rendering.result import Rendering
from optvis.rendering.setup import asked, labels_of, seeds_for
from optvis.rendering.views import Views, climbed, repeated, told, view_seeds
from optvis.transforms import maco_crops

NADAM = partial(torch.optim.NAdam, lr=1.0)  # MACO's optimizer and rate
MACO_STEPS = 256
MACO_NOISE = 0.04  # Xplique, the authors' library, adds 0.08 to images in [−1, 1]
CANVAS = 2  # sides of the canvas, in those of the network: half of a crop's pixels are its own


def maco(
    model: nn.Module | Classifier,
    objective: Objective | str,
    *,
    spectrum: Tensor | None = None,
    decay: float = 1.0,
    size: int | tuple[int, int] | None = None,
    steps: int = MACO_STEPS,
    crops: int = 6,
    transform: nn.Module | None = None,
    normalize: Normalizer | str = INFER,
    optimizer: OptimizerMaker = NADAM,
    seed: int | Sequence[int] = 0,
    snapshots: Collection[int] = (),
    redirect: int = REDIRECTED_STEPS,
    progress: bool = True,
) -> Rendering:
    """Images that maximise an objective with a fixed magnitude of their spectrum: magnitude constrained optimization.

    Only the phase moves, so that no frequency can be stronger than in natural images, however long the ascent; deep
    layers of large networks gain most. Each step looks at random crops of a large canvas. (Fel et al., "Unlocking
    Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization", 2023, arXiv:2306.06805.)
    Ctrl-C stops early and returns what is there. `render(net, objective, phase_image(448), transform=maco_crops(224),
    optimizer=NADAM)` is the same with one crop a step and without the transparency map.

    Args:
        model: a network, or a Classifier.
        objective: what is maximised: a score per image; "layer:channel" is a channel.
        spectrum: the magnitudes, (3, h, w // 2 + 1), as `mean_spectrum(images)` measures them on images of your
            own; by default 1 / f^decay. The paper's are ImageNet's.
        decay: power of the frequency in that law.
        size: side, or (height, width), of the canvas in pixels; by default twice the network's own.
        steps: how many updates.
        crops: how many at each step, of each image. The paper's code has 32, its later one 6.
        transform: between images and network; by default `maco_crops(size of the network, 0.04)`: crops whose centre is
            N(0.5, 0.15) and whose side N(0.25, 0.1) of the canvas, with noise.
        normalize: see `render`; by default what the model carries.
        optimizer: makes a torch optimizer of parameters; NAdam with a rate of 1 by default.
        seed: one number gives every image the same stream of phases and crops; a sequence gives each its own.
        snapshots: numbers of updates at which the images are kept as well.
        redirect: for how many steps ReLU gradients are redirected where an image has none.
        progress: show a progress bar.

    Returns:
        A Rendering; its scores are means over the crops, its `transparency` is `Σ over steps of |∂score/∂image|`,
        (B, 3, H, W), and `faded()` shows it.

    Raises:
        KeyError, IndexError, ValueError, TypeError: before the first step, for layers, channels, labels, a spectrum
            or sizes that do not fit.
        NotFiniteError: a score or gradient is not finite; its attribute `rendering` holds what there was.

    Example:
        >>> from optvis.objectives import channel
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> made = maco(net, channel("", [0, 2]), steps=4, crops=2, progress=False)
        >>> made, made.faded().shape
        (Rendering(2 of 32 × 32 px, 4 steps, scores ...), torch.Size([2, 4, 32, 32]))
    """
    if steps < 0 or crops < 1:
        raise ValueError(f"steps={steps}, crops={crops}; expected steps >= 0 and one crop or more")
    classifier = as_classifier(model, normalize)
    objective = as_objective(objective)
    question = asked(objective, classifier)
    seeds = seeds_for(seed, question, None)
    canvas = tuple(CANVAS * side for side in classifier.size) if size is None else classifier.resolve_size(size)
    image = phase_image((canvas[0], canvas[1]), seeds=seeds, spectrum=spectrum, decay=decay)
    views = Views(image, crops)
    ascent = prepared(
        classifier,
        repeated(question, crops),
        views,
        transform=maco_crops(classifier.size, MACO_NOISE) if transform is None else transform,
        optimizer=optimizer,
        seed=view_seeds(seeds, crops),
        redirect=redirect,
        pool_gradient=None,
    )
    recipe = told(
        ascent,
        "maco",
        objective=repr(objective),
        image=" ".join(repr(image).split()),
        crops=crops,
        optimizer=optimizer_text(optimizer),
        steps=steps,
        seeds=list(seeds),
    )
    return climbed(ascent, views, steps, snapshots, recipe, labels_of(objective, len(seeds)), progress)


__all__ = ["NADAM", "maco"]
