"""What a transform is: a module that draws from each image's own stream; and an affine one, which is a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from optvis.params.streams import Streams
from optvis.transforms.warp import EDGE, Size, warp


class Transform(nn.Module, ABC):
    """A transform that draws from each image's own stream.

    Example:
        >>> import torch
        >>> class Dimmed(Transform):
        ...     def forward(self, images, streams):
        ...         return images * streams.uniform(1).to(images).view(-1, 1, 1, 1)
        >>> alone, both = Dimmed()(torch.ones(1, 3, 1, 1), Streams((7,), "demo")), Streams((0, 7), "demo")
        >>> bool((Dimmed()(torch.ones(2, 3, 1, 1), both)[1:] == alone).all())
        True
    """

    @abstractmethod
    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        """(B, C, H, W) in [0, 1] -> (B, C', H', W'); C is 3, or 4 with alpha in the last channel."""


class Affine(Transform, ABC):
    """An affine transform of the plane: a matrix per image, so that a chain of them is one warp."""

    @abstractmethod
    def matrix(self, size: Size, streams: Streams) -> Tensor:
        """From pixels (x, y, 1) of a picture of `size` (H, W) to pixels of the result, (B, 3, 3), float64, CPU."""

    def result_size(self, size: Size) -> Size:
        """(H, W) of the result."""
        return size

    def forward(self, images: Tensor, streams: Streams) -> Tensor:
        size = (images.shape[2], images.shape[3])
        return warp(images, self.matrix(size, streams), self.result_size(size), EDGE)
