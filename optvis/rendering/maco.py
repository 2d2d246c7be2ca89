"""MACO: images with the magnitude spectrum of natural images, of which only the phase is optimised."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Unpack

import torch
from torch import Tensor, nn

from optvis.models.borrow import plain_mode
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.objectives import Objective, as_objective
from optvis.params import phase_image
from optvis.rendering.job import RenderJob, RenderOptions
from optvis.rendering.result import Rendering
from optvis.rendering.setup import resolve_seeds
from optvis.transforms import maco_crops

NADAM = partial(torch.optim.NAdam, lr=1.0)  #: MACO's optimizer and learning rate
MACO_STEPS = 256
MACO_NOISE = 0.04  # Xplique, the authors' library, adds 0.08 to images in [−1, 1]
CANVAS = 2  # sides of the canvas, in those of the network: a crop is about half of it wide


@plain_mode()
def maco(
    model: nn.Module | Classifier,
    objective: Objective | str,
    *,
    spectrum: Tensor | None = None,
    decay: float = 1.0,
    size: int | tuple[int, int] | None = None,
    steps: int = MACO_STEPS,
    views: int = 6,
    seed: int | Sequence[int] = 0,
    normalize: Normalizer | str = INFER,
    **options: Unpack[RenderOptions],
) -> Rendering:
    """Render with MACO, magnitude constrained optimization: the spectrum is fixed, and only phases are optimised.

    No frequency can become stronger than in natural images, however many steps are taken; deep layers of large
    networks gain most. Each step sees random crops of a large canvas. (Fel et al., "Unlocking Feature Visualization
    for Deeper Networks with MAgnitude Constrained Optimization", 2023, arXiv:2306.06805.)

    It is a composition of parts: `render(model, objective, phase_image(448, spectrum=spectrum), recipe="plain",
    steps=256, views=6, transform=maco_crops(224, 0.04), optimizer=NADAM, transparency=True)` for a network of 224 px.

    Args:
        spectrum: the magnitudes, (3, h, w // 2 + 1), as `mean_spectrum(images)` measures them; by default
            1 / f^decay. The paper's are ImageNet's.
        decay: power of the frequency in that law.
        size: side, or (height, width), of the canvas in pixels; by default twice the network's own.
        model, objective, steps, normalize, seed: see `render`.
        views: number of crops of each image at each step. The paper's code has 32, the authors' later one 6.
        options: those of `render`. By default `transform` is `maco_crops(size of the network, 0.04)`: crops with centre
            N(0.5, 0.15) and side N(0.25, 0.1) of the canvas, with noise; `optimizer` is NAdam with a rate of 1; there
            are no `priors`.

    Returns:
        A Rendering. Its scores are means over the crops, and `with_transparency()` shows its `transparency`.

    Raises:
        KeyError, IndexError, ValueError, TypeError, NotFiniteError: as in `render`; a spectrum of another size.

    Example:
        >>> from optvis.objectives import channel
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 16)
        >>> made = maco(net, channel("", [0, 2]), steps=4, views=2, progress=False)
        >>> made, made.with_transparency().shape
        (Rendering(2 of 32 × 32 px, 4 steps, scores ...), torch.Size([2, 4, 32, 32]))
    """
    job = maco_job(
        as_classifier(model, normalize),
        as_objective(objective),
        spectrum=spectrum,
        decay=decay,
        size=size,
        steps=steps,
        views=views,
        seed=seed,
        **options,
    )
    return job.run()


def maco_job(
    classifier: Classifier,
    objective: Objective,
    *,
    spectrum: Tensor | None = None,
    decay: float = 1.0,
    size: int | tuple[int, int] | None = None,
    steps: int = MACO_STEPS,
    views: int = 6,
    seed: int | Sequence[int] = 0,
    **options: Unpack[RenderOptions],
) -> RenderJob:
    """Build the settings of a rendering with MACO. Arguments as in `maco`."""
    seeds = resolve_seeds(seed, objective, None, [prior.penalty for prior in options.get("priors", ())])
    height, width = classifier.resolve_size(size)
    scale = CANVAS if size is None else 1
    param = phase_image(
        (scale * height, scale * width), seeds=seeds, spectrum=spectrum, decay=decay, channels=classifier.channels
    )
    defaults: RenderOptions = {"transform": maco_crops(classifier.size, MACO_NOISE), "optimizer": NADAM}
    settings: RenderOptions = {**defaults, **options}
    return RenderJob(
        classifier, objective, param, steps, seed=seeds, views=views, transparency=True, method="maco", **settings
    )
