"""The interactive page of activation grids: icons, channels, attribution and groups of one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from optvis.attribution.result import Attribution
from optvis.grids.result import ActivationGrid
from optvis.grids.semantic_dictionary import SemanticDictionary
from optvis.viz.pages import GridLayer, GridPage, grid_html


@dataclass(frozen=True, eq=False)
class AnnotatedGrid:
    """A grid of one layer, with attributions and a semantic dictionary of the same layer.

    Args:
        grid: of one layer.
        attributions: by the label of the class: of the same images and layer.
        dictionary: icons of the channels, of the same image and layer.

    Raises:
        ValueError: attributions or a dictionary of another layer.
    """

    grid: ActivationGrid
    attributions: Mapping[str, Attribution] = field(default_factory=dict)
    dictionary: SemanticDictionary | None = None

    def __post_init__(self) -> None:
        for other in (*self.attributions.values(), self.dictionary):
            if other is not None and other.layer != self.grid.layer:
                raise ValueError(f"a grid of {self.grid.layer!r} with {other!r}; take both from one layer")


def build_grid_page(
    grids: Sequence[ActivationGrid | AnnotatedGrid], index: int = 0, title: str = "Activation grid"
) -> str:
    """Build one HTML page of one image, which loads nothing from the network.

    Hover over a cell, tap it or move there with the arrow keys to see its icon large, its position, its strongest
    channels, and its attribution to each class.

    Args:
        grids: one for each layer, of the same images; one or more, else a ValueError.
        index: which image.
        title: of the page.
    """
    if not grids:
        raise ValueError("no grids; give one or more")
    annotated = [AnnotatedGrid(one) if isinstance(one, ActivationGrid) else one for one in grids]
    first = annotated[0].grid
    layers = tuple(_build_layer(one, index) for one in annotated)
    names = [one.grid.layer for one in annotated]
    network = first.recipe.get("network", "the network")
    what = f"{names[0]} of {network}" if len(names) == 1 else f"its layer of {network}, {' or '.join(names)},"
    lead = f"Each icon shows what {what} represents at this position of the image."
    recipes = {one.grid.layer: dict(one.grid.recipe) for one in annotated}
    return grid_html(GridPage(title, layers, first.images[index], recipes, lead))


def _build_layer(annotated: AnnotatedGrid, index: int) -> GridLayer:
    grid, attributions = annotated.grid, annotated.attributions
    by_position = {label: attribution.positions[index].float() for label, attribution in attributions.items()}
    by_group = {}
    if grid.groups is not None:
        by_group = {
            label: attribution.by_group(grid.groups)[index].float()
            for label, attribution in attributions.items()
            if attribution.gradients is not None
        }
    icons = {} if annotated.dictionary is None else annotated.dictionary.icons
    return grid.page_layer(index, icons, by_position, by_group)
