"""Settings of the tour, and how they are written as keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from optvis.arguments import check_minimum

DEFAULT_DREAM_STEPS = 10
# Of `optvis demo --quick`: every section in seconds, with images that are hardly begun.
QUICK: Mapping[str, Any] = MappingProxyType(
    {
        "steps": 8,
        "class_size": 48,
        "channels": 4,
        "icon_size": 24,
        "grid_steps": 4,
        "atlas_scenes": 160,
        "atlas_steps": 1,
        "ablation_scenes": 16,
        "ablation_channels": 4,
        "dream_size": 96,
        "dream_steps": 2,
    }
)


@dataclass(frozen=True)
class TourConfig:
    """Settings of the tour.

    Args:
        seed: 0 or more; of scenes, noise and transforms.
        recipe: of `render`, for images of classes and channels.
        steps: of each rendered image; the recipe's if None.
        class_size: side of the image of a class in pixels; None for the network's input size.
        channels: number of channels of each stage, evenly spaced.
        icon_size: side of an icon of the activation grid in pixels.
        grid_steps: of the activation grid, 64 icons each.
        atlas_scenes: number of scenes for the atlas.
        atlas_steps: of each icon of the atlas.
        ablation_scenes: number of scenes of all classes to find a class's channels on, and as many to evaluate on.
        ablation_channels: number of channels to switch off.
        dream_size: side of a dream in pixels.
        dream_steps: at each octave.
        progress: whether to show progress bars.

    Raises:
        ValueError: the seed is negative.
    """

    seed: int = 0
    recipe: str = "fast"
    steps: int | None = 48
    class_size: int | None = None
    channels: int = 8
    icon_size: int = 48
    grid_steps: int = 48
    atlas_scenes: int = 720
    atlas_steps: int = 20
    ablation_scenes: int = 128
    ablation_channels: int = 16
    dream_size: int = 288
    dream_steps: int = DEFAULT_DREAM_STEPS
    progress: bool = True

    def __post_init__(self) -> None:
        check_minimum(0, seed=self.seed)

    def render_options(self, size: int | None = None) -> dict[str, Any]:
        """Recipe for `render`, with the other keyword arguments that do not have their default.

        >>> TourConfig(seed=3).render_options(48)
        {'recipe': 'fast', 'size': 48, 'steps': 48, 'seed': 3}
        """
        options = {"size": (size, None), "steps": (self.steps, None), "seed": (self.seed, 0)}
        return {"recipe": self.recipe} | _without_defaults(options)

    def dream_options(self) -> dict[str, Any]:
        """Keyword arguments of `dream`, without those that have their default."""
        steps = (self.dream_steps, DEFAULT_DREAM_STEPS)
        return {"size": self.dream_size} | _without_defaults({"steps": steps, "seed": (self.seed, 0)})


def format_keywords(options: Mapping[str, Any]) -> str:
    """Write keyword arguments as they follow other arguments in a call.

    >>> format_keywords({"size": 48, "seed": 1})
    ', size=48, seed=1'
    """
    return "".join(f", {name}={value!r}" for name, value in options.items())


def _without_defaults(options: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Names and values of those (value, default) that differ."""
    return {name: value for name, (value, default) in options.items() if value != default}
