"""Base classes of transforms: modules with random numbers from each image's own stream, and affine ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from optvis.params.streams import Streams
from optvis.transforms.warp import EDGE, Size, warp


class Transform(nn.Module, ABC):
    """A transform whose random numbers come from each image's own stream.

    Example:
        >>> import torch
        >>> class Dim(Transform):
        ...     def forward(self, images, streams):
        ...         return images * streams.uniform(1).to(images).view(-1, 1, 1, 1)
        >>> alone, both = Dim()(torch.ones(1, 3, 1, 1), Streams((7,), "demo")), Streams((0, 7), "demo")
        >>> bool((Dim()(torch.ones(2, 3, 1, 1), both)[1:] == alone).all())
        True

    Args:
        arguments: what the `repr` shows.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    @abstractmethod
    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        """Transform images, (B, C, H, W) in [0, 1] -> (B, C', H', W'); C is 3, or 4 with alpha in the last channel."""

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(map(repr, self.arguments))})" if self.arguments else super().__repr__()
        )


def require_pixels(pixels: object, name: str) -> int:
    """Return a number of pixels for a transform of this name, if it is a whole one of 0 or more.

    Raises:
        ValueError: it is not.
    """
    if type(pixels) is not int or pixels < 0:
        raise ValueError(f"{name} got {pixels!r}; expected whole pixels, 0 or more")
    return pixels


class Affine(Transform, ABC):
    """An affine transform of the plane: one matrix per image. Successive ones in a chain need one sampling."""

    @abstractmethod
    def matrix(self, size: Size, streams: Streams) -> Tensor:
        """Draw the matrix of each image, from pixels (x, y, 1) of the input to pixels of the result.

        Args:
            size: (H, W) of the input.
            streams: one per image.

        Returns:
            (B, 3, 3), float64, on the CPU.
        """

    def result_size(self, size: Size) -> Size:
        """Return (H, W) of the result."""
        return size

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        size = (images.shape[2], images.shape[3])
        return warp(images, self.matrix(size, streams), self.result_size(size), EDGE, streams)
