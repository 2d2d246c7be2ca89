"""Invertible maps from a canvas to RGB in [0, 1]."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

# Columns: the square root of the colour covariance of ImageNet's training pixels, as Lucid publishes it
# (lucid.optvis.param.color, 2017), divided there by its largest column norm.
IMAGENET_COLOR = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))

HALF_A_LEVEL = 1 / 512  # half of one of the 256 levels of an 8-bit image


class ColorMap(nn.Module, ABC):
    """A map of images, (B, 3, H, W) -> (B, 3, H, W), that can be undone."""

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W)."""

    @abstractmethod
    def inverse(self, images: Tensor) -> Tensor:
        """The images that `forward` turns into these."""


class Decorrelated(ColorMap):
    """Decorrelated colour to RGB: rgb = C t at each pixel, C normalised by its largest column norm.

    A step in t moves along the axes in which colours of natural images vary independently (Olah et al.,
    "Feature Visualization", Distill 2017, doi:10.23915/distill.00007).

    Args:
        matrix: 3 rows of 3, the square root of a colour covariance; ImageNet's by default.

    Example:
        >>> colours = torch.rand(1, 3, 4, 4)
        >>> torch.allclose(Decorrelated().inverse(Decorrelated()(colours)), colours, atol=1e-5)
        True
    """

    matrix: Tensor

    def __init__(self, matrix: tuple[tuple[float, ...], ...] = IMAGENET_COLOR) -> None:
        super().__init__()
        self.rows = matrix
        exact = torch.tensor(matrix, dtype=torch.float64)
        if exact.shape != (3, 3):
            raise ValueError(f"colour matrix is {tuple(exact.shape)}; expected 3 rows of 3")
        exact = exact / torch.linalg.vector_norm(exact, dim=0).max()
        self.register_buffer("matrix", exact.to(torch.get_default_dtype()), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return _mixed(images, self.matrix)

    def inverse(self, images: Tensor) -> Tensor:
        unmatrix = torch.linalg.inv(self.matrix.cpu().double())
        return _mixed(images, unmatrix.to(images.dtype).to(images.device))

    def __repr__(self) -> str:
        return "Decorrelated()" if self.rows == IMAGENET_COLOR else f"Decorrelated({self.rows})"


class Sigmoid(ColorMap):
    """Any number to (0, 1). The inverse clips to half an 8-bit level from either end, where it is still finite.

    Example:
        >>> Sigmoid()(torch.zeros(1, 3, 1, 1)).flatten()
        tensor([0.5000, 0.5000, 0.5000])
    """

    def forward(self, images: Tensor) -> Tensor:
        return images.sigmoid()

    def inverse(self, images: Tensor) -> Tensor:
        return images.clamp(HALF_A_LEVEL, 1 - HALF_A_LEVEL).logit()


def _mixed(images: Tensor, matrix: Tensor) -> Tensor:
    return (matrix @ images.flatten(2)).view(images.shape)
