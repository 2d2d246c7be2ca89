"""Pictures of torch-lucent 0.1.8, with its own defaults."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from optvis import Classifier

from ..lucent_side import lucent_modules

if TYPE_CHECKING:
    from .recipes import Targets

CANVAS = 128  # pixels a side by default; the network gets it enlarged to its own size
UNCHANGED = 224  # canvases of so many pixels or more are not enlarged


def lucent_images(
    classifier: Classifier, targets: Targets, seed: int, steps: int, canvas: int | None = CANVAS
) -> Tensor:
    """Render all targets in one batch with its `render_vis`; canvas None is the network's own size.

    Raises:
        ImportError: torch-lucent is missing.
    """
    modules = lucent_modules()
    if modules is None:
        raise ImportError("torch-lucent is not installed")
    objectives, param, render, transform = modules
    network = copy.deepcopy(classifier.network).eval()  # Lucent never removes its hooks
    side = classifier.size[0] if canvas is None else min(canvas, classifier.size[0])
    layer = "labels" if targets.layer is None else targets.layer.replace(".", "_")
    wanted = [objectives.channel(layer, number, batch=place) for place, number in enumerate(targets.numbers)]
    torch.manual_seed(seed)
    np.random.seed(seed)
    images = render.render_vis(
        network,
        objectives.Objective.sum(wanted),
        lambda: param.image(side, batch=len(targets.numbers)),
        transforms=[*transform.standard_transforms, classifier.preprocess],
        preprocess=False,
        fixed_image_size=None if side >= UNCHANGED else classifier.size[0],
        thresholds=(steps,),
        progress=False,
        show_image=False,
    )
    return torch.from_numpy(images[-1]).permute(0, 3, 1, 2).clamp(0, 1)
