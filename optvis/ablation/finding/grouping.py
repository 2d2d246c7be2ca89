"""Channels named one by one, as units of their layers."""

from __future__ import annotations

from collections.abc import Iterable

from optvis.features.units import Channels


def channels_by_layer(names: Iterable[tuple[str, int]]) -> tuple[Channels, ...]:
    """One Channels a layer, in the order given.

    >>> channels_by_layer([("b", 3), ("a", 1), ("b", 0)])
    (Channels('b', [3, 0]), Channels('a', [1]))
    """
    found: dict[str, list[int]] = {}
    for layer, channel in names:
        found.setdefault(layer, []).append(channel)
    return tuple(Channels(layer, channels) for layer, channels in found.items())
