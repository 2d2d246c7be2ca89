"""Units in JSON types, as recipes and saved selections hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from optvis.arguments import describe_value
from optvis.features.autoencoder_units import Features
from optvis.features.projection import Projection
from optvis.features.units import Channels, Directions, ListedUnits, Units
from optvis.objectives.autoencoder import require_autoencoder


def units_to_json(units: Units) -> dict[str, Any]:
    """Write units in JSON types.

    Example:
        >>> units_to_json(Channels("mixed5", [3]))
        {'kind': 'channels', 'layer': 'mixed5', 'indices': [3], 'within': None, 'channel_axis': None}
    """
    members: dict[str, Any] = {"kind": "channels", "layer": units.layer}
    if isinstance(units, ListedUnits):
        members["indices"] = list(units.indices)
    if isinstance(units, Features):
        members |= {"kind": "features", "sae": units.autoencoder.describe()}
    elif not isinstance(units, Channels):
        members["kind"] = "directions" if isinstance(units, Directions) else "projections"
        members |= {name: values.tolist() for name, values in unit_tensors(units).items()}
    return {
        **members,
        "within": None if units.within is None else list(units.within),
        "channel_axis": units.channel_axis,
    }


def unit_tensors(units: Units) -> dict[str, Tensor]:
    """The tensors that define units, by the names of their arguments; channels and features have none."""
    names = {Directions: ("vectors",), Projection: ("vectors", "readers", "center")}.get(type(units), ())
    return {name: getattr(units, name) for name in names}


def units_from_json(values: Mapping[str, Any], sae: Any = None) -> Units:
    """Build units from what `units_to_json` writes.

    Args:
        values: that it wrote.
        sae: the autoencoder, where the units are features of one: JSON describes it, and does not hold it.

    Raises:
        ValueError: it is something else. MissingPartError: features without their autoencoder, or with another one.
        TypeError: an autoencoder without `encode` and `decode`.
    """
    if values.get("kind") == "features":
        return _build_features(values, sae)
    try:
        return _build_units(values)
    except (KeyError, IndexError, TypeError, RuntimeError) as error:
        raise ValueError(f"{describe_value(values)} does not describe units: {error}") from error


def _build_features(values: Mapping[str, Any], sae: Any) -> Features:
    try:
        layer, described, indices, options = values["layer"], values["sae"], values["indices"], _options(values)
        require_autoencoder(sae, described, f"a set of features of {layer!r}")
    except (LookupError, TypeError) as error:
        raise ValueError(f"{describe_value(values)} does not describe units: {error}") from error
    found = Features(layer, sae, indices, **options)
    found.autoencoder.check_described(described)
    return found


def _options(values: Mapping[str, Any]) -> dict[str, Any]:
    within = None if values["within"] is None else (values["within"][0], values["within"][1])
    return {"within": within, "channel_axis": values["channel_axis"]}


def _build_units(values: Mapping[str, Any]) -> Units:
    options = _options(values)
    if values["kind"] == "channels":
        return Channels(values["layer"], values["indices"], **options)
    if values["kind"] == "projections":
        tensors = (
            torch.as_tensor(values[name], dtype=torch.float64, device="cpu")
            for name in ("vectors", "readers", "center")
        )
        return Projection(values["layer"], *tensors, **options)
    return Directions(values["layer"], values["vectors"], **options)
