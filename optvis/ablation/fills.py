"""What stands where units were: constants, measured means, noise, other images' activations."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from optvis.ablation.switching import Filling
from optvis.data.images import ImageLike
from optvis.features.units import Units
from optvis.models.activations import read_activations
from optvis.models.borrow import borrow
from optvis.models.classifier import Classifier
from optvis.models.infer import as_classifier
from optvis.objectives.layout import channels_first, positions
from optvis.params import Streams
from optvis.rendering.ascent import PIXELS_PER_BATCH

Photos: TypeAlias = "ImageLike | Sequence[ImageLike]"
CROWDED = 16  # times as many images a piece where no cache is to be kept warm


class Fill(ABC):
    """What stands where units were, once the network has been asked what they give."""

    @abstractmethod
    def measured(self, net: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Filling, ...]:
        """One filling for each of the units, measured on the network as it is."""


Filled: TypeAlias = Fill | float | Tensor | Mapping[str, float | Tensor]


@dataclass(frozen=True, eq=False)
class Constant:
    """The same number everywhere, or one a channel: (C,), or anything that spreads over (B, C, ...)."""

    values: float | Tensor

    def __post_init__(self) -> None:
        if not bool(torch.as_tensor(self.values).isfinite().all()):
            raise ValueError(f"fill is {self.values}; expected finite numbers")

    def __call__(self, laid: Tensor) -> Tensor | float:
        if isinstance(self.values, Tensor) and self.values.dim() == 1 and len(self.values) != laid.shape[1]:
            raise ValueError(f"fill has {len(self.values)} numbers; the layer has {laid.shape[1]} channels")
        return self.values


@dataclass(frozen=True, eq=False)
class Mean(Fill):
    """Each channel's mean over images and positions; of directions, the mean activation's part along them.

    Args:
        images: photographs in any form that `load_image` takes, on which the network is asked once.

    Example:
        >>> from optvis.ablation import blinded
        >>> from optvis.features.units import Channels
        >>> net = Classifier(nn.Conv2d(3, 4, 3), None, 8)
        >>> images = torch.rand(5, 3, 8, 8)
        >>> with blinded(net, Channels("", 2), fill=Mean(images)):
        ...     blind = net.network(images)[:, 2]
        >>> bool(torch.allclose(blind, net.network(images)[:, 2].mean()))
        True
    """

    images: Photos = field(repr=False)

    def measured(self, net: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Filling, ...]:
        return tuple(Constant(mean) for mean, _ in moments(net, self.images, units))


@dataclass(frozen=True, eq=False)
class Gaussian(Fill):
    """Normal noise, new in each pass: the same sequence in every `blinded` block.

    An image's noise is a stream of its own, by `seed` and its place in the batch.

    Args:
        deviation: a number, or one a channel, (C,).
        mean: likewise.
        seed: of the first image; the next ones count on.

    Raises:
        ValueError: a deviation below 0.
    """

    deviation: float | Tensor
    mean: float | Tensor = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not bool((torch.as_tensor(self.deviation) >= 0).all()):
            raise ValueError(f"deviation is {self.deviation}; expected 0 or more")

    def measured(self, net: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Filling, ...]:
        return tuple(_Noisy(self, place) for place, _ in enumerate(units))


@dataclass(frozen=True, eq=False)
class Noise(Fill):
    """Normal noise with each channel's own mean and deviation over images and positions; see `Gaussian`.

    Args:
        images: photographs in any form that `load_image` takes, on which the network is asked once.
        seed: of the first image; the next ones count on.
    """

    images: Photos = field(repr=False)
    seed: int = 0

    def measured(self, net: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Filling, ...]:
        found = moments(net, self.images, units)
        return tuple(_Noisy(Gaussian(std, mean, self.seed), place) for place, (mean, std) in enumerate(found))


@dataclass(frozen=True, eq=False)
class Resampled(Fill):
    """The layer's activations for another image, drawn anew for each image in each pass.

    All units of one layer take them from the same image. The activations of all `images` are kept.

    Args:
        images: photographs in any form that `load_image` takes, at the size at which the network is asked.
        seed: of the first image; the next ones count on.
    """

    images: Photos = field(repr=False)
    seed: int = 0

    def measured(self, net: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Filling, ...]:
        kept = [torch.cat([*parts]) for parts in zip(*_asked(net, self.images, units), strict=True)]
        laid = [channels_first(a, one.channel_axis) for a, one in zip(kept, units, strict=True)]
        return tuple(_Borrowing(a, one.layer, self.seed) for a, one in zip(laid, units, strict=True))


class _Passes:
    """A stream an image, at the next step each time."""

    def __init__(self, seed: int, purpose: str) -> None:
        self.seed, self.purpose, self.done = seed, purpose, 0

    def streams(self, images: int) -> Streams:
        self.done += 1
        return Streams(range(self.seed, self.seed + images), self.purpose).seek(self.done - 1)


class _Noisy:
    def __init__(self, noise: Gaussian, place: int) -> None:
        self.mean, self.deviation = Constant(noise.mean), Constant(noise.deviation)
        self.passes = _Passes(noise.seed, f"blinded {place}")

    def __call__(self, laid: Tensor) -> Tensor:
        drawn = self.passes.streams(len(laid)).normal(*laid.shape[1:]).to(laid)
        return _spread(self.mean(laid), laid) + _spread(self.deviation(laid), laid) * drawn


class _Borrowing:
    def __init__(self, kept: Tensor, layer: str, seed: int) -> None:
        self.kept, self.layer = kept, layer
        self.passes = _Passes(seed, f"resampled {layer}")

    def __call__(self, laid: Tensor) -> Tensor:
        if self.kept.shape[1:] != laid.shape[1:]:
            came, known = (" × ".join(map(str, a.shape[1:])) for a in (laid, self.kept))
            raise ValueError(f"{self.layer!r} gives {came}, for the images of Resampled {known}; ask both at one size")
        chosen = (self.passes.streams(len(laid)).uniform(1)[:, 0] * len(self.kept)).long()
        return self.kept[chosen.to(self.kept.device)].to(laid)


def prepared(fill: Filled, net: nn.Module | Classifier, units: Sequence[Units]) -> tuple[Filling, ...]:
    """One filling for each of the units.

    Raises:
        TypeError: no fill.
        KeyError: a mapping that has nothing for a layer.
        ValueError: numbers that are not finite; images for a network that does not say how it is fed.
    """
    if isinstance(fill, Fill):
        return fill.measured(net, units) if units else ()
    if isinstance(fill, Mapping):
        missing = [one.layer for one in units if one.layer not in fill]
        if missing:
            raise KeyError(f"fill has nothing for layer {missing[0]!r}; it has {', '.join(map(repr, fill))}")
        return tuple(_constant(fill[one.layer]) for one in units)
    return (_constant(fill),) * len(units)


def _constant(values: Any) -> Constant:
    if isinstance(values, Tensor):
        return Constant(values.detach())
    if isinstance(values, int | float) and not isinstance(values, bool) and math.isfinite(values):
        return Constant(float(values))
    raise TypeError(
        f"fill is {values!r}; expected a finite number, a tensor (C,), a mapping of layers to either, or Mean, Noise, "
        "Gaussian, Resampled, Optimal of optvis.ablation"
    )


def moments(net: nn.Module | Classifier, images: Photos, units: Sequence[Units]) -> list[tuple[Tensor, Tensor]]:
    """Mean and deviation of each unit's layer over images and positions, (C,) each, float64."""
    parts = [
        [_sums(positions(a, one.channel_axis)) for a, one in zip(found, units, strict=True)]
        for found in _asked(net, images, units)
    ]
    totals = [torch.stack(rows).sum(0) for rows in zip(*parts, strict=True)]
    means = [(sums / count, squares / count) for count, sums, squares in totals]
    return [(mean, (square - mean.square()).clamp_min(0).sqrt()) for mean, square in means]


def _sums(values: Tensor) -> Tensor:
    """Count, sum and sum of squares of each channel, (3, C).  values (B, C, P)"""
    exact = values.double()
    sums = exact.sum((0, 2))
    return torch.stack([torch.full_like(sums, exact[:, 0].numel()), sums, exact.square().sum((0, 2))])


def _asked(net: nn.Module | Classifier, images: Photos, units: Sequence[Units]) -> Iterator[list[Tensor]]:
    """The activations of each unit's layer, some images at a time."""
    classifier = as_classifier(net)
    seen = classifier.load_batch(images)
    for rows in pieces(seen):
        with borrow(classifier.network), torch.no_grad():
            found = read_activations(
                classifier.network, classifier.preprocess(seen[rows]), dict.fromkeys(u.layer for u in units)
            )
        yield [found[one.layer] for one in units]


def pieces(images: Tensor) -> list[slice]:
    """Which images go through a network together."""
    images_, _, height, width = images.shape
    times = 1 if images.device.type == "cpu" else CROWDED
    size = max(1, times * PIXELS_PER_BATCH // (height * width))
    return [slice(start, start + size) for start in range(0, images_, size)]


def _spread(values: Tensor | float, laid: Tensor) -> Tensor:
    found = torch.as_tensor(values, dtype=laid.dtype, device=laid.device)
    return found.view(-1, *[1] * (laid.dim() - 2)) if found.dim() == 1 else found


__all__ = ["Fill", "Filled", "Gaussian", "Mean", "Noise", "Resampled"]
