"""How a network's input is normalised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Normalizer: TypeAlias = Callable[[Tensor], Tensor] | None

INFER = "infer"  # use the normalisation that the model brings with it


@dataclass(frozen=True)
class Normalize:
    """(x − mean) / std of each channel, as torchvision's and timm's networks expect it.

    Args:
        mean: one number for each channel.
        std: one number for each channel.

    Example:
        >>> IMAGENET(torch.full((1, 3, 1, 1), 0.5)).flatten()
        tensor([0.0655, 0.1964, 0.4178])
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(map(float, self.mean)))
        object.__setattr__(self, "std", tuple(map(float, self.std)))
        if len(self.mean) != len(self.std) or not all(deviation > 0 for deviation in self.std):
            raise ValueError(f"mean {self.mean} and std {self.std}: expected one of each a channel, std positive")

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)"""
        if images.shape[1] != len(self.mean):
            cure = "; lay alpha over a background with a transform" if images.shape[1] == 4 else ""
            raise ValueError(f"images have {images.shape[1]} channels, the network takes {len(self.mean)}{cure}")
        mean, std = (images.new_tensor(numbers).view(-1, 1, 1) for numbers in (self.mean, self.std))
        return torch.addcmul(-mean / std, images, 1 / std)


#: Mean and standard deviation of ImageNet's training pixels, as torchvision publishes them with its weights.
IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
