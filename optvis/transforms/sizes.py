"""Affine transforms that change the size, the same for every image: resize, margin, crop or pad about the centre."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.params.canvas import height_and_width
from optvis.params.streams import Streams
from optvis.transforms.affine import shift
from optvis.transforms.transform import Affine, require_pixels
from optvis.transforms.warp import Size


class Resize(Affine):
    """Resize to a size in pixels, e.g. to the network's input.

    Args:
        size: side, or (height, width), in pixels; a float is a share of the image's sides.
        at_least: with a share, the smallest side, or (height, width), in pixels; images smaller than this keep their
            size.

    Example:
        >>> Resize(0.5, at_least=40)(torch.rand(1, 3, 64, 96), Streams((0,), "demo")).shape
        torch.Size([1, 3, 40, 48])
        >>> Resize(32)(torch.rand(2, 3, 64, 64), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, size: int | Size | float, at_least: int | Size = 1) -> None:
        if isinstance(size, float) and not size > 0:
            raise ValueError(f"Resize got {size}; expected pixels, or a positive share of the image's sides")
        size = size if isinstance(size, float) else height_and_width(size)
        self.at_least = height_and_width(at_least)
        super().__init__(size, *([] if self.at_least == (1, 1) else [self.at_least]))
        self.size = size

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        matrix = torch.eye(3, dtype=torch.float64, device="cpu")
        height, width = self.result_size(size)
        for axis, factor in enumerate((width / size[1], height / size[0])):
            matrix[axis, axis] = factor
            matrix[axis, 2] = (factor - 1) / 2  # pixel centres lie at halves
        return matrix.repeat(len(streams), 1, 1)

    def result_size(self, size: Size) -> Size:
        if not isinstance(self.size, float):
            return self.size
        scaled = scale_size(size, self.size)
        height, width = (
            max(side, min(own, least)) for side, own, least in zip(scaled, size, self.at_least, strict=True)
        )
        return height, width


class Margin(Affine):
    """Add a margin on every side, filled with the padding: that of a `Pad` before it, or the repeated edge.

    Lucid's `pad(12, mode="constant", constant_value=.5)` is `Pad(0.5), Margin(12)`.

    Args:
        pixels: width of the margin.

    Example:
        >>> Margin(12)(torch.rand(1, 3, 40, 50), Streams((0,), "demo")).shape
        torch.Size([1, 3, 64, 74])
    """

    def __init__(self, pixels: int) -> None:
        super().__init__(pixels)
        self.pixels = require_pixels(pixels, "Margin")

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        return shift(torch.full((len(streams), 2), self.pixels, dtype=torch.float64, device="cpu"))

    def result_size(self, size: Size) -> Size:
        return size[0] + 2 * self.pixels, size[1] + 2 * self.pixels


class CropOrPad(Affine):
    """Crop or pad to a size about the centre.

    Lucid's `crop_or_pad_to`. If the difference is odd, the smaller half is above and on the left, as in
    tf.image.resize_with_crop_or_pad.

    Args:
        size: side, or (height, width), in pixels.

    Example:
        >>> CropOrPad((20, 60))(torch.rand(1, 3, 40, 50), Streams((0,), "demo")).shape
        torch.Size([1, 3, 20, 60])
    """

    def __init__(self, size: int | Size) -> None:
        super().__init__(height_and_width(size))
        self.size = height_and_width(size)

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        left, top = (int((self.size[axis] - size[axis]) / 2) for axis in (1, 0))  # int() rounds towards 0
        return shift(torch.tensor([[left, top]], dtype=torch.float64, device="cpu").expand(len(streams), 2))

    def result_size(self, size: Size) -> Size:
        return self.size


def scale_size(size: Size, share: float) -> Size:
    """Scale both sides, (H, W), to at least one pixel."""
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))
