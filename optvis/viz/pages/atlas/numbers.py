"""What the script of an atlas has to know, as JSON that can stand inside HTML."""

from __future__ import annotations

from typing import Any

import torch

from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.pages.grid.numbers import rounded, safe_json
from optvis.viz.pages.grid.sprites import nearly_square

FULL = 0.95  # of a level's icons are smaller than their cell: the share of cells below the count that fills one


def to_json(page: AtlasPage) -> str:
    """Names and numbers of a page, without its pictures.

    Any text may be in it: no `<`, `>` or `&` is left that HTML could take for markup.

    Example:
        >>> import torch
        >>> cells, count, none = torch.zeros(1, 2).long(), torch.tensor([4]), torch.zeros(1, 0)
        >>> level = AtlasLevel(1, cells, count, torch.ones(1, 3, 2, 2), count > 0, none, none.long())
        >>> "<" in to_json(AtlasPage("t", "</script>", (level,), (), torch.ones(0, 3, 2, 2), (), 1, {}))
        False
    """
    names = list(dict.fromkeys(page.names))
    places = {name: place for place, name in enumerate(names)}
    return safe_json(
        {
            "layer": page.layer,
            "points": page.points,
            "fewest": page.fewest,
            "labels": page.labels,
            "names": names,
            "from": [places[name] for name in page.names],
            "sheet": nearly_square(len(page.names)) if page.names else None,
            "levels": [_level(level) for level in page.levels],
        }
    )


def _level(level: AtlasLevel) -> dict[str, Any]:
    return {
        "size": level.size,
        "cells": (level.cells[:, 0] * level.size + level.cells[:, 1]).tolist(),
        "counts": level.counts.tolist(),
        "full": _full(level),
        "present": level.present.int().tolist(),
        "attribution": [rounded(cell) for cell in level.attribution],
        "nearest": [[place for place in cell if place >= 0] for cell in level.nearest.tolist()],
    }


def _full(level: AtlasLevel) -> float:
    """The number of points that fills a cell with its icon."""
    shown = level.counts[level.present] if bool(level.present.any()) else level.counts
    return float(torch.quantile(shown.double(), FULL))
