"""What the page's script has to know, as JSON that can stand inside HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage
from optvis.viz.pages.grid.sprites import nearly_square

DIGITS = 3  # significant ones of each number: what the page shows


def to_json(page: GridPage) -> str:
    """Names and numbers of a page, without its pictures.

    Any text may be in it: no `<`, `>` or `&` is left that HTML could take for markup.

    Example:
        >>> import torch
        >>> one = torch.ones(1, 1)
        >>> top = torch.ones(1, 1, 1)
        >>> layer = GridLayer("</script>", torch.ones(1, 1, 3, 2, 2), one > 0, one, top.long(), top)
        >>> "<" in to_json(GridPage("t", (layer,), torch.ones(3, 2, 2), {}))
        False
    """
    labels = page.labels
    told = {"labels": labels, "photo": page.photo.shape[1:], "layers": [_layer(each, labels) for each in page.layers]}
    return safe_json(told)


def safe_json(told: Mapping[str, Any]) -> str:
    """JSON in which no `<`, `>` or `&` is left.

    Example:
        >>> print(safe_json({"name": "<b>"}))
        {"name":"\\u003cb\\u003e"}
    """
    text = json.dumps(told, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def rounded(a: Tensor) -> list[float]:
    """Every number of a tensor as the page shows it."""
    return [float(f"{value:.{DIGITS}g}") for value in a.detach().flatten().tolist()]


def shown_channels(layer: GridLayer) -> list[int]:
    """The channels that are named in some cell and have an icon, in the order of the sprite."""
    return sorted(set(layer.channels.flatten().tolist()) & layer.channel_icons.keys())


def _layer(layer: GridLayer, labels: Sequence[str]) -> dict[str, Any]:
    rows, columns = layer.size
    shown = shown_channels(layer)
    return {
        "name": layer.layer,
        "rows": rows,
        "columns": columns,
        "present": layer.present.flatten().int().tolist(),
        "strength": rounded(layer.strength),
        "channels": layer.channels.flatten(0, 1).tolist(),
        "values": [rounded(cell) for cell in layer.values.flatten(0, 1)],
        "icons": {channel: place for place, channel in enumerate(shown)},
        "sheet": nearly_square(len(shown)) if shown else None,
        "attribution": _by_label(layer.attribution, labels),
        "groups": None if layer.groups is None else _groups(layer.groups, labels),
    }


def _groups(groups: GridGroups, labels: Sequence[str]) -> dict[str, Any]:
    return {"maps": [rounded(each) for each in groups.maps], "attribution": _by_label(groups.attribution, labels)}


def _by_label(values: Mapping[str, Tensor], labels: Sequence[str]) -> list[list[float] | None]:
    return [rounded(values[label]) if label in values else None for label in labels]
