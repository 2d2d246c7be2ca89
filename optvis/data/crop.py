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
        rounds_down: where an odd number of pixels is cut off, whether the larger half is cut at the bottom and right,
            as Hugging Face's processors do; torchvision rounds the half to the nearest even number.
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    interpolation: str = "bilinear"
    rounds_down: bool = False

    def __call__(self, image: Any) -> Any:
        """Resize and crop a Pillow image, or a tensor (..., H, W)."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as F

        mode = InterpolationMode(self.interpolation)
        size = [self.resize] if isinstance(self.resize, int) else list(self.resize)
        resized = F.resize(image, size, interpolation=mode, antialias=True)
        _, height, width = F.get_dimensions(resized)
        top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
        if self.rounds_down and min(top, left) >= 0:
            return F.crop(resized, top, left, *self.crop)
        return F.center_crop(resized, list(self.crop))
