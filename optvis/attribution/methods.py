"""Ways to attribute a score to a layer's activations: from gradients, or by switching each unit off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from optvis.attribution.layer_function import Inquiry
from optvis.features.groups import Groups
from optvis.objectives.layout import channels_first, positions, restore_layout


class GradientMethod(Protocol):
    """A method whose attribution of an activation is the activation times some mean of gradients."""

    def gradients(self, inquiry: Inquiry) -> Tensor:
        """The mean gradient at each activation, (B, ...)."""


@dataclass(frozen=True)
class GradientTimesActivation:
    """∂score/∂a · a: what the score would lose if it were linear. One backward pass (Lucid's channel attribution).

    Olah et al., "The Building Blocks of Interpretability", Distill 2018, doi:10.23915/distill.00010.
    """

    def gradients(self, inquiry: Inquiry) -> Tensor:
        return inquiry.gradients(inquiry.activations.unsqueeze(0))[0]


@dataclass(frozen=True)
class Halved:
    """Gradients where some channels are halved: the middle of each channel's own way to zero.

    Channels are dealt out to hands like cards, by falling `|gradient · activation|`, so that strong ones meet weak.
    A pass halves one hand's channels, and its gradient counts for these alone. That is the midpoint rule, with one
    point, for the integral that exact ablation of a single channel is, f(a) − f(a without c) = ∫₀¹ ∂f/∂a_c · a_c dt;
    channels of one hand disturb each other, which is why there are many hands. `docs/attribution.md` has its
    correlation with exact ablation.

    Args:
        hands: how many; one pass each, and one to begin with.

    Raises:
        ValueError: no hands.
    """

    hands: int = 31

    def __post_init__(self) -> None:
        checked_count(self.hands, "hands")

    def gradients(self, inquiry: Inquiry) -> Tensor:
        first = GradientTimesActivation().gradients(inquiry)
        hand = _dealt(summed_over_positions(inquiry, first * inquiry.activations), self.hands)
        found = torch.zeros_like(inquiry.activations)
        for part in inquiry.parts(self.hands):
            mine = inquiry.spread(hand == part.view(-1, 1, 1))
            found += (inquiry.gradients(inquiry.activations * (1 - mine / 2)) * mine).sum(0)
        return found


@dataclass(frozen=True)
class PathIntegrated:
    """Mean gradient on the straight way from zero activations to the real ones, at the middles of equal steps.

    Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365) from zero, at a layer. The attributions add up
    to f(a) − f(0), up to what the number of steps leaves.

    Args:
        steps: N, one pass each.

    Raises:
        ValueError: no steps.
    """

    steps: int = 100

    def __post_init__(self) -> None:
        checked_count(self.steps, "steps")

    def gradients(self, inquiry: Inquiry) -> Tensor:
        found = torch.zeros_like(inquiry.activations)
        for part in inquiry.parts(self.steps):
            found += inquiry.gradients(inquiry.activations * _middles(inquiry, part, self.steps)).sum(0)
        return found / self.steps


@dataclass(frozen=True)
class StochasticPath:
    """`PathIntegrated` with each channel scaled at random on its way: by (u₁ + u₂) / 1.5, u uniform in [0, 1).

    Lucid's stochastic path (its notebook "Channel attribution", 2018), whose random ways are said to be less tied to
    the one straight way. Attributions do not add up exactly.

    Args:
        steps: N, one pass each.
        seed: of the random scales.

    Raises:
        ValueError: no steps.
    """

    steps: int = 100
    seed: int = 0
    LUCID_DIVISOR: ClassVar[float] = 1.5

    def __post_init__(self) -> None:
        checked_count(self.steps, "steps")

    def gradients(self, inquiry: Inquiry) -> Tensor:
        shape = (self.steps, 1, inquiry.laid.shape[1])
        draws = torch.Generator().manual_seed(self.seed)
        scales = (torch.rand(shape, generator=draws) + torch.rand(shape, generator=draws)) / self.LUCID_DIVISOR
        found = torch.zeros_like(inquiry.activations)
        for part in inquiry.parts(self.steps):
            scaled = inquiry.spread(scales.to(part.device)[part]) * _middles(inquiry, part, self.steps)
            found += inquiry.gradients(inquiry.activations * scaled).sum(0)
        return found / self.steps


@dataclass(frozen=True)
class SmoothGrad:
    """Mean gradient at activations with noise on them.

    After Smilkov et al. 2017, arXiv:1706.03825, who put the noise on the image.

    Args:
        samples: how many, one pass each.
        deviation: of the noise, as a share of the activations' range in each image.
        seed: of the noise.

    Raises:
        ValueError: no samples, or a negative deviation.
    """

    samples: int = 32
    deviation: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        checked_count(self.samples, "samples")
        if not self.deviation >= 0:
            raise ValueError(f"deviation is {self.deviation}; expected 0 or more")

    def gradients(self, inquiry: Inquiry) -> Tensor:
        a = inquiry.activations
        extent = a.flatten(1).amax(1) - a.flatten(1).amin(1)
        spread = (self.deviation * extent).view(-1, *[1] * (a.dim() - 1))
        draws = torch.Generator().manual_seed(self.seed)
        found = torch.zeros_like(a)
        for part in inquiry.parts(self.samples):
            noise = torch.randn((len(part), 1, *a.shape[1:]), generator=draws).to(a)
            found += inquiry.gradients(a + spread * noise).sum(0)
        return found / self.samples


@dataclass(frozen=True, eq=False)
class Ablation:
    """Exact: what the score loses when a unit is switched off, each in turn, through the tail alone.

    Channels that are zero everywhere lose nothing and are not asked.

    Args:
        of: "channels", each zeroed at all positions; "positions", each with all its channels; or the groups of an
            activation grid, each taken out of the activations as map ⊗ direction.

    Raises:
        ValueError: units of another kind.
    """

    of: Literal["channels", "positions"] | Groups = "channels"

    def __post_init__(self) -> None:
        if self.of not in ("channels", "positions") and not isinstance(self.of, Groups):
            raise ValueError(f"ablation of {self.of!r}; expected 'channels', 'positions' or Groups")

    def drops(self, inquiry: Inquiry) -> Tensor:
        """f(a) − f(a without a unit), (B, C), (B, H, W) (as the layer's positions lie) or (B, K)."""
        if isinstance(self.of, Groups):
            return self._of_groups(inquiry, self.of)
        laid = inquiry.laid.flatten(2) if inquiry.laid.dim() > 2 else inquiry.laid.unsqueeze(2)
        axis = 2 if self.of == "channels" else 1
        alive = (laid != 0).any(axis).any(0).nonzero().flatten()
        whole = inquiry.scores(inquiry.activations.unsqueeze(0))
        found = torch.zeros(len(laid), laid.shape[3 - axis], dtype=whole.dtype, device=whole.device)
        for part in inquiry.parts(len(alive)):
            off = torch.zeros(len(part), laid.shape[3 - axis], device=laid.device)
            off[torch.arange(len(part)), alive[part]] = 1
            found[:, alive[part]] = (whole - inquiry.scores(inquiry.activations * (1 - self._spread(inquiry, off)))).T
        return found if self.of == "channels" else found.view(len(found), *inquiry.laid.shape[2:])

    def _spread(self, inquiry: Inquiry, off: Tensor) -> Tensor:
        if self.of == "channels":
            return inquiry.spread(off.unsqueeze(1))
        return inquiry.spread_positions(off)

    def _of_groups(self, inquiry: Inquiry, groups: Groups) -> Tensor:
        whole = inquiry.scores(inquiry.activations.unsqueeze(0))
        a = inquiry.activations
        parts = parts_of(replace(groups, maps=groups.maps[inquiry.rows]), inquiry.tail.layer, a, inquiry.channel_axis)
        found = [whole - inquiry.scores((a - part).unsqueeze(0)) for part in parts]
        return torch.cat(found).T


def parts_of(groups: Groups, layer: str, activations: Tensor, channel_axis: int | None) -> Iterator[Tensor]:
    """What each group contributes to activations (B, ...): map ⊗ direction, (B, ...).

    Raises:
        ValueError: groups of another layer, or of other images.
    """
    laid = channels_first(activations, channel_axis)
    if (groups.layer, len(groups.maps), groups.maps.shape[2:]) != (layer, len(laid), laid.shape[2:]):
        raise ValueError(
            f"groups of {len(groups.maps)} images at {groups.layer!r} for {len(laid)} at {layer!r}; "
            "take them from the same images and layer"
        )
    for image_map, vector in zip(groups.maps.unbind(1), groups.directions, strict=True):
        part = image_map.unsqueeze(1).to(laid) * vector.to(laid).view(1, -1, *[1] * (laid.dim() - 2))
        yield restore_layout(part, activations, channel_axis)


def summed_over_positions(inquiry: Inquiry, values: Tensor) -> Tensor:
    """(B, ...) -> (B, C)"""
    return positions(values, inquiry.channel_axis).sum(2)


def checked_count(count: int, what: str) -> None:
    if count < 1:
        raise ValueError(f"{what} is {count}; expected 1 or more")


def _dealt(strengths: Tensor, hands: int) -> Tensor:
    """Which hand each channel goes to, by falling strength, (B, C)."""
    order = strengths.abs().argsort(dim=1, descending=True, stable=True)
    return torch.empty_like(order).scatter_(1, order, (torch.arange(order.shape[1]) % hands).to(order).expand_as(order))


def _middles(inquiry: Inquiry, part: Tensor, steps: int) -> Tensor:
    """The middles of some of the steps from 0 to 1, (K, 1, ...)."""
    return ((part + 0.5) / steps).view(-1, *[1] * inquiry.activations.dim()).to(inquiry.activations.dtype)


METHODS: dict[str, GradientMethod | Ablation] = {
    "halved": Halved(),
    "gradient": GradientTimesActivation(),
    "path": PathIntegrated(),
    "stochastic": StochasticPath(),
    "smooth": SmoothGrad(),
    "ablation": Ablation(),
}
