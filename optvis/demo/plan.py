"""How much of everything a tour makes, and how that is written as keywords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optvis.rendering.render import USUAL_STEPS

USUAL_DREAM_STEPS = 10


@dataclass(frozen=True)
class Plan:
    """How much of everything.

    Args:
        seed: 0 or more; of scenes, noise and transforms.
        steps: updates of each rendered picture.
        class_size: side in pixels of the picture of a class; None for the network's own.
        channels: how many of each stage, evenly spread.
        icon_size: side of an icon of the activation grid in pixels.
        grid_steps: of the activation grid, 64 icons each.
        atlas_scenes: on the map of a layer.
        atlas_steps: of each of its icons.
        blind_scenes: of all classes, on which a class's channels are found, and as many on which they are judged.
        blind_channels: how many are switched off.
        dream_size: side of a dream in pixels.
        dream_steps: at each octave.
        progress: whether bars are shown.

    Raises:
        ValueError: a negative seed.
    """

    seed: int = 0
    steps: int = USUAL_STEPS
    class_size: int | None = None
    channels: int = 24
    icon_size: int = 48
    grid_steps: int = 128
    atlas_scenes: int = 1600
    atlas_steps: int = 32
    blind_scenes: int = 128
    blind_channels: int = 16
    dream_size: int = 288
    dream_steps: int = USUAL_DREAM_STEPS
    progress: bool = True

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; expected 0 or more")

    def rendering(self, size: int | None = None) -> dict[str, Any]:
        """Keywords of `render` that are not its defaults.

        >>> Plan(seed=3).rendering(48)
        {'size': 48, 'seed': 3}
        """
        return _differing({"size": (size, None), "steps": (self.steps, USUAL_STEPS), "seed": (self.seed, 0)})

    def dreaming(self) -> dict[str, Any]:
        """Keywords of `dream` that are not its defaults."""
        steps = (self.dream_steps, USUAL_DREAM_STEPS)
        return {"size": self.dream_size} | _differing({"steps": steps, "seed": (self.seed, 0)})


def spelled(options: Mapping[str, Any]) -> str:
    """Keywords as they follow other arguments in a call.

    >>> spelled({"size": 48, "seed": 1})
    ', size=48, seed=1'
    """
    return "".join(f", {name}={value!r}" for name, value in options.items())


def _differing(options: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Names and values whose value is not the default, of (value, default)."""
    return {name: value for name, (value, usual) in options.items() if value != usual}
