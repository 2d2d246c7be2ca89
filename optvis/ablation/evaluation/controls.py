"""Controls: random units that carry as much, p-values against them, and intervals by bootstrap."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from optvis.features.units import Channels, Directions, Units

NEIGHBOURS = 8  # at least so many channels may stand in for each unit
WIDEST = 4  # and at most the quarter of the layer that is nearest to it in norm
STRETCH = 16.0  # the largest power of the second moment that random directions are stretched by
HALVINGS = 40  # of the interval in which that power is sought
RESAMPLES = 2000
LEVEL = 0.95
FEWEST = 5  # images under which a bootstrap says nothing
WEIGHTS_AT_ONCE = 2**22


def random_units(units: Units, norms: Tensor, moment: Tensor, count: int, seed: int) -> list[Units]:
    """Random units of the same layer: as many, and as strong.

    Args:
        units: whose stand-ins are wanted.
        norms: each channel's mean activation norm, (C,).
        moment: the layer's uncentred second moment, (C, C).
        count: how many sets.
        seed: of the draws; each layer has draws of its own.
    """
    draws = generator(seed, f"random units of {units.layer}")
    if isinstance(units, Channels):
        return list(random_channels(units, norms, count, draws))
    return list(random_directions(units, moment, count, draws))


def random_channels(units: Channels, norms: Tensor, count: int, draws: torch.Generator) -> list[Channels]:
    """Other channels of the layer, each drawn from those whose mean activation norm is nearest to one of these.

    In each set, every unit in random order gets a stand-in: drawn evenly from the channels that are still free, the 8
    nearest in log norm, or as many more as it takes for the sets to differ, up to a quarter of the layer. Where the
    others are fewer than these, all channels may be drawn.

    Args:
        norms: each channel's mean activation norm over images, (C,).
        count: how many sets.
    """
    logs = norms.double().clamp_min(1e-12 * max(float(norms.max()), 1e-300)).log()
    inside = set(units.indices)
    others = [c for c in range(len(norms)) if c not in inside]
    pool = others if len(others) >= len(units) else list(range(len(norms)))
    wide = min(math.ceil(count ** (1 / max(1, len(units)))), len(norms) // WIDEST)
    near = max(NEIGHBOURS, wide)
    ranked = [sorted(pool, key=lambda c, u=u: abs(float(logs[c] - logs[u]))) for u in units.indices]  # type: ignore[misc]
    return [_like(units, _stand_ins(ranked, near, draws)) for _ in range(count)]


def _stand_ins(ranked: Sequence[Sequence[int]], near: int, draws: torch.Generator) -> list[int]:
    """One channel for each unit, none twice."""
    taken: dict[int, int] = {}
    shares = torch.rand(len(ranked), generator=draws).tolist()
    for place in torch.randperm(len(ranked), generator=draws).tolist():
        free = [c for c in ranked[place][: near + len(taken)] if c not in taken][:near]
        taken[free[int(shares[place] * len(free))]] = place
    return sorted(taken, key=taken.__getitem__)


def _like(units: Channels, indices: Sequence[int]) -> Channels:
    return Channels(units.layer, list(indices), within=units.within, channel_axis=units.channel_axis)


def random_directions(units: Directions, moment: Tensor, count: int, draws: torch.Generator) -> list[Directions]:
    """Random subspaces of the same dimension that remove the same share of the activations' square norm.

    Each is spanned by normal vectors, stretched by that power of the layer's second moment which makes it remove
    tr(P M) / tr(M), as the units' own subspace does, as nearly as a power from −16 to 16 can.

    Args:
        moment: the layer's uncentred second moment M, (C, C).
        count: how many subspaces.
    """
    strengths, axes = torch.linalg.eigh(moment.double().cpu())
    strengths = strengths.clamp_min(1e-9 * float(strengths[-1])) / strengths.sum()
    basis = units.basis(len(strengths))
    wanted = float(((basis @ axes).square() @ strengths).sum())
    normal = torch.randn(count, len(strengths), len(basis), generator=draws, dtype=torch.float64)
    lowest, highest = torch.full((count,), -STRETCH), torch.full((count,), STRETCH)
    for _ in range(HALVINGS):
        middle = (lowest + highest) / 2
        over = _shares(_stretched(normal, strengths, middle), strengths) > wanted
        lowest, highest = torch.where(over, lowest, middle), torch.where(over, middle, highest)
    found = axes @ _stretched(normal, strengths, (lowest + highest) / 2)
    return [Directions(units.layer, one.T, within=units.within, channel_axis=units.channel_axis) for one in found]


def _stretched(normal: Tensor, strengths: Tensor, power: Tensor) -> Tensor:
    """Orthonormal columns (R, C, K) that span normal ones times strengths to the power / 2."""
    logs = strengths.log().unsqueeze(0) * power.double().unsqueeze(1) / 2
    scales = (logs - logs.amax(1, keepdim=True)).clamp_min(-300).exp()
    columns, _ = torch.linalg.qr(normal * scales.unsqueeze(2))
    return columns  # type: ignore[no-any-return]


def _shares(columns: Tensor, strengths: Tensor) -> Tensor:
    return (columns.square() * strengths.view(1, -1, 1)).sum((1, 2))


def carried(units: Units, norms: Tensor, moment: Tensor) -> float:
    """What is matched: the mean of the channels' norms, or the share of the square norm along directions."""
    if isinstance(units, Channels):
        return float(norms.double()[list(units.indices)].mean()) if len(units) else 0.0
    exact = moment.double().cpu()
    basis = units.basis(len(exact))
    return float(((basis @ exact) * basis).sum() / exact.trace())


def p_value(found: float, random: Tensor) -> float:
    """How often chance does as much: (1 + random sets that fall at least as far) / (1 + random sets).

    Davison & Hinkley 1997, "Bootstrap Methods and their Application", section 4.2; never 0.

    Args:
        found: by how much it fell without the units.
        random: the same without each random set, (R,).

    Example:
        >>> p_value(0.5, torch.tensor([0.0, 0.1, 0.5]))
        0.5
    """
    return (1 + int((random >= found).sum())) / (1 + len(random))


def bootstrapped(values: Tensor, seed: int = 0, resamples: int = RESAMPLES) -> Tensor:
    """Means over images that are drawn with replacement, as many as there are.

    Args:
        values: B images, V numbers of each: (B, V).
        seed: the same one draws the same images for all numbers, so that differences stay paired.
        resamples: how often, R.

    Returns:
        (R, V), float64.
    """
    images, draws = len(values), generator(seed, "bootstrap")
    exact, parts = values.double().cpu(), []
    for some in torch.split(torch.arange(resamples), max(1, WEIGHTS_AT_ONCE // images)):
        drawn = torch.randint(images, (len(some), images), generator=draws)
        weights = torch.zeros(len(some), images, dtype=torch.float64)
        weights.scatter_add_(1, drawn, torch.ones_like(weights))
        parts.append(weights @ exact / images)
    return torch.cat(parts)


def intervals(values: Tensor, seed: int = 0) -> list[tuple[float, float]]:
    """Percentile intervals of means over images, 95 %, by 2,000 resamples: one for each of V numbers.

    Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.

    Args:
        values: (B, V).

    Example:
        >>> intervals(torch.tensor([[0.0], [0.0], [1.0], [1.0], [1.0], [1.0]]))
        [(0.33..., 1.0)]
    """
    tails = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
    low, high = bootstrapped(values, seed).quantile(tails, dim=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def generator(seed: int, purpose: str) -> torch.Generator:
    """Random numbers for one purpose, the same for the same seed."""
    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


__all__ = ["bootstrapped", "intervals", "p_value", "random_channels", "random_directions", "random_units"]
