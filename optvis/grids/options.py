"""Options of the icons of activation grids."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from optvis.arguments import check_minimum
from optvis.rendering.optimizers import OptimizerMaker
from optvis.transforms import Compose, Jitter, Pad, Rotate, Scale

#: The transforms of Lucid's standard chain; `activation_grid` adds a crop.
ICON_TRANSFORM = Compose(
    Pad(0.5), Jitter(8), Scale([1 + (i - 5) / 50 for i in range(11)]), Rotate([*range(-10, 11), *[0] * 5])
)


@dataclass(frozen=True, eq=False)
class IconOptions:
    """How the icons of an activation grid are optimised.

    Args:
        batch_size: how many icons each step updates.
        power: p of `direction`: 0 is the dot product with the activation vector; 2 also asks for its direction, so
            that features which are active everywhere count less.
        transform: before the random crop to the size of an icon; None for the crop alone. All icons of a step get the
            same random draws.
        optimizer: builds a torch optimizer without state; by default `SoftSignSGD` with the share of icons that a step
            updates.
        redirect_steps: for how many updates of each icon ReLU gradients are redirected where they are zero.

    Raises:
        ValueError: a number out of range.
    """

    batch_size: int = 64
    power: float = 2.0
    transform: nn.Module | None = ICON_TRANSFORM
    optimizer: OptimizerMaker | None = None
    redirect_steps: int = 2

    def __post_init__(self) -> None:
        check_minimum(1, batch_size=self.batch_size)
        check_minimum(0, redirect_steps=self.redirect_steps, power=self.power)


DEFAULT_ICONS = IconOptions()
