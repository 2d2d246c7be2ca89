"""How an image processor of Hugging Face feeds a network: normalisation, resizing and cropping, size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import Any

from torch import Tensor

from optvis.data.crop import ResizeCrop
from optvis.models.adapted.needs import DEFAULT_SIZE
from optvis.models.normalize import Normalize, Normalizer

LEVEL = 255  # of 8 bits
DECIMALS = 9  # of 255 times a factor that is meant to be 1/255
SQUEEZED = 384  # pixels: from this side on, ConvNext's processor squeezes images, and crops smaller ones
LEVIT = 256 / 224  # by which Levit's processor enlarges the shorter side
INTERPOLATIONS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")  # by Pillow's numbers of its filters
BILINEAR = 2


@dataclass(frozen=True)
class ReverseChannels:
    """Normalise images and reverse their channels, for networks that take BGR.

    Args:
        normalize: before that, or None.
    """

    normalize: Normalizer

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)"""
        return (images if self.normalize is None else self.normalize(images)).flip(1)


def read_processor(processor: Any) -> tuple[Normalizer, Callable[[Any], Any], tuple[int, int]]:
    """Read an image processor of transformers.

    Returns:
        The normalisation of images in [0, 1]; how images are resized and cropped; the size, (H, W).

    Example:
        >>> from types import SimpleNamespace
        >>> processor = SimpleNamespace(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224},
        ...     do_center_crop=True, resample=3, do_normalize=True, image_mean=[0.5] * 3, image_std=[0.25] * 3)
        >>> read_processor(processor)[1]
        ResizeCrop(resize=256, crop=(224, 224), interpolation='bicubic', rounds_down=True)
    """
    crop = _read_crop(processor)
    return _read_normalization(processor), crop, crop.crop


def _read_normalization(processor: Any) -> Normalizer:
    """(255 r x − o − mean) / std of a processor that multiplies by r and subtracts o; by default 1/255 and 0."""
    is_rescaled = getattr(processor, "do_rescale", True)
    factor = round(LEVEL * getattr(processor, "rescale_factor", 1 / LEVEL), DECIMALS) if is_rescaled else LEVEL
    offset = 1 if getattr(processor, "rescale_offset", False) else 0
    mean, std = [0.0] * 3, [1.0] * 3
    if getattr(processor, "do_normalize", False):
        mean, std = (list(numbers) for numbers in (processor.image_mean, processor.image_std))
    if getattr(processor, "include_top", False):  # of EfficientNet, which divides twice
        std = [number * number for number in std]
    shifted = Normalize(tuple((m + offset) / factor for m in mean), tuple(s / factor for s in std))
    is_identity = not any(shifted.mean) and set(shifted.std) == {1.0}
    normalize = None if is_identity else shifted
    return ReverseChannels(normalize) if getattr(processor, "do_flip_channel_order", False) else normalize


def _read_crop(processor: Any) -> ResizeCrop:
    resample = getattr(processor, "resample", None)
    mode = INTERPOLATIONS[BILINEAR if resample is None else int(resample)]
    size = _read_sides(getattr(processor, "size", None))
    if size is None:  # of SigLIP 2, which takes patches
        patch, count = getattr(processor, "patch_size", None), getattr(processor, "max_num_patches", None)
        size = (patch * isqrt(count),) * 2 if patch and count else (DEFAULT_SIZE,) * 2
    if getattr(processor, "do_center_crop", False):
        crop = _read_sides(getattr(processor, "crop_size", None)) or size
        crop = (crop, crop) if isinstance(crop, int) else crop
        is_levit = type(processor).__name__.startswith("Levit") and isinstance(size, int)
        return ResizeCrop(int(LEVIT * size) if is_levit else size, crop, mode, rounds_down=True)  # type: ignore[operator]
    if isinstance(size, int):
        fraction = getattr(processor, "crop_pct", None)
        resize = int(size / fraction) if fraction and size < SQUEEZED else size
        return ResizeCrop(
            (size, size) if fraction and size >= SQUEEZED else resize, (size, size), mode, rounds_down=True
        )
    return ResizeCrop(size, size, mode, rounds_down=True)


def _read_sides(size: Any) -> int | tuple[int, int] | None:
    """The shorter side, or (height, width), in a processor's size; None where it says neither."""
    if size is None or isinstance(size, int):
        return size
    get = size.get if hasattr(size, "get") else lambda key, default=None: getattr(size, key, default)
    if get("height") and get("width"):
        return int(get("height")), int(get("width"))
    side = get("shortest_edge") or get("longest_edge")
    return int(side) if side else None
