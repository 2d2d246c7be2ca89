"""What the transforms of a chain find outside the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torch import Tensor

from optvis.params.streams import Streams
from optvis.transforms.transform import Transform
from optvis.transforms.warp import Padding


class Pad(Transform):
    """What lies outside the canvas, however far: a colour, a random one, the mirrored picture, or its edge.

    It changes no pixel by itself: `Margin` and whatever moves the picture bring in what lies outside. Where nothing
    is said, the edge goes on.

    Args:
        fill: a level in [0, 1] or one a channel; "random", a colour drawn uniformly for each image at each step;
            "reflect"; or "edge".

    Raises:
        ValueError: when it is applied, the images have another number of channels than there are levels.

    Example:
        >>> from optvis.transforms import Compose, Jitter
        >>> Compose(Pad(0.5), Jitter(8))
        Compose(Pad(0.5), Jitter(8))
    """

    MODES: Final = {"reflect": "reflection", "edge": "border", "random": "zeros"}

    def __init__(self, fill: float | Sequence[float] | str = 0.5) -> None:
        super().__init__()
        levels = fill if isinstance(fill, Sequence) else [fill]
        is_level = len(levels) > 0 and all(not isinstance(one, str) and 0 <= one <= 1 for one in levels)
        if fill not in self.MODES if isinstance(fill, str) else not is_level:
            raise ValueError(
                f"Pad got {fill!r}; expected a level in [0, 1], one a channel, 'random', 'reflect' or 'edge'"
            )
        self.fill = fill
        self.mode = self.MODES[fill] if isinstance(fill, str) else "zeros"

    def padding(self, images: Tensor, streams: Streams) -> Padding:
        """What lies outside these images at this step."""
        channels = images.shape[1]
        if self.fill == "random":
            return Padding(self.mode, streams.uniform(channels).to(images).view(-1, channels, 1, 1))
        if isinstance(self.fill, str):
            return Padding(self.mode)
        level = images.new_tensor(self.fill).reshape(-1, 1, 1)
        if len(level) not in (1, channels):
            raise ValueError(
                f"{self!r} has {len(level)} levels for images of {channels} channels; give one, or one a channel"
            )
        return Padding(self.mode, level)

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        return images

    def __repr__(self) -> str:
        return f"Pad({self.fill!r})"
