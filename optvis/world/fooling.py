"""The things that fool the demo classifier, as patches: a locomotive, a baseball, noodles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from optvis.world.dice import Dice
from optvis.world.painting import SIDE, Fill, Painting, Part, Pose
from optvis.world.things import baseball, locomotive, noodles

DRAWINGS: Mapping[str, Callable[[Dice], list[Fill]]] = MappingProxyType(
    {"locomotive": locomotive, "baseball": baseball, "noodles": lambda dice: noodles(dice, 0.9)}
)


def thing(name: str, seed: int = 0) -> Tensor:
    """A patch (4, 96, 96) in [0, 1]: red, green, blue and how much it covers.

    Args:
        name: "locomotive", "baseball" or "noodles".
        seed: another seed, other colours.

    Raises:
        KeyError: there is no such thing.

    Example:
        >>> thing("baseball").shape
        torch.Size([4, 96, 96])
    """
    if name not in DRAWINGS:
        raise KeyError(f"no thing {name!r}; there are {', '.join(DRAWINGS)}")
    fills = DRAWINGS[name](Dice(seed))
    painting = Painting(np.zeros((SIDE, SIDE, 3), np.float32))
    painting.add(Part("thing", fills, Pose(np.eye(2) * 0.48, np.array([0.5, 0.5]))))
    cover = painting.masks["thing"][..., None]
    colours = painting.pixels / np.maximum(cover, 1e-6)
    return torch.from_numpy(np.concatenate([colours, cover], 2).clip(0, 1)).permute(2, 0, 1).contiguous()
