"""What the script of a grid's page reads, as JSON that can stand inside HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage
from optvis.viz.pages.script_data import round_values, safe_json
from optvis.viz.pages.sprites import sheet_shape


def grid_data(page: GridPage) -> str:
    """Names and numbers of a page, without its images.

    Any text may be in it: no `<`, `>` or `&` is left that HTML could take for markup.

    Example:
        >>> import torch
        >>> one = torch.ones(1, 1)
        >>> top = torch.ones(1, 1, 1)
        >>> layer = GridLayer("</script>", torch.ones(1, 1, 3, 2, 2), one > 0, one, top.long(), top)
        >>> "<" in grid_data(GridPage("t", (layer,), torch.ones(3, 2, 2), {}))
        False
    """
    labels = page.labels
    layers = [_layer(layer, labels) for layer in page.layers]
    return safe_json({"labels": labels, "image": page.image.shape[1:], "layers": layers})


def channels_with_icons(layer: GridLayer) -> list[int]:
    """The channels that are listed in some cell and have an icon, in the order of the sprite."""
    return sorted(set(layer.channels.flatten().tolist()) & layer.channel_icons.keys())


def _layer(layer: GridLayer, labels: Sequence[str]) -> dict[str, Any]:
    rows, columns = layer.size
    channels = channels_with_icons(layer)
    return {
        "name": layer.layer,
        "rows": rows,
        "columns": columns,
        "present": layer.present.flatten().int().tolist(),
        "strength": round_values(layer.strength),
        "channels": layer.channels.flatten(0, 1).tolist(),
        "values": [round_values(cell) for cell in layer.values.flatten(0, 1)],
        "icons": {channel: index for index, channel in enumerate(channels)},
        "sheet": sheet_shape(len(channels)) if channels else None,
        "attribution": _by_label(layer.attribution, labels),
        "groups": None if layer.groups is None else _groups(layer.groups, labels),
    }


def _groups(groups: GridGroups, labels: Sequence[str]) -> dict[str, Any]:
    return {"maps": [round_values(each) for each in groups.maps], "attribution": _by_label(groups.attribution, labels)}


def _by_label(values: Mapping[str, Tensor], labels: Sequence[str]) -> list[list[float] | None]:
    return [round_values(values[label]) if label in values else None for label in labels]
