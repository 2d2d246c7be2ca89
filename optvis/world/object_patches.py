"""Patches of objects that fool the demo classifier: a locomotive, a baseball, noodles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from optvis.world.drawing.canvas import SIZE, Fill, Part, Pose, SceneCanvas
from optvis.world.drawing.random_draws import RandomDraws
from optvis.world.objects import baseball, locomotive, noodles

OBJECTS: Mapping[str, Callable[[RandomDraws], list[Fill]]] = MappingProxyType(
    {"locomotive": locomotive, "baseball": baseball, "noodles": lambda draws: noodles(draws, 0.9)}
)


def object_patch(name: str, seed: int = 0) -> Tensor:
    """Draw an object on a transparent patch: (4, 96, 96) in [0, 1], red, green, blue, alpha.

    Args:
        name: "locomotive", "baseball" or "noodles".
        seed: of colours and small differences.

    Raises:
        KeyError: there is no such object.

    Example:
        >>> object_patch("baseball").shape
        torch.Size([4, 96, 96])
    """
    if name not in OBJECTS:
        raise KeyError(f"no object {name!r}; expected {', '.join(OBJECTS)}")
    canvas = SceneCanvas(np.zeros((SIZE, SIZE, 3), np.float32))
    canvas.draw(Part("object", OBJECTS[name](RandomDraws(seed)), Pose(np.eye(2) * 0.48, np.array([0.5, 0.5]))))
    alpha = canvas.masks["object"][..., None]
    colors = canvas.pixels / np.maximum(alpha, 1e-6)
    return torch.from_numpy(np.concatenate([colors, alpha], 2).clip(0, 1)).permute(2, 0, 1).contiguous()
