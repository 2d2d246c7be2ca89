"""The page of an activation atlas as one HTML text."""

from __future__ import annotations

from typing import Any

import torch

from optvis.formatting import round_values
from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.pages.sprites import check_sprite_size, data_uri, icon_sheet_uri, sheet_shape
from optvis.viz.pages.template import build_page
from optvis.viz.sheet import draw_cells

STYLES = (
    *("tools.css", "atlas/map.css", "legend.css", "panel.css"),
    *("atlas/cell.css", "footer.css", "narrow.css", "atlas/narrow.css"),
)
SCRIPTS = ("atlas/main.js",)
FULL_QUANTILE = 0.95  # of the counts of a level: cells with as many points or more are filled by their icon


def atlas_html(page: AtlasPage) -> str:
    """The page as one HTML text, with its images, style and script in it: it loads nothing.

    The map pans and zooms, and finer levels appear as it grows. Pointing at a cell shows its icon large, how many
    points it holds, its classes, and the nearest images. Without JavaScript the page shows one level as an image. A
    content security policy allows this script and this style, and nothing else.

    Raises:
        ValueError: the icons of a level, or the exemplars, are together larger than WebP allows.

    Example:
        >>> import torch
        >>> cells, count, none = torch.zeros(1, 2).long(), torch.tensor([4]), torch.zeros(1, 0)
        >>> level = AtlasLevel(1, cells, count, torch.rand(1, 3, 8, 8), count > 0, none, none.long())
        >>> text = atlas_html(AtlasPage("Ships & boats", "mixed4", (level,), (), torch.rand(0, 3, 8, 8), (), 1, {}))
        >>> "Ships &amp; boats</h1>" in text, "http:" in text
        (True, False)
    """
    return build_page(
        "atlas/page.html",
        "atlas",
        page,
        styles=STYLES,
        scripts=SCRIPTS,
        data=_data(page),
        level_images=list(map(_map_uri, page.levels)),
        exemplars=icon_sheet_uri(page.exemplars) if page.names else "",
    )


def _map_uri(level: AtlasLevel) -> str:
    """The icons in their cells, on a transparent background, as a data URI."""
    side = level.size * level.icons.shape[-1]
    check_sprite_size(side, side)
    rows = level.present
    return data_uri(draw_cells(level.icons[rows.to(level.icons.device)], level.cells[rows], level.size, mode="RGBA"))


def _data(page: AtlasPage) -> dict[str, Any]:
    """Names and numbers that the script reads."""
    names = list(dict.fromkeys(page.names))
    indices = {name: index for index, name in enumerate(names)}
    return {
        "layer": page.layer,
        "points": page.points,
        "min_points": page.min_points,
        "labels": page.labels,
        "names": names,
        "from": [indices[name] for name in page.names],
        "sheet": sheet_shape(len(page.names)) if page.names else None,
        "levels": [_level(level) for level in page.levels],
    }


def _level(level: AtlasLevel) -> dict[str, Any]:
    counts = level.counts[level.present] if bool(level.present.any()) else level.counts
    return {
        "size": level.size,
        "cells": (level.cells[:, 0] * level.size + level.cells[:, 1]).tolist(),
        "counts": level.counts.tolist(),
        "full": float(torch.quantile(counts.double(), FULL_QUANTILE)),
        "present": level.present.int().tolist(),
        "attribution": [round_values(cell) for cell in level.attribution],
        "nearest": [[index for index in cell if index >= 0] for cell in level.nearest.tolist()],
    }
