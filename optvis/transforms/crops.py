"""Random crops of images that are larger than the network's input."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optvis.params.canvas import height_and_width
from optvis.params.streams import Streams
from optvis.transforms.affine import shift
from optvis.transforms.sizes import scale_size
from optvis.transforms.transform import Affine
from optvis.transforms.warp import Size


class Crop(Affine):
    """Crop a fixed size at a random position in whole pixels; every position inside the image is equally likely.

    Args:
        size: side, or (height, width), in pixels; a float is a share of the image's sides.

    Raises:
        ValueError: at the call, an image that is smaller than the crop.

    Example:
        >>> Crop(32)(torch.rand(2, 3, 64, 96), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 32, 32])
        >>> Crop(0.25)(torch.rand(2, 3, 64, 96), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 16, 24])
    """

    def __init__(self, size: int | Size | float) -> None:
        if isinstance(size, float) and not 0 < size <= 1:
            raise ValueError(f"Crop got {size}; expected pixels, or a share of the image's sides in (0, 1]")
        size = size if isinstance(size, float) else height_and_width(size)
        super().__init__(size)
        self.size = size

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        height, width = self.result_size(size)
        places = torch.tensor([size[1] - width + 1, size[0] - height + 1], dtype=torch.float64, device="cpu")
        return shift(-(streams.uniform(2) * places).floor())

    def result_size(self, size: Size) -> Size:
        if isinstance(self.size, float):
            return scale_size(size, self.size)
        if self.size[0] > size[0] or self.size[1] > size[1]:
            raise ValueError(
                f"{self!r} of an image of {size[0]} × {size[1]} px; expected an image at least as large: "
                "make the canvas larger, or put a Margin before it"
            )
        return self.size


class RandomResizedCrop(Affine):
    """Crop a random window and scale it to the size of the image, as torchvision's transform of that name does.

    The side of the window is log-uniform in a range, so that each scale is as likely as any other; every position is
    equally likely. Windows reach beyond the image by up to `overhang` on each side, so that its border takes part as
    often as its centre; `Pad` before it says what is there. A `Resize` after it reduces the number of pixels, and both
    are one sampling.

    Args:
        side: smallest and largest side of the window, as shares of the image's sides.
        overhang: how far a window may reach beyond the image, as a share of the image's sides.

    Raises:
        ValueError: no such range, or a negative overhang.

    Example:
        >>> from optvis.transforms import Compose, Pad, Resize
        >>> chain = Compose(Pad("reflect"), RandomResizedCrop((0.4, 1.0)), Resize(32))
        >>> chain(torch.rand(2, 3, 64, 64), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, side: tuple[float, float] = (0.4, 1.0), overhang: float = 0.05) -> None:
        super().__init__(tuple(side), overhang)
        if len(side) != 2 or not 0 < side[0] <= side[1] < math.inf:
            raise ValueError(f"RandomResizedCrop got side={side!r}; expected (smallest, largest), as positive shares")
        if not 0 <= overhang < math.inf:
            raise ValueError(f"RandomResizedCrop got overhang={overhang!r}; expected a share, 0 or more")
        self.side, self.overhang = tuple(side), overhang

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        numbers = streams.uniform(3)
        smallest, largest = self.side
        side = smallest * (largest / smallest) ** numbers[:, 2:]
        room = (1 - side).clamp(min=0) / 2 + self.overhang
        center = 0.5 + (2 * numbers[:, :2] - 1) * room
        return _window_to_image(center - side / 2, side, size)


class Zoom(Affine):
    """Crop a random window and scale it to the size of the image; the centre and the side are normally distributed.

    All numbers are shares of the image: x and y of the centre are drawn from N(0.5, 0.15), the side from
    N(0.25, 0.1), as the crops of MACO (Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude
    Constrained Optimization", 2023, arXiv:2306.06805). A window may reach beyond the image, see `Pad`. A `Resize` after
    it reduces the number of pixels, and both are one sampling.

    Args:
        center: mean and standard deviation of each coordinate of the centre.
        side: mean and standard deviation of the side.
        min_side: smaller sides become this, and sides over 1 become 1. Both limits are those of Xplique, the authors'
            library (`xplique.features_visualizations.maco`).

    Example:
        >>> from optvis.transforms import Compose, Resize
        >>> Compose(Zoom(), Resize(32))(torch.rand(2, 3, 128, 128), Streams((0, 1), "demo")).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self, center: tuple[float, float] = (0.5, 0.15), side: tuple[float, float] = (0.25, 0.1), min_side: float = 0.05
    ) -> None:
        super().__init__(tuple(center), tuple(side), min_side)
        for name, pair in (("center", center), ("side", side)):
            if len(pair) != 2 or not all(map(math.isfinite, pair)) or pair[1] < 0:
                raise ValueError(f"Zoom got {name}={pair!r}; expected mean and standard deviation, as shares")
        if not 0 < min_side <= 1:
            raise ValueError(f"Zoom got min_side={min_side!r}; expected a share in (0, 1]")
        self.center, self.side, self.min_side = tuple(center), tuple(side), min_side

    def matrix(self, size: Size, streams: Streams) -> Tensor:
        noise = streams.normal(3)
        center = self.center[0] + self.center[1] * noise[:, :2]
        side = (self.side[0] + self.side[1] * noise[:, 2:]).clamp(self.min_side, 1.0)
        return _window_to_image(center - side / 2, side, size)


def _window_to_image(corner: Tensor, side: Tensor, size: Size) -> Tensor:
    """Build the matrix that scales a window to the whole image.

    Args:
        corner: x and y of the window's corner, as shares of the image's sides, (B, 2).
        side: of the window, as a share, (B, 1).
        size: (H, W) of the image, in pixels.
    """
    start = corner * torch.tensor([size[1], size[0]], dtype=torch.float64, device="cpu")
    matrix = shift((0.5 - start) / side - 0.5)  # pixel centres lie at halves
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 / side[:, 0]
    return matrix
