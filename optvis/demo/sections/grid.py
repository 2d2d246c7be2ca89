"""The section with an activation grid of a scene."""

from __future__ import annotations

import torch
from torch import Tensor

from optvis.demo.config import TourConfig
from optvis.demo.figures import build_figure, join_tiles, require_complete, resize_tile
from optvis.demo.page import Content
from optvis.grids.activation_grid import activation_grid
from optvis.grids.result import ActivationGrid
from optvis.models.classifier import Classifier
from optvis.world.scenes import scene

FILE = "grid.png"
LABEL, LAYER = "container ship", "mixed5"
SEED_OFFSET = 9  # added to the tour's seed


def build_section(model: Classifier, config: TourConfig) -> Content:
    """A scene, its activation grid, and the groups of neurons found in it."""
    seed = config.seed + SEED_OFFSET
    image = scene(LABEL, seed).image
    grid = activation_grid(
        model, image, LAYER, size=config.icon_size, steps=config.grid_steps, seed=config.seed, progress=config.progress
    )
    require_complete(grid.recipe)
    height, width = grid.icons.shape[1:3]
    tiles = grid_tiles(grid)
    groups = [f"group {number}" for number in range(len(tiles) - 2)]
    figure = build_figure(
        FILE,
        tiles,
        ["the scene", f"grid of {LAYER}", *groups],
        [f"a scene of the class {LABEL}", f"an icon for each of {height} × {width} positions"]
        + [f"an image that maximises {group} of neurons" for group in groups],
        columns=(4, 2),
        caption=f"The {height * width} icons of the grid, and one for each group of neurons. The groups come from a "
        "factorization of the activations.",
        code=f'image = scene("{LABEL}", seed={seed}).image\n'
        f'activation_grid(net, image, "{LAYER}", size={config.icon_size}, steps={config.grid_steps}, '
        f"seed={config.seed})",
        recipe=grid.recipe,
    )
    text = (
        "A layer has an activation vector at each position of a scene. Each icon is a feature visualization of one of "
        "these vectors."
    )
    return Content("Activation grid", text, (figure,))


def grid_tiles(grid: ActivationGrid) -> Tensor:
    """The image, all its icons as one image, and the icons of the groups, all of one size, (B, 3, H, W)."""
    mosaic = join_tiles(grid.icons[0])
    others = [grid.images[0], *([] if grid.group_icons is None else grid.group_icons)]
    image, *groups = (resize_tile(one, (mosaic.shape[1], mosaic.shape[2])) for one in others)
    return torch.stack([image, mosaic, *groups])
