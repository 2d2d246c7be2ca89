"""More and more units off, and only those kept: the steps of both curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from optvis.ablation.evaluation.variants import Variant
from optvis.features.units import Channels, Directions, Units

MOST_STEPS = 32


def steps(units: Sequence[Units]) -> tuple[Variant, ...]:
    """The first of the units, more and more of them, from none to all; at most 33 steps.

    Units of several layers grow together: each step takes about the same share of each.

    Example:
        >>> steps([Channels("mixed4", [7]), Channels("mixed5", [3, 14])])[1]
        (Channels('mixed4', [7]), Channels('mixed5', [3]))
    """
    longest = max((len(one) for one in units), default=0)
    places = torch.linspace(0, longest, min(longest, MOST_STEPS) + 1, dtype=torch.float64)
    shares = [round(place) / max(1, longest) for place in places.tolist()]
    return tuple(tuple(first(one, int(len(one) * share + 0.5)) for one in units) for share in shares)


def first(units: Units, count: int) -> Units:
    """So many of the units, in their order; none at all is Channels without an index."""
    return units[:count] if count else Channels(units.layer, [], channel_axis=units.channel_axis)


def all_but(kept: Variant, channels: Mapping[str, int]) -> Variant:
    """Everything in the layers of a variant that it does not name: what is off where only those units are kept.

    A channel is kept whole, whatever range its unit is switched off in.

    Args:
        channels: how many each layer has.

    Example:
        >>> all_but((Channels("mixed5", [0, 2]),), {"mixed5": 4})
        (Channels('mixed5', [1, 3]),)
    """
    return tuple(_rest(one, channels[one.layer]) for one in kept)


def _rest(units: Units, channels: int) -> Units:
    if isinstance(units, Channels):
        others = (~units.mask(channels)).nonzero().flatten().tolist()
        return Channels(units.layer, others, channel_axis=units.channel_axis)
    basis = units.basis(channels)
    if len(basis) == channels:
        return first(units, 0)
    whole = torch.linalg.qr(basis.T, mode="complete").Q
    return Directions(units.layer, whole[:, len(basis) :].T, channel_axis=units.channel_axis)


__all__ = ["all_but", "first", "steps"]
