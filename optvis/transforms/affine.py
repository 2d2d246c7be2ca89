"""Random affine transforms that keep the size of the image: shift, scale, rotation, flip."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from optvis.params.streams import Streams
from optvis.transforms.transform import Affine, require_pixels
from optvis.transforms.warp import Size


class Jitter(Affine):
    """Shift by whole pixels, uniform over `pixels` + 1 values around 0, in x and in y.

    Lucid's jitter crops away `pixels` at random; here the image keeps its size.

    Args:
        pixels: width of the range.

    Example:
        >>> Jitter(8).matrix((64, 64), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 3])
    """

    def __init__(self, pixels: int) -> None:
        super().__init__(pixels)
        self.pixels = require_pixels(pixels, "Jitter")

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        return shift((streams.uniform(2) * (self.pixels + 1)).floor() - self.pixels // 2)


class Scale(Affine):
    """Scale about the centre by a random factor.

    Args:
        factors: the factors to choose from, each equally likely; more than 1 enlarges.

    Example:
        >>> bool((Scale([2.0]).matrix((3, 3), Streams((0,), "demo"))[0, 0, 0] == 2.0))
        True
    """

    def __init__(self, factors: Sequence[float]) -> None:
        self.factors = tuple(float(factor) for factor in factors)
        super().__init__([_shorten(factor) for factor in self.factors])
        if not self.factors or not all(0 < factor < math.inf for factor in self.factors):
            raise ValueError(f"Scale got {factors!r}; expected positive factors")

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        factor = _choose(self.factors, streams)
        return _rotation_and_scale(size, angle=torch.zeros_like(factor), scale=factor)


class Rotate(Affine):
    """Rotate about the centre by a random angle.

    Args:
        degrees: the angles to choose from, each equally likely; positive is anticlockwise, as in kornia.

    Example:
        >>> Rotate(range(-10, 11))
        Rotate([-10, -9, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    """

    def __init__(self, degrees: Sequence[float]) -> None:
        self.degrees = tuple(float(angle) for angle in degrees)
        super().__init__([_shorten(angle) for angle in self.degrees])
        if not self.degrees or not all(map(math.isfinite, self.degrees)):
            raise ValueError(f"Rotate got {degrees!r}; expected angles in degrees")

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        angle = _choose(self.degrees, streams)
        return _rotation_and_scale(size, angle=angle, scale=torch.ones_like(angle))


class Flip(Affine):
    """Mirror left and right at random.

    Args:
        p: probability, in [0, 1].

    Example:
        >>> Flip(1.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]]), Streams((0,), "demo"))
        tensor([[[[3., 2., 1.]]]])
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(_shorten(p))
        if not 0 <= p <= 1:
            raise ValueError(f"Flip got p={p!r}; expected a probability in [0, 1]")
        self.p = float(p)

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        flipped = streams.uniform(1)[:, 0] < self.p
        matrix = shift(torch.zeros(len(streams), 2, dtype=torch.float64, device="cpu"))
        matrix[flipped, 0, 0] = -1
        matrix[flipped, 0, 2] = size[1] - 1
        return matrix


def shift(pixels: Tensor) -> Tensor:
    """Build the matrix of a shift by (x, y) pixels, (B, 2) -> (B, 3, 3)."""
    matrix = torch.eye(3, dtype=torch.float64, device="cpu").repeat(len(pixels), 1, 1)
    matrix[:, :2, 2] = pixels
    return matrix


def _rotation_and_scale(size: Size, angle: Tensor, scale: Tensor) -> Tensor:
    from kornia.geometry.conversions import convert_affinematrix_to_homography
    from kornia.geometry.transform import get_rotation_matrix2d

    height, width = size
    centre = torch.tensor([[(width - 1) / 2, (height - 1) / 2]], dtype=torch.float64, device="cpu").expand(
        len(angle), 2
    )
    matrix = get_rotation_matrix2d(centre, angle, scale.unsqueeze(1).expand(-1, 2))
    homography: Tensor = convert_affinematrix_to_homography(matrix)
    return homography


def _choose(choices: tuple[float, ...], streams: Streams) -> Tensor:
    index = (streams.uniform(1).squeeze(1) * len(choices)).long()
    return torch.tensor(choices, dtype=torch.float64, device="cpu")[index]


def _shorten(number: float) -> float:
    """Return an integer where a number is one, for the `repr`."""
    return int(number) if float(number).is_integer() else number
