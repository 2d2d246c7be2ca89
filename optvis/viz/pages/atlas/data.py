"""What the script of an atlas's page reads, as JSON that can stand inside HTML."""

from __future__ import annotations

from typing import Any

import torch

from optvis.viz.pages.atlas.page import AtlasLevel, AtlasPage
from optvis.viz.pages.script_data import round_values, safe_json
from optvis.viz.pages.sprites import sheet_shape

FULL_QUANTILE = 0.95  # of the counts of a level: cells with as many points or more are filled by their icon


def atlas_data(page: AtlasPage) -> str:
    """Names and numbers of a page, without its images.

    Any text may be in it: no `<`, `>` or `&` is left that HTML could take for markup.

    Example:
        >>> import torch
        >>> cells, count, none = torch.zeros(1, 2).long(), torch.tensor([4]), torch.zeros(1, 0)
        >>> level = AtlasLevel(1, cells, count, torch.ones(1, 3, 2, 2), count > 0, none, none.long())
        >>> "<" in atlas_data(AtlasPage("t", "</script>", (level,), (), torch.ones(0, 3, 2, 2), (), 1, {}))
        False
    """
    names = list(dict.fromkeys(page.names))
    indices = {name: index for index, name in enumerate(names)}
    return safe_json(
        {
            "layer": page.layer,
            "points": page.points,
            "min_points": page.min_points,
            "labels": page.labels,
            "names": names,
            "from": [indices[name] for name in page.names],
            "sheet": sheet_shape(len(page.names)) if page.names else None,
            "levels": [_level(level) for level in page.levels],
        }
    )


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
