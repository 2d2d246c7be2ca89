"""Methods of attribution at a layer: from gradients, or by ablating each unit in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from optvis.arguments import check_minimum
from optvis.attribution.layer_function import LayerFunction, widen
from optvis.features.groups import Groups
from optvis.objectives.layout import channels_first, positions, restore_layout


class GradientMethod(Protocol):
    """A method whose attribution of an activation is the activation times a mean of gradients."""

    def gradients(self, layer_function: LayerFunction, /) -> Tensor:
        """Return the mean gradient at each activation, (B, ...)."""


class ValueMethod(Protocol):
    """A method that computes attributions itself.

    Its attribute `units` says what the values are of, as in `Attribution`; without it they are of activations. In both
    kinds of methods `description` says in a plot how the values were found, such as "measured by hiding squares".
    """

    def values(self, layer_function: LayerFunction, /) -> Tensor:
        """Return the attribution of each activation, (B, ...), or of each unit."""


#: A method of attribution: an object with `gradients` or `values`.
AttributionMethod: TypeAlias = GradientMethod | ValueMethod


@dataclass(frozen=True)
class GradientTimesActivation:
    """∂score/∂a · a, the score's loss without the activation if the tail were linear. One backward pass.

    Lucid's channel attribution (Olah et al., "The Building Blocks of Interpretability", Distill 2018,
    doi:10.23915/distill.00010).
    """

    description: ClassVar[str] = "estimated as gradient times activation"

    def gradients(self, layer_function: LayerFunction) -> Tensor:
        return layer_function.gradients(layer_function.activations.unsqueeze(0))[0]


@dataclass(frozen=True)
class MidpointAblation:
    """Gradients with some channels halved: at the midpoint of each channel's own path to zero.

    Channels are sorted by `|gradient · activation|` and assigned round-robin to `folds` groups, so that the strongest
    ones lie in different groups. Each pass halves the channels of one group and takes their gradients.

    Exact ablation of one channel is an integral, f(a) − f(a without c) = ∫₀¹ ∂f/∂a_c · a_c dt, in which only channel c
    moves. One halved channel at a time would be the midpoint rule for it, with one point. Channels of one group
    disturb each other, so more folds are more exact. `docs/attribution.md` has the correlation with exact ablation.

    Args:
        folds: number of groups, 1 or more; one pass each, and one pass before them. By default 31, and
            4 √C of more than 192 channels C.
    """

    description: ClassVar[str] = "estimated from gradients with channels halved"

    folds: int | None = None
    FEWEST: ClassVar[int] = 31
    NARROW: ClassVar[int] = 192  # channels, up to which these suffice
    SLOPE: ClassVar[int] = 4  # of the folds by the root of the channels, where there are more

    def __post_init__(self) -> None:
        if self.folds is not None:
            check_minimum(1, folds=self.folds)

    def choose_folds(self, channels: int) -> int:
        """The number of groups of so many channels."""
        if self.folds is not None:
            return self.folds
        return self.FEWEST if channels <= self.NARROW else round(self.SLOPE * math.sqrt(channels))

    def gradients(self, layer_function: LayerFunction) -> Tensor:
        a = layer_function.activations
        first = GradientTimesActivation().gradients(layer_function)
        strengths = sum_over_positions(first * a, layer_function.channel_axis)
        folds = self.choose_folds(strengths.shape[1])
        fold = _assign_folds(strengths, folds)
        total = torch.zeros_like(widen(a))
        for batch in layer_function.batches(folds):
            mask = layer_function.expand_channels(fold == batch.view(-1, 1, 1))
            total += (widen(layer_function.gradients(a * (1 - mask / 2))) * mask).sum(0)
        return total


@dataclass(frozen=True)
class IntegratedGradients:
    """Mean gradient on the straight path from zero activations to the real ones, at the midpoints of equal steps.

    Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) at a layer, with zero as the baseline. The
    attributions add up to f(a) − f(0), up to the error of the sum over steps.

    Args:
        steps: N, 1 or more; one pass each.
    """

    description: ClassVar[str] = "estimated by integrated gradients"

    steps: int = 100

    def __post_init__(self) -> None:
        check_minimum(1, steps=self.steps)

    def gradients(self, layer_function: LayerFunction) -> Tensor:
        a = layer_function.activations
        return _mean_gradient(layer_function, self.steps, lambda batch: a * _midpoints(a, batch, self.steps))


@dataclass(frozen=True)
class StochasticIntegratedGradients:
    """`IntegratedGradients` with each channel scaled at random on its path: by (u₁ + u₂) / 1.5, u uniform in [0, 1).

    Lucid's stochastic path (its notebook "Channel attribution", 2018), which depends less on the one straight path.
    The attributions do not add up exactly.

    Args:
        steps: N, 1 or more; one pass each.
        seed: of the random scales.
    """

    description: ClassVar[str] = "estimated by integrated gradients at random scales"

    steps: int = 100
    seed: int = 0
    LUCID_DIVISOR: ClassVar[float] = 1.5

    def __post_init__(self) -> None:
        check_minimum(1, steps=self.steps)

    def gradients(self, layer_function: LayerFunction) -> Tensor:
        a = layer_function.activations
        shape = (self.steps, 1, layer_function.channels_first.shape[1])
        generator = torch.Generator().manual_seed(self.seed)
        scales = (
            torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")
            + torch.rand(shape, generator=generator, dtype=torch.float32, device="cpu")
        ) / self.LUCID_DIVISOR

        def scale(batch: Tensor) -> Tensor:
            return layer_function.expand_channels(scales.to(batch.device)[batch]) * _midpoints(a, batch, self.steps)

        return _mean_gradient(layer_function, self.steps, lambda batch: a * scale(batch))


@dataclass(frozen=True)
class SmoothGrad:
    """Mean gradient at activations with Gaussian noise added.

    After Smilkov et al. 2017, arXiv:1706.03825, who add the noise to the image.

    Args:
        samples: number of noise samples, 1 or more; one pass each.
        deviation: standard deviation of the noise, as a share of the range of each image's activations, 0 or more.
        seed: of the noise.
    """

    description: ClassVar[str] = "estimated from gradients with noise"

    samples: int = 32
    deviation: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        check_minimum(1, samples=self.samples)
        check_minimum(0, deviation=self.deviation)

    def gradients(self, layer_function: LayerFunction) -> Tensor:
        a = layer_function.activations
        extent = a.flatten(1).amax(1) - a.flatten(1).amin(1)
        scale = (self.deviation * extent).view(-1, *[1] * (a.dim() - 1))
        generator = torch.Generator().manual_seed(self.seed)

        def draw() -> Tensor:  # one sample at a time: torch draws several together as other numbers
            return torch.randn((1, *a.shape[1:]), generator=generator, dtype=torch.float32, device="cpu")

        def add_noise(batch: Tensor) -> Tensor:
            return a + scale * torch.stack([draw() for _ in batch]).to(a)

        return _mean_gradient(layer_function, self.samples, add_noise)


@dataclass(frozen=True, eq=False)
class Ablation:
    """Exact: the drop of the score when one unit is set to zero, for each unit in turn, through the tail alone.

    Units that are zero in all images cannot change the score and are skipped.

    Args:
        units: "channels", each zeroed at all positions; "positions", each with all its channels; or the groups of an
            activation grid, each subtracted from the activations as map ⊗ direction.
    """

    description: ClassVar[str] = "measured by switching each off"

    units: Literal["channels", "positions"] | Groups = "channels"

    def __post_init__(self) -> None:
        if self.units not in ("channels", "positions") and not isinstance(self.units, Groups):
            raise ValueError(f"ablation of {self.units!r}; expected 'channels', 'positions' or Groups")

    def values(self, layer_function: LayerFunction) -> Tensor:
        """Return f(a) − f(a without a unit): (B, C), (B, H, W) like the layer's positions, or (B, K)."""
        if isinstance(self.units, Groups):
            return _ablate_groups(layer_function, self.units)
        return _ablate_each(layer_function, self.units)


def group_parts(groups: Groups, layer: str, activations: Tensor, channel_axis: int | None) -> Iterator[Tensor]:
    """Yield each group's part of activations (B, ...): map ⊗ direction, (B, ...)."""
    a = channels_first(activations, channel_axis)
    if (groups.layer, len(groups.maps), groups.maps.shape[2:]) != (layer, len(a), a.shape[2:]):
        raise ValueError(
            f"groups of {len(groups.maps)} images at {groups.layer!r} for {len(a)} at {layer!r}; "
            "take them from the same images and layer"
        )
    for image_map, vector in zip(groups.maps.unbind(1), groups.directions, strict=True):
        part = image_map.unsqueeze(1).to(a) * vector.to(a).view(1, -1, *[1] * (a.dim() - 2))
        yield restore_layout(part, activations, channel_axis)


def sum_over_positions(values: Tensor, channel_axis: int | None) -> Tensor:
    """Sum values like activations over positions, (B, ...) -> (B, C)."""
    return positions(values, channel_axis).sum(2)


def _ablate_each(layer_function: LayerFunction, units: str) -> Tensor:
    a, by_channel = layer_function.activations, units == "channels"
    values = positions(a, layer_function.channel_axis)
    values = values if by_channel else values.mT  # (B, units, ...)
    active = (values != 0).any(2).any(0).nonzero().flatten()
    scores = widen(layer_function.scores(a.unsqueeze(0)))
    drops = scores.new_zeros(values.shape[:2])
    for batch in layer_function.batches(len(active)):
        off = torch.nn.functional.one_hot(active[batch], values.shape[1])
        mask = layer_function.expand_channels(off.unsqueeze(1)) if by_channel else layer_function.expand_positions(off)
        drops[:, active[batch]] = (scores - layer_function.scores(a * (1 - mask))).T
    return drops if by_channel else drops.view(len(drops), *layer_function.channels_first.shape[2:])


def _ablate_groups(layer_function: LayerFunction, groups: Groups) -> Tensor:
    a = layer_function.activations
    scores = widen(layer_function.scores(a.unsqueeze(0)))
    own = replace(groups, maps=layer_function.own_rows(groups.maps, "maps of groups"))
    parts = group_parts(own, layer_function.tail.layer, a, layer_function.channel_axis)
    return torch.cat([scores - layer_function.scores((a - part).unsqueeze(0)) for part in parts]).T


def _assign_folds(strengths: Tensor, folds: int) -> Tensor:
    """Return the fold of each channel, round-robin by falling strength, (B, C)."""
    order = strengths.abs().argsort(dim=1, descending=True, stable=True)
    return torch.empty_like(order).scatter_(
        1, order, (torch.arange(order.shape[1], device="cpu") % folds).to(order).expand_as(order)
    )


def _mean_gradient(layer_function: LayerFunction, count: int, vary: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean gradient at `count` variations of the activations, of which `vary` makes a batch from their numbers."""
    total = torch.zeros_like(widen(layer_function.activations))
    for batch in layer_function.batches(count):
        total += widen(layer_function.gradients(vary(batch))).sum(0)
    return total / count


def _midpoints(activations: Tensor, batch: Tensor, steps: int) -> Tensor:
    """Return the midpoints of some of the steps from 0 to 1, (K, 1, ...)."""
    return ((batch + 0.5) / steps).view(-1, *[1] * activations.dim()).to(activations.dtype)
