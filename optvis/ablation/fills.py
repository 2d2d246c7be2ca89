"""Fills, the values that replace ablated units: constants, means, noise, activations of other images."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from optvis.ablation.unit_activations import channel_moments, read_units
from optvis.data.dataset import Images
from optvis.features.projection import Projection
from optvis.features.unit_options import expand_fill
from optvis.features.units import Units
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.models.normalize import INFER, Normalizer
from optvis.params import Streams

# The layer's activations, (B, C, ...), or codes of features, (B, K, ...), -> what replaces units in them: a number, or
# a tensor that broadcasts to them.
Replacement: TypeAlias = Callable[[Tensor], Tensor | float]


class Fill(ABC):
    """A fill that is computed from the network before units are switched off.

    A subclass implements `measure`. It returns one function per units, which is called in each forward pass.

    Example:
        >>> from optvis.ablation import blinded
        >>> from optvis import Channels
        >>> class Own(Fill):
        ...     def measure(self, model, units):
        ...         return [lambda activations: activations.mean((2, 3), keepdim=True) for _ in units]
        >>> net, images = nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8)
        >>> with blinded(net, Channels("", 1), fill=Own()):
        ...     ablated = net(images)[:, 1]
        >>> ablated.std((1, 2)).max().item() < 1e-6
        True
    """

    @abstractmethod
    def measure(self, model: nn.Module | Classifier, units: Sequence[Units]) -> Sequence[Replacement]:
        """Return one replacement for each of the units, measured on the network without further ablation.

        A replacement is a function of the layer's activations with channels on axis 1, (B, C, ...). It returns a
        number, or a tensor that broadcasts to the activations; (C,) is one number per channel.
        """


FillLike: TypeAlias = Fill | float | Tensor | Mapping[str, float | Tensor] | None


@dataclass(frozen=True, eq=False)
class Constant:
    """The same number everywhere, or one per channel, (C,), or anything that broadcasts to (B, C, ...)."""

    values: float | Tensor
    factor: ClassVar[float] = 0.0  # of the activations

    def __post_init__(self) -> None:
        if not bool(torch.as_tensor(self.values, device="cpu").isfinite().all()):
            raise ValueError(f"fill is {self.values}; expected finite numbers")

    def __call__(self, activations: Tensor) -> Tensor | float:
        if isinstance(self.values, Tensor):
            check_fill(self.values, activations.shape)
        return self.values


def check_fill(values: Tensor, shape: Sequence[int]) -> None:
    """Raise ValueError where values are neither one per channel nor broadcast to activations of a shape (B, C, ...)."""
    if values.dim() == 1:
        check_length(len(values), shape[1])
    own = tuple(values.shape) if values.dim() > 1 else ()
    pairs = zip(reversed(own), reversed(shape), strict=False)
    if len(own) > len(shape) or any(side not in (1, whole) for side, whole in pairs):
        raise ValueError(f"fill has shape {own}; expected one number per channel, (C,), of activations {tuple(shape)}")


def check_length(numbers: int, channels: int) -> None:
    """Raise ValueError where a fill of so many numbers has another one than a layer has channels, or features."""
    if numbers != channels:
        raise ValueError(f"fill has {numbers} numbers; the layer has {channels} channels or features")


@dataclass(frozen=True, eq=False)
class Mean(Fill):
    """The mean of each channel or feature over images and positions; for directions, the mean activation's part.

    Args:
        images: images in any form that `load_image` takes.

    Example:
        >>> from optvis.ablation import blinded
        >>> from optvis import Channels
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 8)
        >>> images = torch.rand(5, 3, 8, 8)
        >>> with blinded(net, Channels("", 2), fill=Mean(images)):
        ...     ablated = net.network(images)[:, 2]
        >>> bool(torch.allclose(ablated, net.network(images)[:, 2].mean()))
        True
    """

    images: Images = field(repr=False)

    def measure(self, model: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Replacement, ...]:
        return tuple(Constant(mean) for mean, _ in channel_moments(model, self.images, units))


@dataclass(frozen=True, eq=False)
class Gaussian(Fill):
    """Normal noise, drawn anew in each forward pass; every `blinded` block begins the same sequence again.

    Each image has its own stream of random numbers, given by `seed` and its index in the batch.

    Args:
        deviation: standard deviation: a number, or one per channel, (C,).
        mean: a number, or one per channel, (C,).
        seed: of the first image; each next image has the next seed.

    Raises:
        ValueError: a deviation below 0.
    """

    deviation: float | Tensor
    mean: float | Tensor = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not bool((torch.as_tensor(self.deviation, device="cpu") >= 0).all()):
            raise ValueError(f"deviation is {self.deviation}; expected 0 or more")

    def measure(self, model: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Replacement, ...]:
        return tuple(_GaussianReplacement(self, index) for index, _ in enumerate(units))


@dataclass(frozen=True, eq=False)
class Noise(Fill):
    """Normal noise with the mean and standard deviation of each channel over images and positions; see `Gaussian`.

    Args:
        images: images in any form that `load_image` takes.
        seed: of the first image; each next image has the next seed.
    """

    images: Images = field(repr=False)
    seed: int = 0

    def measure(self, model: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Replacement, ...]:
        moments = enumerate(channel_moments(model, self.images, units))
        return tuple(_GaussianReplacement(Gaussian(std, mean, self.seed), index) for index, (mean, std) in moments)


@dataclass(frozen=True, eq=False)
class Resampled(Fill):
    """The layer's activations for another image, which is drawn anew for each image in each forward pass.

    All units of one layer take their values from the same image. The activations of all `images` stay in memory.

    Args:
        images: images in any form that `load_image` takes, of the size that the network gets inside the block.
        seed: of the first image; each next image has the next seed.
    """

    images: Images = field(repr=False)
    seed: int = 0

    def measure(self, model: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Replacement, ...]:
        batches = zip(*read_units(model, self.images, units), strict=True)
        return tuple(_ResampledReplacement(parts, one, self.seed) for parts, one in zip(batches, units, strict=True))


@dataclass(frozen=True)
class Scaled(Fill):
    """The units' own activations times a factor: units are turned down or up instead of switched off.

    A factor of 1 is the network as it is, 0 switches units off, 2 doubles them, and −1 turns their sign. What is
    scaled of a `Projection` is what its readers read, whatever its center.

    Args:
        factor: any finite number.

    Example:
        >>> from optvis.ablation import blinded
        >>> from optvis import Channels
        >>> net, images = nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8)
        >>> with blinded(net, Channels("", 1), fill=Scaled(0.5)):
        ...     halved = net(images)[:, 1]
        >>> torch.equal(halved, 0.5 * net(images)[:, 1])
        True
    """

    factor: float
    values: ClassVar[float] = 0.0  # that are added

    def __post_init__(self) -> None:
        if not math.isfinite(self.factor):
            raise ValueError(f"factor is {self.factor}; expected a finite number")

    def measure(self, model: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Replacement, ...]:
        return (self,) * len(units)

    def __call__(self, activations: Tensor) -> Tensor:
        return self.factor * activations


class _PassCounter:
    """Random streams of a batch's images, one step further in each forward pass."""

    def __init__(self, seed: int, purpose: str) -> None:
        self.seed, self.purpose, self.passes = seed, purpose, 0

    def next_streams(self, images: int) -> Streams:
        self.passes += 1
        return Streams(range(self.seed, self.seed + images), self.purpose).seek(self.passes - 1)


class _GaussianReplacement:
    def __init__(self, fill: Gaussian, index: int) -> None:
        self.mean, self.deviation = Constant(fill.mean), Constant(fill.deviation)
        self.counter = _PassCounter(fill.seed, f"blinded {index}")

    def __call__(self, activations: Tensor) -> Tensor:
        noise = self.counter.next_streams(len(activations)).normal(*activations.shape[1:]).to(activations)
        mean, deviation = (expand_fill(one(activations), activations) for one in (self.mean, self.deviation))
        return mean + deviation * noise


class _ResampledReplacement:
    def __init__(self, batches: tuple[Tensor, ...], units: Units, seed: int) -> None:
        self.samples, self.layer = torch.cat(batches), units.layer
        self.counter = _PassCounter(seed, f"resampled {units.layer}")

    def __call__(self, activations: Tensor) -> Tensor:
        if self.samples.shape[1:] != activations.shape[1:]:
            shape, known = (" × ".join(map(str, a.shape[1:])) for a in (activations, self.samples))
            raise ValueError(
                f"{self.layer!r} gives {shape}, and {known} for the images of Resampled; give images of one size"
            )
        indices = (self.counter.next_streams(len(activations)).uniform(1)[:, 0] * len(self.samples)).long()
        return self.samples[indices.to(self.samples.device)].to(activations)


def draws_random(replacement: Replacement) -> bool:
    """Whether what a replacement returns depends on how many forward passes came before."""
    return isinstance(replacement, _GaussianReplacement | _ResampledReplacement)


def resolve_fill(
    fill: FillLike, model: nn.Module | Classifier, units: Sequence[Units], normalize: Normalizer | str = INFER
) -> tuple[Replacement, ...]:
    """Turn a fill in any form into one replacement for each of the units; errors as in `blinded`."""
    if isinstance(fill, Fill):
        is_inferred = isinstance(normalize, str) and normalize == INFER
        return tuple(fill.measure(model if is_inferred else as_classifier(model, normalize), units)) if units else ()
    if fill is None:
        return tuple(Constant(one.center if isinstance(one, Projection) else 0.0) for one in units)
    if isinstance(fill, Mapping):
        missing = [one.layer for one in units if one.layer not in fill]
        if missing:
            raise KeyError(f"fill has nothing for layer {missing[0]!r}; it has {', '.join(map(repr, fill))}")
        return tuple(_as_constant(fill[one.layer]) for one in units)
    return (_as_constant(fill),) * len(units)


def describe_fill(fill: FillLike, units: Sequence[Units]) -> str:
    """Describe a fill in one line, for recipes."""
    own = "center" if any(isinstance(one, Projection) for one in units) else "0.0"
    return own if fill is None else " ".join(repr(fill).split())


def _as_constant(values: Any) -> Constant:
    if isinstance(values, Tensor):
        return Constant(values.detach())
    if isinstance(values, int | float) and not isinstance(values, bool):
        return Constant(float(values))
    raise TypeError(
        f"fill is {values!r}; expected a number, a tensor (C,), a mapping of layers to either, or Mean, Noise, "
        "Gaussian, Resampled, Optimal, Scaled of optvis.ablation"
    )
