"""How a network's publisher fits an image to the network's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ResizeCrop:
    """Resize so that the image covers `resize`, then crop the centre, as torchvision's and timm's presets do.

    Args:
        resize: the shorter side in pixels, or (height, width) where the aspect ratio is not kept.
        crop: (height, width) in pixels.
        interpolation: "bilinear", "bicubic", "nearest", … as torchvision and Pillow name them.
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    interpolation: str = "bilinear"

    def __call__(self, image: Any) -> Any:
        """Resize and crop a Pillow image, or a tensor (..., H, W)."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as F

        mode = InterpolationMode(self.interpolation)
        size = [self.resize] if isinstance(self.resize, int) else list(self.resize)
        return F.center_crop(F.resize(image, size, interpolation=mode, antialias=True), list(self.crop))
