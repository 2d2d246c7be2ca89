"""Colour maps: invertible maps from a canvas to colours in [0, 1]."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from optvis.params.dtype import parameter_dtype

#: Columns: the square root of the colour covariance of ImageNet's training pixels, as Lucid publishes it
#: (lucid.optvis.param.color, 2017), divided there by its largest column norm.
IMAGENET_COLOR = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))

RANGE_TOLERANCE = 1e-3  # how far values may lie outside [0, 1]
HALF_LEVEL = 1 / 512  # half of one of the 256 levels of an 8-bit image
LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601), as in Pillow


class ColorMap(nn.Module, ABC):
    """An invertible map of images, (B, C, H, W) -> (B, C, H, W).

    Example:
        >>> class Negative(ColorMap):
        ...     def forward(self, images):
        ...         return 1 - images
        ...     inverse = forward
        >>> Negative().inverse(Negative()(torch.full((1, 3, 1, 1), 0.25))).flatten()
        tensor([0.2500, 0.2500, 0.2500])
    """

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map images, (B, C, H, W) -> (B, C, H, W)."""

    @abstractmethod
    def inverse(self, images: Tensor) -> Tensor:
        """Find the images that `forward` maps to these."""

    def __getitem__(self, rows: slice) -> Self:
        """Return the map for some of the images; it shares its parameters with this one."""
        return copy.deepcopy(self, {id(values): values for values in self.parameters()})


class DecorrelatedColor(ColorMap):
    """The map from decorrelated colour to RGB: rgb = C t at each pixel, with C normalised by its largest column norm.

    The components of t are the axes along which colours of natural images vary independently (Olah et al., "Feature
    Visualization", Distill 2017, doi:10.23915/distill.00007). Channels after the third, such as alpha, do not change.

    Args:
        matrix: 3 rows of 3, the square root of a colour covariance, e.g. `color_matrix(images)`; by default ImageNet's.

    Raises:
        ValueError: another shape, or a matrix without an inverse; at the call, images of fewer than 3 channels.

    Example:
        >>> colours = torch.rand(1, 3, 4, 4)
        >>> torch.allclose(DecorrelatedColor().inverse(DecorrelatedColor()(colours)), colours, atol=1e-5)
        True
    """

    matrix: Tensor

    def __init__(self, matrix: Sequence[Sequence[float]] | Tensor = IMAGENET_COLOR) -> None:
        super().__init__()
        lengths = {len(row) for row in matrix} if isinstance(matrix, Sequence) else set()
        if len(lengths) > 1:
            raise ValueError(
                f"colour matrix has rows of {min(lengths)} and {max(lengths)} numbers; expected 3 rows of 3"
            )
        exact = torch.as_tensor(matrix, dtype=torch.float64, device="cpu").detach().cpu()
        if exact.shape != (3, 3):
            raise ValueError(f"colour matrix is {tuple(exact.shape)}; expected 3 rows of 3")
        self.rows = tuple(tuple(row) for row in exact.tolist())
        if not exact.isfinite().all() or int(torch.linalg.matrix_rank(exact)) < 3:
            raise ValueError(f"colour matrix {self.rows} has no inverse; its columns must be three independent colours")
        exact = exact / torch.linalg.vector_norm(exact, dim=0).max()
        self.register_buffer("matrix", exact.to(parameter_dtype()), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return _apply_matrix(images, self.matrix)

    def inverse(self, images: Tensor) -> Tensor:
        unmatrix = torch.linalg.inv(self.matrix.cpu().double())
        return _apply_matrix(images, unmatrix.to(images.dtype).to(images.device))

    def __repr__(self) -> str:
        return "DecorrelatedColor()" if self.rows == IMAGENET_COLOR else f"DecorrelatedColor({self.rows})"


@torch.no_grad()
def color_matrix(images: Tensor) -> tuple[tuple[float, ...], ...]:
    """Compute the `matrix` of `DecorrelatedColor` from images of your own: the square root of their colour covariance.

    C = U √Λ with the covariance of all pixels Σ = U Λ Uᵀ, so that C Cᵀ = Σ. The columns are in the order of decreasing
    eigenvalues, each with a red part that is not negative. Lucid computed ImageNet's matrix in the same way
    (lucid.optvis.param.color, 2017).

    Args:
        images: (N, 3, H, W) in [0, 1].

    Returns:
        3 rows of 3 numbers.

    Raises:
        ValueError: images of another shape, or whose colours lie in a plane of RGB, as those of grey images do.

    Example:
        >>> matrix = color_matrix(torch.rand(4, 3, 32, 32))
        >>> DecorrelatedColor(matrix).matrix.shape
        torch.Size([3, 3])
    """
    if images.dim() != 4 or images.shape[1] != 3:
        raise ValueError(f"images are {tuple(images.shape)}; expected (N, 3, H, W)")
    colours = images.detach().cpu().double().transpose(0, 1).flatten(1)
    covariance = torch.cov(colours, correction=0)
    values, axes = torch.linalg.eigh(covariance)
    if not values[0] > 1e-9 * values[2]:
        raise ValueError("the colours of these images lie in a plane, as grey does; give images of more colours")
    root = (axes * values.sqrt()).flip(1)
    root = torch.where(root[0] < 0, -root, root)
    return tuple(tuple(row) for row in root.tolist())


class Sigmoid(ColorMap):
    """The sigmoid, from any number to (0, 1). The inverse first clips to half an 8-bit level from 0 and 1.

    Example:
        >>> Sigmoid()(torch.zeros(1, 3, 1, 1)).flatten()
        tensor([0.5000, 0.5000, 0.5000])
    """

    def forward(self, images: Tensor) -> Tensor:
        return images.sigmoid()

    def inverse(self, images: Tensor) -> Tensor:
        return images.clamp(HALF_LEVEL, 1 - HALF_LEVEL).logit()


class Grayscale(ColorMap):
    """The map from one channel to three equal ones: grey images for a network that takes RGB.

    The inverse is the luma of a colour, 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Example:
        >>> Grayscale()(torch.rand(2, 1, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[1] != 1:
            raise ValueError(f"Grayscale got {images.shape[1]} channels; expected a canvas with channels=1")
        return images.expand(-1, 3, -1, -1)

    def inverse(self, images: Tensor) -> Tensor:
        return (images * images.new_tensor(LUMA_WEIGHTS).view(3, 1, 1)).sum(1, keepdim=True)


def _apply_matrix(images: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the first three channels by the matrix."""
    if images.shape[1] < 3:
        raise ValueError(f"DecorrelatedColor got {images.shape[1]} channels; expected three or more; remove the map")
    colours = (matrix @ images[:, :3].flatten(2)).view_as(images[:, :3])
    return colours if images.shape[1] == 3 else torch.cat([colours, images[:, 3:]], dim=1)


def check_range(images: Tensor, name: str) -> None:
    """Raise if images are not floats in [0, 1]."""
    if not images.is_floating_point():
        raise TypeError(f"{name} are {images.dtype}; expected floats in [0, 1]: divide by 255")
    lowest, highest = float(images.detach().min()), float(images.detach().max())
    if not (lowest >= -RANGE_TOLERANCE and highest <= 1 + RANGE_TOLERANCE):
        raise ValueError(f"{name} run from {lowest:g} to {highest:g}; expected [0, 1]")
