"""Random units of the same layer, as many and as strong as some units: the baseline of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from optvis.ablation.evaluation.metrics import seeded_generator
from optvis.features.units import Channels, Directions, Units

MIN_NEIGHBORS = 8  # a unit is replaced by one of at least 8 channels
MAX_LAYER_SHARE = 4  # and of the nearest 1 / 4 of the layer at most
MAX_POWER = 16.0  # of the second moment that random directions are stretched by
BISECTIONS = 40  # of the interval in which that power lies


def random_units(units: Units, norms: Tensor, moment: Tensor, count: int, seed: int) -> list[Units]:
    """Draw random units of the same layer, as many and as strong; see the functions below.

    Args:
        units: to compare with.
        norms: mean activation norm of each channel, (C,).
        moment: uncentred second moment of the layer, (C, C).
        count: number of sets.
        seed: of the draws; each layer has its own draws.
    """
    generator = seeded_generator(seed, f"random units of {units.layer}")
    if isinstance(units, Channels):
        return list(random_channels(units, norms, count, generator))
    return list(random_directions(units, moment, count, generator))


def random_channels(units: Channels, norms: Tensor, count: int, generator: torch.Generator) -> list[Channels]:
    """Draw other channels of the layer, each from those whose mean activation norm is nearest to that of a unit.

    In each set the units are replaced in random order. Each gets one of the channels that are still free, drawn
    uniformly from the 8 nearest in log norm; or from more, up to a quarter of the layer, if the sets would otherwise
    be equal. If there are fewer other channels than units, all channels may be drawn.
    """
    logs = norms.double().clamp_min(1e-12 * max(float(norms.max()), 1e-300)).log()
    inside = set(units.indices)
    others = [c for c in range(len(norms)) if c not in inside]
    pool = others if len(others) >= len(units) else list(range(len(norms)))
    enough = min(math.ceil(count ** (1 / max(1, len(units)))), len(norms) // MAX_LAYER_SHARE)
    neighbors = max(MIN_NEIGHBORS, enough)
    nearest = [sorted(pool, key=lambda c, u=u: abs(float(logs[c] - logs[u]))) for u in units.indices]  # type: ignore[misc]
    draws = [_draw_channels(nearest, neighbors, generator) for _ in range(count)]
    return [Channels(units.layer, draw, within=units.within, channel_axis=units.channel_axis) for draw in draws]


def _draw_channels(nearest: Sequence[Sequence[int]], neighbors: int, generator: torch.Generator) -> list[int]:
    """Draw one channel for each unit, each channel at most once."""
    taken: dict[int, int] = {}
    shares = torch.rand(len(nearest), generator=generator, dtype=torch.float32, device="cpu").tolist()
    for place in torch.randperm(len(nearest), generator=generator, device="cpu").tolist():
        free = [c for c in nearest[place][: neighbors + len(taken)] if c not in taken][:neighbors]
        taken[free[int(shares[place] * len(free))]] = place
    return sorted(taken, key=taken.__getitem__)


def random_directions(units: Directions, moment: Tensor, count: int, generator: torch.Generator) -> list[Directions]:
    """Draw random subspaces of the same dimension that remove the same share of the activations' square norm.

    Each is spanned by normal vectors that are multiplied by a power of the layer's second moment M. The power, from
    −16 to 16, is chosen so that the subspace removes the same share tr(P M) / tr(M) as the units, as nearly as it can.
    """
    eigenvalues, axes = torch.linalg.eigh(moment.double().cpu())
    weights = eigenvalues.clamp_min(1e-9 * float(eigenvalues[-1])) / eigenvalues.sum()
    basis = units.basis(len(weights))
    goal = float(((basis @ axes).square() @ weights).sum())
    normal = torch.randn(count, len(weights), len(basis), generator=generator, dtype=torch.float64, device="cpu")
    highest = torch.full((count,), MAX_POWER, dtype=torch.float32, device="cpu")
    lowest = -highest
    for _ in range(BISECTIONS):
        middle = (lowest + highest) / 2
        captured = (_stretch(normal, weights, middle).square() * weights.view(1, -1, 1)).sum((1, 2))
        is_above = captured > goal
        lowest, highest = torch.where(is_above, lowest, middle), torch.where(is_above, middle, highest)
    columns = axes @ _stretch(normal, weights, (lowest + highest) / 2)
    return [Directions(units.layer, one.T, within=units.within, channel_axis=units.channel_axis) for one in columns]


def _stretch(normal: Tensor, weights: Tensor, power: Tensor) -> Tensor:
    """Orthonormal columns (R, C, K) that span normal ones multiplied by weights to the power / 2."""
    logs = weights.log().unsqueeze(0) * power.double().unsqueeze(1) / 2
    scales = (logs - logs.amax(1, keepdim=True)).clamp_min(-300).exp()
    return torch.linalg.qr(normal * scales.unsqueeze(2))[0]  # type: ignore[no-any-return]


def activation_mass(units: Units, norms: Tensor, moment: Tensor) -> float:
    """What random units match: the mean norm of channels, or the share of the square norm along directions."""
    if isinstance(units, Channels):
        return float(norms.double()[list(units.indices)].mean()) if len(units) else 0.0
    exact = moment.double().cpu()
    basis = units.basis(len(exact))
    return float(((basis @ exact) * basis).sum() / exact.trace())
