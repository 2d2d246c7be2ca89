"""How a network's input is normalised, and how many channels it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from optvis.data.images import RGB
from optvis.models.adapted.needs import first_channels
from optvis.models.adapted.normalizer import find_numbers
from optvis.params.dtype import constant_like

Normalizer: TypeAlias = Callable[[Tensor], Tensor] | None

INFER = "infer"  # use the normalisation that the model brings with it


@dataclass(frozen=True)
class Normalize:
    """(x − mean) / std of each channel, as torchvision's and timm's networks expect it.

    Args:
        mean: one number for each channel; for a network that is loaded by name, one for all of them will do.
        std: the same.

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
            raise ValueError(f"mean {self.mean} and std {self.std}: expected one of each per channel, std positive")

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)"""
        if images.shape[1] != len(self.mean):
            cure = "; lay alpha over a background with a transform" if images.shape[1] == 4 else ""
            raise ValueError(f"images have {images.shape[1]} channels, the network takes {len(self.mean)}{cure}")
        mean, std = (constant_like(numbers, images).view(-1, 1, 1) for numbers in (self.mean, self.std))
        return torch.addcmul(-mean / std, images, 1 / std)

    def with_channels(self, count: int) -> Normalize:
        """The same for images of another number of channels: each gets the averages of these."""
        if count == len(self.mean):
            return self
        return Normalize((sum(self.mean) / len(self.mean),) * count, (sum(self.std) / len(self.std),) * count)


def as_normalizer(normalize: Normalizer) -> Normalizer:
    """Take the mean and standard deviation out of what prepares images as files; a function of tensors stays as it is.

    Raises:
        ValueError: a chain that does more than resize, crop and normalise; see `find_numbers`.
    """
    numbers = None if isinstance(normalize, Normalize) else find_numbers(normalize)
    return normalize if numbers is None else Normalize(*numbers)


def count_channels(network: nn.Module, normalize: Normalizer, size: tuple[int, int]) -> int:
    """Count the channels of the images that a network is given: by its normalisation, else by its first layer.

    A function that normalises may turn RGB into other channels; where it does not, the images have the network's own.

    Example:
        >>> count_channels(nn.Conv2d(1, 8, 3), None, (28, 28)), count_channels(nn.Linear(784, 10), None, (28, 28))
        (1, 1)
    """
    if isinstance(normalize, Normalize):
        return len(normalize.mean)
    count = first_channels(network, size)
    if count == RGB or normalize is None:
        return count
    keeps_own = _channels_after(normalize, count, size) == count != _channels_after(normalize, RGB, size)
    return count if keeps_own else RGB


@torch.no_grad()
def _channels_after(normalize: Callable[[Tensor], Tensor], count: int, size: tuple[int, int]) -> int | None:
    """How many channels a function makes of so many; None where it takes no such images."""
    try:
        after = normalize(torch.zeros(1, count, *size, dtype=torch.float32, device="cpu"))
    except Exception:  # whatever a function of somebody's raises
        return None
    return after.shape[1] if isinstance(after, Tensor) and after.dim() == 4 else None


#: Mean and standard deviation of ImageNet's training pixels, as torchvision publishes them with its weights.
IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
