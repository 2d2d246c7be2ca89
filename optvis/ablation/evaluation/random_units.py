"""Random units of the same layer, as many and as strong as some units: the baseline of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from optvis.ablation.evaluation.metrics import seeded_generator
from optvis.features.projection import Projection
from optvis.features.units import Directions, ListedUnits, Units

STRATUM = 10  # channels of about the same strength
MAX_POWER = 16.0  # of the second moment that random directions are stretched by
BISECTIONS = 40  # of the interval in which that power lies
CANDIDATES = 32  # random subspaces for each that is taken
COMMON = (0.05, 0.95)  # quantiles between which a share is a common one


def random_units(units: Units, norms: Tensor, moment: Tensor, count: int, seed: int) -> list[Units]:
    """Draw random units of the same layer, as many and as strong; see the functions below.

    Args:
        units: to compare with.
        norms: mean activation norm of each channel, (C,), or mean norm of each feature's codes, (K,).
        moment: uncentred second moment of the layer, (C, C).
        count: number of sets.
        seed: of the draws; units of another layer, and other channels, have other draws.
    """
    generator = seeded_generator(seed, f"random units for {units!r}")
    if isinstance(units, ListedUnits):
        return random_channels(units, norms, count, generator)
    return random_directions(units, moment, count, generator)


def random_channels(units: ListedUnits, norms: Tensor, count: int, generator: torch.Generator) -> list[Units]:
    """Draw `count` sets of other channels, or features, of the layer, as many and as strong; see `draw_indices`."""
    draws = draw_indices(list(units.indices), norms, count, generator).tolist()
    return [units.choose(draw, units.within) for draw in draws]


def draw_indices(indices: Sequence[int], norms: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw as many channels of each stratum as there are among some channels; these may be drawn again.

    Strata are fixed by the layer alone, see `strata`. So channels that are themselves drawn at random, from the whole
    layer or from some of its strata, are exchangeable with these draws, and their p-value is uniform.

    Args:
        indices: K channels.
        norms: mean activation norm of each channel of the layer, (C,).
        count: number of sets, R.
        generator: of random numbers.

    Returns:
        (R, K): in each row no channel comes twice, and each is of the same stratum as the one in its place.
    """
    layer = strata(norms)
    own = layer[list(indices)]
    draws = torch.empty(count, len(own), dtype=torch.long, device="cpu")
    for stratum in sorted(set(own.tolist())):
        members = (layer == stratum).nonzero().flatten()
        order = torch.rand(count, len(members), generator=generator, dtype=torch.float32, device="cpu").argsort(1)
        draws[:, own == stratum] = members[order[:, : int((own == stratum).sum())]]
    return draws


def strata(norms: Tensor) -> Tensor:
    """The stratum of each channel, (C,): 0 for the ten strongest, 1 for the next ten, and so on.

    The weakest, fewer than ten that are left over, belong to the stratum before.

    >>> strata(torch.arange(24.0)).tolist()
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    """
    ranks = torch.empty(len(norms), dtype=torch.long, device="cpu")
    ranks[norms.cpu().argsort(descending=True, stable=True)] = torch.arange(len(norms), device="cpu")
    return (ranks // STRATUM).clamp_max(max(1, len(norms) // STRATUM) - 1)


def chance_of_same(units: Units, norms: Tensor) -> float:
    """The chance that a random set is the units themselves; 0 for directions.

    >>> from optvis import Channels
    >>> chance_of_same(Channels("mixed5", [20, 21]), torch.arange(24.0))  # two of the ten strongest
    0.02222...
    """
    if not isinstance(units, ListedUnits):
        return 0.0
    sizes = torch.bincount(strata(norms))
    counts = torch.bincount(strata(norms)[list(units.indices)], minlength=len(sizes))
    pairs = zip(sizes.tolist(), counts.tolist(), strict=True)
    return 1 / math.prod(math.comb(size, count) for size, count in pairs)


def random_directions(units: Units, moment: Tensor, count: int, generator: torch.Generator) -> list[Units]:
    """Draw random subspaces of the same dimension that remove the same share of the activations' square norm.

    Each is spanned by normal vectors that are multiplied by a power of the layer's second moment M. The power, from
    −16 to 16, is the one nearest to 0 at which the share tr(P M) / tr(M) of the units is a common one. Of
    many such subspaces the nearest to this share is taken, and its power changed until the share is the same, as nearly
    as it can.
    So directions that are themselves drawn at random do not differ from these, and their p-value is uniform.
    """
    eigenvalues, axes = torch.linalg.eigh(moment.double().cpu())
    weights = eigenvalues.clamp_min(1e-9 * float(eigenvalues[-1])) / eigenvalues.sum()
    goal = float(((_rows(units, len(weights)) @ axes).square() @ weights).sum())
    shape, start = (len(weights), len(units.basis(len(weights)))), generator.get_state()
    first = torch.stack([_draw_candidates(shape, generator)[0] for _ in range(count)])
    power = _common_power(first, weights, goal)
    generator.set_state(start)  # the same candidates again: those of all sets would fill the memory
    chosen = torch.stack([_choose(_draw_candidates(shape, generator), weights, power, goal) for _ in range(count)])
    powers = _bisect(lambda powers: _captured(chosen, weights, powers) > goal, count)
    columns = axes @ _stretch(chosen, weights, powers)
    return [Directions(units.layer, one.T, within=units.within, channel_axis=units.channel_axis) for one in columns]


def _draw_candidates(shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Normal vectors (C, K) that span the candidates for one set, (32, C, K)."""
    return torch.randn(CANDIDATES, *shape, generator=generator, dtype=torch.float64, device="cpu")


def _choose(candidates: Tensor, weights: Tensor, power: float, goal: float) -> Tensor:
    """The candidate, (C, K), that captures about the goal with this power."""
    powers = torch.full((len(candidates),), power, dtype=torch.float64, device="cpu")
    return candidates[(_captured(candidates, weights, powers) - goal).abs().argmin()]


def _common_power(normal: Tensor, weights: Tensor, goal: float) -> float:
    """The power nearest to 0 at which the goal lies between the 5th and the 95th percentile of what is captured."""
    shares = _captured(normal, weights, torch.zeros(len(normal), dtype=torch.float64, device="cpu"))
    low, high = torch.quantile(shares, torch.tensor(COMMON, dtype=torch.float64, device="cpu")).tolist()
    if low <= goal <= high:
        return 0.0
    level = torch.tensor(COMMON[0] if goal < low else COMMON[1], dtype=torch.float64, device="cpu")

    def is_above(power: Tensor) -> Tensor:
        return torch.quantile(_captured(normal, weights, power.expand(len(normal))), level) > goal

    return float(_bisect(is_above, 1))


def _captured(normal: Tensor, weights: Tensor, powers: Tensor) -> Tensor:
    """The share of the square norm that each subspace removes, (R,)."""
    return (_stretch(normal, weights, powers).square() * weights.view(1, -1, 1)).sum((1, 2))


def _bisect(is_above: Callable[[Tensor], Tensor], count: int) -> Tensor:
    """Powers at which what is captured crosses the goal, (count,)."""
    highest = torch.full((count,), MAX_POWER, dtype=torch.float64, device="cpu")
    lowest = -highest
    for _ in range(BISECTIONS):
        middle = (lowest + highest) / 2
        above = is_above(middle)
        lowest, highest = torch.where(above, lowest, middle), torch.where(above, middle, highest)
    return (lowest + highest) / 2


def _stretch(normal: Tensor, weights: Tensor, power: Tensor) -> Tensor:
    """Orthonormal columns (R, C, K) that span normal ones multiplied by weights to the power / 2."""
    logs = weights.log().unsqueeze(0) * power.double().unsqueeze(1) / 2
    scales = (logs - logs.amax(1, keepdim=True)).clamp_min(-300).exp()
    return torch.linalg.qr(normal * scales.unsqueeze(2))[0]  # type: ignore[no-any-return]


def activation_mass(units: Units, norms: Tensor, moment: Tensor) -> float:
    """What random units match: the mean norm of channels, or the share of the square norm along directions."""
    if isinstance(units, ListedUnits):
        return float(norms.double()[list(units.indices)].mean()) if len(units) else 0.0
    exact = moment.double().cpu()
    rows = _rows(units, len(exact))
    return float(((rows @ exact) * rows).sum() / exact.trace())


def _rows(units: Units, channels: int) -> Tensor:
    """Rows whose dot products with an activation have the norm of the part that is removed, (·, C)."""
    return units.projector(channels).cpu() if isinstance(units, Projection) else units.basis(channels)
