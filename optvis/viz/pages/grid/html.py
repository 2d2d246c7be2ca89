"""The page of an activation grid as one HTML text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from optvis.formatting import round_values
from optvis.viz.pages.grid.page import GridGroups, GridLayer, GridPage
from optvis.viz.pages.sprites import icon_sheet_uri, sheet_shape, sprite_uri
from optvis.viz.pages.template import build_page

STYLES = (
    *("tools.css", "grid/exhibit.css", "legend.css", "grid/cells.css"),
    *("panel.css", "footer.css", "narrow.css", "grid/narrow.css"),
)
SCRIPTS = ("grid/main.js",)


def grid_html(page: GridPage) -> str:
    """The page as one HTML text, with its images, style and script in it: it loads nothing.

    Pointing at an icon, or at a position of the image, shows the icon large, its channels and its attributions.
    A click or Enter pins it, Escape unpins it; arrow keys move from cell to cell. Rows and columns are counted from 0.
    Without JavaScript the page shows the image and the icons. A content security policy allows this script and this
    style, and nothing else.

    Raises:
        ValueError: the icons of a layer together are larger than WebP allows.

    Example:
        >>> one = torch.ones(1, 1)
        >>> layer = GridLayer("mixed4", torch.rand(1, 1, 3, 8, 8), one > 0, one, one[..., None].long(), one[..., None])
        >>> text = grid_html(GridPage("Ships & boats", (layer,), torch.rand(3, 8, 8), {}))
        >>> "Ships &amp; boats</h1>" in text, "http:" in text
        (True, False)
    """
    rules = "".join(_icon_rules(index, layer) for index, layer in enumerate(page.layers))
    labels = page.labels
    layers = [_layer(layer, labels) for layer in page.layers]
    data = {"labels": labels, "image": page.image.shape[1:], "layers": layers}
    return build_page("grid/page.html", "grid", page, styles=STYLES, rules=rules, scripts=SCRIPTS, data=data)


def _icon_rules(index: int, layer: GridLayer) -> str:
    """The CSS that shows a layer's icons: each image is in the page once."""
    rows, columns = layer.size
    rules = (
        f".of-{index} {{ --rows: {rows}; --columns: {columns}; }}\n"
        f".of-{index}.still, .of-{index} .icon {{ background-image: url({sprite_uri(layer.icons, layer.present)}); }}\n"
    )
    channels = _channels_with_icons(layer)
    if not channels:
        return rules
    uri = icon_sheet_uri(torch.stack([layer.channel_icons[channel] for channel in channels]))
    rows, columns = sheet_shape(len(channels))
    return rules + (
        f".channels-{index} {{ --rows: {rows}; --columns: {columns}; }}\n"
        f".channels-{index} .icon {{ background-image: url({uri}); }}\n"
    )


def _channels_with_icons(layer: GridLayer) -> list[int]:
    """The channels that are listed in some cell and have an icon, in the order of the sprite."""
    return sorted(set(layer.channels.flatten().tolist()) & layer.channel_icons.keys())


def _layer(layer: GridLayer, labels: Sequence[str]) -> dict[str, Any]:
    """The numbers that the script reads."""
    rows, columns = layer.size
    channels = _channels_with_icons(layer)
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
