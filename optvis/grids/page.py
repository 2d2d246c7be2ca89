"""The page of activation grids: icons, channels, classes and groups of one photograph, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from optvis.viz.pages import GridGroups, GridLayer, GridPage, to_html

if TYPE_CHECKING:
    from optvis.attribution.result import Attribution
    from optvis.grids.result import ActivationGrid
    from optvis.grids.semantic_dictionary import SemanticDictionary

TOP_CHANNELS = 6  # of each cell


@dataclass(frozen=True, eq=False)
class Explained:
    """A grid, and what else is known of its cells.

    Args:
        grid: of one layer.
        attributions: by the label of the class that was asked: of the same photographs and layer.
        dictionary: pictures of the channels, of the same photograph and layer.

    Raises:
        ValueError: attributions or a dictionary of another layer.
    """

    grid: ActivationGrid
    attributions: Mapping[str, Attribution] = field(default_factory=dict)
    dictionary: SemanticDictionary | None = None

    def __post_init__(self) -> None:
        words = [] if self.dictionary is None else [self.dictionary]
        others: list[Attribution | SemanticDictionary] = [*self.attributions.values(), *words]
        for other in others:
            if other.layer != self.grid.layer:
                raise ValueError(f"a grid of {self.grid.layer!r} with {other!r}; take both from one layer")


def grid_page(grids: Sequence[Explained], image: int = 0, title: str = "What the network saw") -> str:
    """One HTML page of one photograph: nothing is loaded from anywhere, so it can be mailed.

    Hover over a cell, tap it or walk there with the arrow keys to see its icon large, its place, its strongest
    channels, and what it added to each class.

    Args:
        grids: one a layer, of the same photographs.
        image: which photograph.
        title: of the page.

    Returns:
        The text of the page.

    Raises:
        ValueError: no grids.
    """
    if not grids:
        raise ValueError("no grids; give one or more")
    first = grids[0].grid
    layers = tuple(_layer(one, image) for one in grids)
    names = ", ".join(one.grid.layer for one in grids)
    lead = f"Each icon is what {names} of {first.recipe.get('network', 'the network')} saw at its place."
    recipes = {one.grid.layer: dict(one.grid.recipe) for one in grids}
    return to_html(GridPage(title, layers, first.images[image], recipes, lead))


def _layer(explained: Explained, image: int) -> GridLayer:
    grid = explained.grid
    a = grid.activations[image].float()
    values, channels = a.topk(min(TOP_CHANNELS, len(a)), dim=0)
    icons = {} if explained.dictionary is None else explained.dictionary.pictures
    return GridLayer(
        grid.layer,
        grid.icons[image],
        grid.present[image],
        torch.linalg.vector_norm(a, dim=0),
        channels.movedim(0, -1),
        values.movedim(0, -1),
        icons,
        {label: found.positions[image].float() for label, found in explained.attributions.items()},
        _groups(explained, image),
    )


def _groups(explained: Explained, image: int) -> GridGroups | None:
    groups, icons = explained.grid.groups, explained.grid.group_icons
    if groups is None or icons is None:
        return None
    by_class: dict[str, Tensor] = {
        label: found.by_group(groups)[image].float()
        for label, found in explained.attributions.items()
        if found.gradients is not None
    }
    return GridGroups(groups.maps[image].clamp(min=0), icons, by_class)


__all__ = ["Explained", "grid_page"]
