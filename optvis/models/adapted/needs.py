"""What a network asks of its input: a size of its own, channels, and more than images."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from optvis.data.images import RGB

SIZES = ("image_size", "img_size")  # attributes: torchvision's and Hugging Face's, timm's and DINO's
DEFAULT_SIZE = 224  # pixels; the input side of nearly all published ImageNet networks
PIXELS = "pixel_values"  # Hugging Face's name of the images
MAX_COLORS = 4  # a layer of more input channels may be one that is registered before the network's first


def find_size(network: nn.Module) -> tuple[int, int] | None:
    """Find the size, (H, W), of the images that a network says it was built for; None where it does not say.

    Networks of Hugging Face say it in their configs, others in attributes, or in those of `patch_embed` or `stem`.

    Example:
        >>> network = nn.Flatten()
        >>> network.image_size = 64
        >>> find_size(network), find_size(nn.Flatten())
        ((64, 64), None)
    """
    config = getattr(network, "config", None)
    parts = (getattr(network, name, None) for name in ("patch_embed", "stem"))
    owners = (config, getattr(config, "vision_config", None), *parts, network)
    found = (_as_size(getattr(owner, name, None)) for owner in owners for name in SIZES)
    return next(filter(None, found), None)


def find_patch(network: nn.Module) -> tuple[int, int] | None:
    """Find the size, (H, W), of the patches that a network says it cuts images into; None where it does not say.

    Example:
        >>> network = nn.Flatten()
        >>> network.patch_size = 16
        >>> find_patch(network), find_patch(nn.Flatten())
        ((16, 16), None)
    """
    config = getattr(network, "config", None)
    owners = (config, getattr(config, "vision_config", None), getattr(network, "patch_embed", None), network)
    return next(filter(None, (_as_size(getattr(owner, "patch_size", None)) for owner in owners)), None)


def first_channels(network: nn.Module, size: tuple[int, int]) -> int:
    """The input channels of a network's first convolution, or of its first linear layer over all pixels; else 3."""
    found = (getattr(module, "in_channels", None) for module in network.modules())
    counts = [count for count in found if isinstance(count, int)]
    if counts:
        is_stem = 0 < counts[0] <= MAX_COLORS or RGB not in counts
        return counts[0] if is_stem and counts[0] else RGB
    linear = next((module for module in network.modules() if isinstance(module, nn.Linear)), None)
    pixels = size[0] * size[1]
    is_whole = linear is not None and linear.in_features % pixels == 0
    return linear.in_features // pixels if linear is not None and is_whole else RGB


def _as_size(value: Any) -> tuple[int, int] | None:
    sides = (value, value) if isinstance(value, int) else value
    is_size = isinstance(sides, tuple | list) and len(sides) == 2 and all(isinstance(side, int) for side in sides)
    return (sides[0], sides[1]) if is_size and min(sides) > 0 else None


def explain_call(network: nn.Module) -> str:
    """What a network takes beside images, as a clause for an error message; "" where it takes images alone.

    Example:
        >>> class Pair(nn.Module):
        ...     def forward(self, images, text): ...
        >>> explain_call(Pair())
        'it takes more than images (text): say how it is called, Classifier(..., forward=lambda net, images: ...)'
    """
    known = list(inspect.signature(network.forward).parameters.values())
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [one.name for one in known if one.kind in kinds]
    needed = [one.name for one in known if one.kind in kinds and one.default is one.empty]
    needed += [one.name for one in known if one.kind is inspect.Parameter.KEYWORD_ONLY and one.default is one.empty]
    more = [name for name in needed[1:] if name != PIXELS]
    if PIXELS in names and names[0] != PIXELS:
        more = [names[0], *(name for name in more if name != names[0])]
    if not more:
        return ""
    part = "; or use its part for images, .vision_model" if hasattr(network, "vision_model") else ""
    return (
        f"it takes more than images ({', '.join(more)}): say how it is called, "
        f"Classifier(..., forward=lambda net, images: ...){part}"
    )
