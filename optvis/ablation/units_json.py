"""Units in JSON types, as recipes and saved selections hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optvis.features.units import Channels, Directions, Units


def units_to_json(units: Units) -> dict[str, Any]:
    """Write units in JSON types.

    Example:
        >>> units_to_json(Channels("mixed5", [3]))
        {'kind': 'channels', 'layer': 'mixed5', 'indices': [3], 'within': None, 'channel_axis': None}
    """
    is_channels = isinstance(units, Channels)
    members = {"indices": list(units.indices)} if is_channels else {"vectors": units.vectors.tolist()}  # type: ignore[union-attr]
    return {
        "kind": "channels" if is_channels else "directions",
        "layer": units.layer,
        **members,
        "within": None if units.within is None else list(units.within),
        "channel_axis": units.channel_axis,
    }


def units_from_json(values: Mapping[str, Any]) -> Units:
    """Build units from what `units_to_json` writes.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    within = None if values["within"] is None else (values["within"][0], values["within"][1])
    options = {"within": within, "channel_axis": values["channel_axis"]}
    if values["kind"] == "channels":
        return Channels(values["layer"], values["indices"], **options)
    return Directions(values["layer"], values["vectors"], **options)
