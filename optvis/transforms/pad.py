"""Padding: the values outside the image that later transforms of a chain bring in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torch import Tensor

from optvis.params.dtype import constant_like
from optvis.params.streams import Streams
from optvis.transforms.transform import Transform
from optvis.transforms.warp import Padding


class Pad(Transform):
    """Set the padding outside the image, at any distance: a colour, a random colour, the mirrored image, or its edge.

    It changes no pixel itself. `Margin` and the transforms after it that move the image bring the padding in. Without a
    `Pad`, the edge is repeated.

    Args:
        fill: a level in [0, 1], or one per channel; "random", a colour drawn uniformly for each image and step;
            "reflect"; or "edge".

    Raises:
        ValueError: the whole number 1, which could be a width; at the call, images of another number of channels than
            there are levels.

    Example:
        >>> from optvis.transforms import Compose, Jitter
        >>> Compose(Pad(0.5), Jitter(8))
        Compose(Pad(0.5), Jitter(8))
    """

    MODES: Final = {"reflect": "reflection", "edge": "border", "random": "zeros"}

    def __init__(self, fill: float | Sequence[float] | str = 0.5) -> None:
        super().__init__(fill)
        levels = fill if isinstance(fill, Sequence) else [fill]
        is_level = len(levels) > 0 and all(not isinstance(one, str) and 0 <= one <= 1 for one in levels)
        if isinstance(fill, int) and fill == 1:  # Lucid's `pad` takes a width
            raise ValueError("Pad got 1; Pad(1.0) makes the padding white, Margin(1) adds a pixel around an image")
        if fill not in self.MODES if isinstance(fill, str) else not is_level:
            is_width = isinstance(fill, int | float) and fill > 1
            cure = f"; Margin({fill:g}) adds pixels around an image" if is_width else ""
            raise ValueError(
                f"Pad got {fill!r}; expected a level in [0, 1], one per channel, 'random', 'reflect' or 'edge'{cure}"
            )
        self.fill = fill
        self.mode = self.MODES[fill] if isinstance(fill, str) else "zeros"

    def padding(self, images: Tensor, streams: Streams) -> Padding:
        """Draw the padding of these images at this step."""
        channels = images.shape[1]
        if self.fill == "random":
            levels = streams.place(lambda: streams.uniform(channels), images)
            return Padding(self.mode, levels.view(-1, channels, 1, 1))
        if isinstance(self.fill, str):
            return Padding(self.mode)
        level = constant_like(self.fill, images).reshape(-1, 1, 1)
        if len(level) not in (1, channels):
            raise ValueError(
                f"{self!r} has {len(level)} levels for images of {channels} channels; give one, or one per channel"
            )
        return Padding(self.mode, level)

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        return images
