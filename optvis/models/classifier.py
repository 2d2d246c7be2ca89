"""A network together with what its publisher says of it: normalisation, input size, labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from optvis.data.images import Framing
from optvis.params.canvas import height_and_width

Normalizer: TypeAlias = Callable[[Tensor], Tensor] | None

CARRIED = "carried"  # the normalisation that the model brings with it
USUAL_SIZE = 224  # pixels; what nearly all published ImageNet networks take


@dataclass(frozen=True)
class Normalize:
    """(x − mean) / std of each channel, as torchvision's and timm's networks expect it.

    Args:
        mean: one number a channel.
        std: one number a channel.

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


# Mean and deviation of ImageNet's training pixels, as torchvision publishes them with its weights.
IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Classifier:
    """A network and how it is fed. Every function of optvis that takes a network takes a Classifier.

    Args:
        network: any module that takes images (B, 3, H, W).
        normalize: what is done to images in [0, 1] before the network sees them; None leaves them as they are.
        size: side, or (height, width), of its input in pixels.
        labels: a text per class, in the order of its outputs.
        framing: how its publisher crops photographs; by default the shorter side is resized to the input's.
        name: what recipes and tables call it.
        fixed_size: whether it takes its own size only, as most transformers do.

    Example:
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
        >>> Classifier(net, IMAGENET, 8, labels=("cat", "dog")).size
        (8, 8)
    """

    network: nn.Module
    normalize: Normalizer
    size: tuple[int, int]
    labels: tuple[str, ...]
    framing: Framing
    name: str
    fixed_size: bool

    def __init__(
        self,
        network: nn.Module,
        normalize: Normalizer,
        size: int | tuple[int, int],
        labels: Sequence[str] = (),
        framing: Framing | None = None,
        name: str = "",
        fixed_size: bool = False,
    ) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError(f"network is a {type(network).__name__}; expected an nn.Module")
        if normalize is not None and not callable(normalize):
            raise TypeError(f"normalize is {normalize!r}; expected Normalize(mean, std), a function or None")
        if isinstance(labels, str):
            raise TypeError(f"labels is the text {labels!r}; expected a text per class, [{labels!r}, …]")
        sides = height_and_width(size)
        covering = min(sides) if sides[0] == sides[1] else sides
        values = {
            "network": network,
            "normalize": normalize,
            "size": sides,
            "labels": tuple(labels),
            "framing": Framing(covering, sides) if framing is None else framing,
            "name": name if name else type(network).__name__,
            "fixed_size": fixed_size,
        }
        for field, value in values.items():
            object.__setattr__(self, field, value)

    @property
    def device(self) -> torch.device:
        """Where the network's parameters are; the CPU if it has none."""
        return self._example.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the network's real parameters; the default one if it has none."""
        return self._example.dtype

    @property
    def image_dtype(self) -> torch.dtype:
        """Of images and their parameters: the network's, but at least float32."""
        return torch.promote_types(self.dtype, torch.float32)

    @property
    def _example(self) -> Tensor:
        real = (weight for weight in self.network.parameters() if weight.is_floating_point())
        return next(real, torch.empty(0))

    def sized(self, size: int | tuple[int, int] | None) -> tuple[int, int]:
        """(H, W) in pixels: the given size, or the network's own."""
        return self.size if size is None else height_and_width(size)

    def prepared(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] as the network takes them: normalised, channels last, of its dtype."""
        images = images.to(self.image_dtype)
        inputs = images if self.normalize is None else self.normalize(images)
        ready = inputs.to(self.dtype).contiguous(memory_format=torch.channels_last)
        # A network may begin in place, and must not reach the images themselves.
        return ready.clone() if ready.data_ptr() == images.data_ptr() else ready

    def __repr__(self) -> str:
        height, width = self.size
        return (
            f"Classifier({self.name!r}, {height} × {width} px, {len(self.labels)} labels, "
            f"normalize={self.normalize}, {self.dtype} on {self.device})"
        )


def as_classifier(model: nn.Module | Classifier, normalize: Normalizer | str = CARRIED) -> Classifier:
    """A Classifier, from one or from a bare network that carries its normalisation or is told it.

    Raises:
        TypeError: the model is neither.
        ValueError: a bare network that carries nothing, and no normalisation was told.
    """
    if isinstance(model, Classifier):
        return model if isinstance(normalize, str) else replace_normalization(model, normalize)
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}; expected an nn.Module or a Classifier, e.g. load(name)")
    carried = _carried(model)
    if isinstance(normalize, str):
        if normalize != CARRIED:
            raise ValueError(f"normalize is {normalize!r}; expected Normalize(mean, std), a function or None")
        if carried is None:
            raise ValueError(
                f"{type(model).__name__} does not say how its input is normalised; give normalize=IMAGENET, "
                "normalize=Normalize(mean, std), a function, or None if it takes [0, 1] as it is "
                "(from optvis.models.classifier import IMAGENET, Normalize)"
            )
        return carried
    if carried is not None:
        return replace_normalization(carried, normalize)
    return Classifier(model, normalize, USUAL_SIZE)


def replace_normalization(classifier: Classifier, normalize: Normalizer) -> Classifier:
    """The same classifier, fed otherwise."""
    return replace(classifier, normalize=normalize)


def _carried(network: nn.Module) -> Classifier | None:
    """What a bare network says of itself: timm's in its config, torchvision's by where its class comes from."""
    if isinstance(getattr(network, "pretrained_cfg", None), dict):
        return from_timm(network)
    if type(network).__module__.startswith("torchvision.models."):
        side = getattr(network, "image_size", None)
        return Classifier(network, IMAGENET, side if side else USUAL_SIZE, fixed_size=side is not None)
    return None


def from_timm(network: nn.Module, name: str = "") -> Classifier:
    """A timm network with the mean, deviation, size, crop and labels of its own config."""
    from timm.data import ImageNetInfo, infer_imagenet_subset, resolve_model_data_config

    config: dict[str, Any] = resolve_model_data_config(network)
    height, width = config["input_size"][1:]
    covering = int(height / config["crop_pct"]), int(width / config["crop_pct"])
    keeps_aspect = config["crop_mode"] != "squash" and height == width
    subset = infer_imagenet_subset(network)
    return Classifier(
        network,
        Normalize(config["mean"], config["std"]),
        (height, width),
        ImageNetInfo(subset).label_descriptions() if subset else (),
        Framing(covering[0] if keeps_aspect else covering, (height, width), config["interpolation"]),
        name,
        fixed_size=bool(network.pretrained_cfg.get("fixed_input_size", False)),  # type: ignore[union-attr, operator]
    )


__all__ = ["CARRIED", "IMAGENET", "Classifier", "Normalize", "Normalizer", "as_classifier", "from_timm"]
