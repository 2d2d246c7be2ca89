"""The normalisation in what other libraries hand out for it: presets, chains of transforms, image processors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

# Transforms of torchvision and timm that load, resize or crop an image, which a Classifier does itself.
LOADERS = frozenset(
    (
        *("Resize", "CenterCrop", "ToTensor", "PILToTensor", "ToImage", "ToPureTensor", "ToDtype", "ConvertImageDtype"),
        *("ConvertImageDType", "MaybeToTensor", "MaybePILToTensor", "ResizeKeepRatio", "CenterCropOrPad"),
    )
)
LIBRARIES = ("torchvision.transforms", "timm.data")
MEANS = (("mean", "std"), ("image_mean", "image_std"))  # torchvision's presets, and processors of Hugging Face


def find_numbers(normalize: Any) -> tuple[Any, Any] | None:
    """Find the mean and the standard deviation in what prepares images as files; None for a function of tensors.

    Args:
        normalize: what users give for a normalisation.

    Raises:
        ValueError: a chain that loads images and does more than normalise them, or does not normalise them.

    Example:
        >>> from torchvision.transforms import Compose, Normalize, ToTensor
        >>> find_numbers(Compose([ToTensor(), Normalize((0.5,), (0.25,))]))
        ((0.5,), (0.25,))
    """
    steps = _list_steps(normalize)
    if steps is None:
        prepares = any(hasattr(normalize, name) for name in ("resize_size", "image_mean"))
        return next((_numbers(normalize, *names) for names in MEANS if prepares and hasattr(normalize, names[0])), None)
    others = [step for step in steps if not _is_loader(step)]
    if len(others) == len(steps):
        return None
    if len(others) != 1 or type(others[0]).__name__ != "Normalize":
        names = ", ".join(type(step).__name__ for step in steps)
        raise ValueError(
            f"normalize is {names}, and a Classifier loads, resizes and crops images itself; expected "
            "Normalize(mean, std) alone, a function of tensors (B, C, H, W) in [0, 1], or None"
        )
    return _numbers(others[0], "mean", "std")


def _list_steps(normalize: Any) -> list[Any] | None:
    """The steps of a chain, or a single one that loads images; None for anything else."""
    steps = list(normalize) if isinstance(normalize, nn.Sequential) else getattr(normalize, "transforms", None)
    if isinstance(steps, Iterable) and callable(normalize):
        return list(steps)
    return [normalize] if _is_loader(normalize) else None


def _is_loader(step: Callable[..., Any]) -> bool:
    return type(step).__name__ in LOADERS and type(step).__module__.startswith(LIBRARIES)


def _numbers(owner: Any, mean: str, std: str) -> tuple[Any, Any]:
    return getattr(owner, mean), getattr(owner, std)


def normalizes_inside(network: nn.Module) -> bool:
    """Whether a network normalises images itself: a detector of torchvision, or one that begins with a Normalize."""
    transform = getattr(network, "transform", None)
    if is_detector(network):
        return any(map(bool, getattr(transform, "image_mean", (1,))))
    first = next((module for module in network.modules() if not list(module.children())), None)
    return type(first).__name__ == "Normalize" and hasattr(first, "mean")


def is_detector(network: nn.Module) -> bool:
    """Whether this is a detector of torchvision, which resizes and normalises images itself."""
    return type(getattr(network, "transform", None)).__module__ == "torchvision.models.detection.transform"
